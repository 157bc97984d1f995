"""Waha."""
