"""WAHA: what is known about it."""
