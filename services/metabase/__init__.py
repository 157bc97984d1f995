"""Metabase: what is known about it."""
