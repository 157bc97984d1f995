"""Is a container what the inventory says, and can it be made again on the target."""
