"""Facts of a host, read in one command."""
