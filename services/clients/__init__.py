"""HTTP, tokens and certificates for all products."""
