"""Grafana: what is known about it."""
