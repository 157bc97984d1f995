"""Redis: what is known about it."""
