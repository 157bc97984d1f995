"""What several phases check of a service: health, readiness, shared mounts."""
