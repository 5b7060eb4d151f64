"""From a credential to a verified token."""
