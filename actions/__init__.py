"""DEEDS: the only room whose code changes a host; each deed does, verifies and undoes."""
