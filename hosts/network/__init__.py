"""Who reaches whom, how fast, and which connections are opened."""
