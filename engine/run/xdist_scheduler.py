"""pytest-xdist, the one adapter: who is a worker, and all steps of a host for the same worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process is one of xdist's workers."""
    return hasattr(config, "workerinput")


def is_spread(config: pytest.Config) -> bool:
    """Return whether this process lets xdist's workers look."""
    return (
        not is_worker(config)
        and getattr(config.option, "dist", "no") != "no"
        and bool(getattr(config.option, "tx", ()))
    )


class ByHost(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """xdist's scheduling by scope, a scope being a host. Its own `loadgroup` writes what pytest 9 does not read any
    more.
    """

    def __init__(self, config: pytest.Config, log: Any, rest: str, groups: Mapping[str, str]) -> None:
        """Know the group of each step, and that of all others."""
        super().__init__(config, log)
        self.rest, self.groups = rest, groups

    def _split_scope(self, nodeid: str) -> str:
        return self.groups.get(nodeid, self.rest)

    def remove_node(self, node: Any) -> str | None:
        """Return the step in which a worker died, and give the rest of its host to another: what killed one would kill
        the next too.
        """
        units = self.assigned_work.get(node, {}).values()
        died = next(((unit, str(name)) for unit in units for name, done in unit.items() if not done), None)
        if died:
            died[0][died[1]] = True
        super().remove_node(node)
        return died[1] if died else None
