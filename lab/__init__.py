"""Three Docker hosts with real services and realistic data on one machine, and ways to break them."""
