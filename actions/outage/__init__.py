"""The outage of a move, measured from where a client asks."""
