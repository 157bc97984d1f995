"""A service's container on the source and on the target: stopped, renamed, created, started, committed."""
