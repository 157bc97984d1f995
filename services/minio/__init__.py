"""MinIO: what is known about it."""
