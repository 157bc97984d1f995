"""The recipe that moves a service."""
