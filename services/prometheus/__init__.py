"""Prometheus: what is known about it."""
