"""PostgreSQL: what is known about it."""
