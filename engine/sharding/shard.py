"""Shards: a reading phase split over machines by host, so that a host is looked at by one of them and each row stands
in exactly one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from engine.contracts.phase import READING_PHASES
from engine.errors import InputError

SHARD: Final = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")
RUN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PIPELINE: Final = "CI_PIPELINE_ID"
"""Identifies the jobs that belong to one GitLab pipeline. https://docs.gitlab.com/ci/variables/predefined_variables/"""

TOGETHER: Final = ""
"""The group of rows that rest on a look at all hosts at once; no host has this name."""


@dataclass(frozen=True)
class Shard:
    """One of the parts that a run is split into, and the name by which they find each other."""

    number: int
    of: int
    run_name: str

    @property
    def text(self) -> str:
        """Return it as it was asked for."""
        return f"{self.number}/{self.of}"


def read_shard(text: str | None, run_name: str | None, environ: Mapping[str, str]) -> Shard | None:
    """Return what --shard and --run-name ask for, None for a whole run; raises InputError."""
    if text is None:
        if run_name is not None:
            raise InputError(
                f"--run-name {run_name}: without --shard. Expected: --shard I/N with it: only the shards of "
                "a run need a common name"
            )
        return None
    asked = SHARD.fullmatch(text)
    number, of = (int(asked[1]), int(asked[2])) if asked else (0, 0)
    if not 1 <= number <= of:
        raise InputError(f"--shard {text}: is no shard. Expected: I/N with 1 ≤ I ≤ N, e.g. --shard 3/8")
    pipeline = environ.get(PIPELINE)
    name = run_name if run_name is not None else f"pipeline-{pipeline}" if pipeline else None
    if name is None:
        raise InputError(
            f"--shard {text}: its run has no name. Expected: --run-name NAME, the same for all {of} shards and "
            "another for each run "
            f"(in a GitLab pipeline it is taken from {PIPELINE})"
        )
    if not RUN_NAME.fullmatch(name):
        raise InputError(
            f"--run-name {name}: is no name. Expected: up to 64 letters, digits, dots, dashes and "
            "underscores, e.g. night-1"
        )
    return Shard(number, of, name)


def refuse_shard(shard: Shard | None, command: str) -> None:
    """Raise InputError for a shard of a phase that changes hosts."""
    if shard is not None and command not in READING_PHASES:
        raise InputError(
            f"--shard {shard.text}: {command} changes hosts, in one order, under one lock. Expected: a phase that "
            "only reads "
            f"({', '.join(READING_PHASES)}). Choose with --service or --wave"
        )


@dataclass(frozen=True)
class Split:
    """Whose rows are whose: each row belongs to a host, or to all hosts together.

    `homes` is the host of each service, `pairs` the hosts whose facts are asked for together: those of a move.
    """

    hosts: tuple[str, ...]
    homes: Mapping[str, str]
    pairs: tuple[tuple[str, str], ...] = ()

    def group_of(self, service: str | None, host: str | None, *, together: bool = False) -> str:
        """Return the host that a row belongs to: its own or its service's; TOGETHER for one about all."""
        if together:
            return TOGETHER
        return host or (self.homes.get(service, TOGETHER) if service else TOGETHER)

    def shard_of(self, group: str, of: int) -> int:
        """Return which of so many shards looks at a group: the row of hosts is cut evenly, all together is for the
        first.
        """
        return self._places.get(group, 0) * of // max(len(self._places), 1) + 1

    @cached_property
    def _places(self) -> Mapping[str, int]:
        """Return each host's place in a row in which pairs, and what hangs together by pairs, stand side by side."""
        first = {host: host for host in sorted({*self.hosts, *(end for pair in self.pairs for end in pair)})}

        def head(host: str) -> str:
            while first[host] != host:
                host = first[host]
            return host

        for one, other in self.pairs:
            low, high = sorted((head(one), head(other)))
            first[high] = low
        return {host: place for place, host in enumerate(sorted(set(self.hosts), key=lambda host: (head(host), host)))}

    def hosts_of(self, shard: Shard) -> tuple[str, ...]:
        """Return the hosts of a shard."""
        return tuple(host for host in self.hosts if self.shard_of(host, shard.of) == shard.number)

    def services_of(self, hosts: Iterable[str]) -> tuple[str, ...]:
        """Return the services that belong to hosts."""
        wanted = set(hosts)
        return tuple(service for service, home in self.homes.items() if home in wanted)
