"""Images sent from host to host without a registry, and what is let through."""
