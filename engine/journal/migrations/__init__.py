"""Migrations of the journal's tables; each is one step of `engine.journal.database.REVISIONS`."""
