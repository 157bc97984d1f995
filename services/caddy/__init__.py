"""Caddy: what is known about it."""
