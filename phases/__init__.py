"""ORDER: the one list of actions that migrate, dry run, resume and rollback use."""
