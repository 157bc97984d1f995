"""Metabase."""
