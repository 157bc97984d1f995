"""Compose files, read as Docker Compose reads them."""
