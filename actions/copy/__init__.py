"""Copy."""
