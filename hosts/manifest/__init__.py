"""Manifests of data: each file with its content, owner, times and attributes."""
