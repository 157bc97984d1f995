"""The inventory, the plan and the environment: read, checked together, edited in place."""
