"""From a request, its token and its user to a decision."""
