"""Actions: the only code that changes a host; each does, verifies and undoes one thing."""
