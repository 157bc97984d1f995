"""A service brought back to its source, with what clients wrote on the target."""
