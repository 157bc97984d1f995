"""What people and clients say while the moved services are watched."""
