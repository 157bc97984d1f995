"""The state of each move, and a journal rebuilt from the hosts' audit logs."""
