"""What actions share: the route of a move, labels, the toolbox, a listener for port tests."""
