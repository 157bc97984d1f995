"""The runbooks: pytest modules that read like the checklist. No ssh, no Docker, no parsing here."""
