"""The journal: an append-only chain of records in SQLite or PostgreSQL."""
