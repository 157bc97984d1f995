"""Backups with restic: taken, restored for a drill, and the host's own configuration saved with them."""
