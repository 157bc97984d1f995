"""One command from its start to its end: locks, gates, moves, notifications."""
