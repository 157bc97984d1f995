"""OpenSSH: connections, addresses, pinned identities, files written atomically."""
