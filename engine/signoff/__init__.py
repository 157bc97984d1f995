"""Signoff."""
