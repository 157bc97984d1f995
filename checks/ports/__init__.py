"""Port conflicts, found and solved for all moves together."""
