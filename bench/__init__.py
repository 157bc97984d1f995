"""Each figure in the docs, measured by a command, beside its peer in the same run."""
