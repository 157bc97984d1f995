"""Temporal: what is known about it."""
