"""What is done before the window and changes nothing that serves."""
