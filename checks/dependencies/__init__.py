"""Who depends on whom: in files, in variables, and in live connections."""
