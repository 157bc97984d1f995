"""Data moved by a product's own replication."""
