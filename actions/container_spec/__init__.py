"""What a container is: its identity in a move, its saved configuration, and the request that creates it again."""
