"""Keycloak: what is known about it."""
