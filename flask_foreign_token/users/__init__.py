"""From a verified token to the local user."""
