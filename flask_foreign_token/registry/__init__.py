"""What is trusted: resources, where they are kept, and the snapshot that a request reads."""
