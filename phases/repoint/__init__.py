"""Repoint."""
