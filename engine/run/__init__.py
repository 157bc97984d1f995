"""A pytest run as a phase: options, plugin, recorder, progress, workers."""
