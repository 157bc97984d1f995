"""Wire longshore's pytest plugin in."""

pytest_plugins = ["engine.run.plugin"]
