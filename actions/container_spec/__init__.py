"""Container spec."""
