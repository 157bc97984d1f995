"""Saga."""
