"""What must hold before a host is changed."""
