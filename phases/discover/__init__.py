"""A draft of the inventory from what runs on the hosts."""
