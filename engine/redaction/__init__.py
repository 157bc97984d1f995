"""Secrets kept out of all output, and control characters made visible."""
