"""Actions carried out in order, verified, resumed and undone."""
