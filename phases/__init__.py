"""One folder for each phase of a migration, and what phases share."""
