"""References of dependants rewritten in files, variables and APIs."""
