"""Docker's API over ssh, and commands inside containers."""
