"""COMMANDS: one file per command that a person types."""
