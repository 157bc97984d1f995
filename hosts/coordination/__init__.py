"""One run at a time on a host: the lock, the fence behind it, the audit log."""
