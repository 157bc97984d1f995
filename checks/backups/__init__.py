"""Are backups there, readable and tried."""
