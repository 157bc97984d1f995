"""Can the move be done tonight."""
