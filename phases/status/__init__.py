"""Where each move stands, and a journal rebuilt from the hosts' audit logs."""
