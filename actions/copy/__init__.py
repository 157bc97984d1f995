"""Data copied between hosts: passes of rsync, safety copies, and the verification file by file."""
