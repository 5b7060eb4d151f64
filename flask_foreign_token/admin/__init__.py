"""The operator's REST API: what is trusted, and who has come, read and changed over HTTP."""
