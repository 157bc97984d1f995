"""Minio."""
