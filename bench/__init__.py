"""Each figure in the docs, measured by a command, together with its peer in the same run."""
