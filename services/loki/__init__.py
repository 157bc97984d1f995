"""Loki: what is known about it."""
