"""n8n: what is known about it."""
