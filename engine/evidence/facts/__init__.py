"""What a page shows, computed from the records."""
