"""The OpenAPI document of the operator's REST API, and a page on which people read it."""
