"""A run's folder sealed, signed, and verified later."""
