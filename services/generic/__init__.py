"""A container that longshore knows nothing about."""
