"""Host projects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checks.compose.grouping import is_compose_name, launch_of, read_projects
from checks.compose.sources import FetchedSources
from checks.ports.report import HostScan
from hosts.facts.compose_files import FoundFiles, fetch_files, search_compose_files
from hosts.facts.model import HostFacts
from hosts.fleet import Fleet

MOST_TRIPS: Final = 4
"""A compose file may name another one that the search did not find, and so on."""


LONGEST_ARGUMENT: Final = 20_000


def read_host_projects(fleet: Fleet, facts: HostFacts) -> tuple[FoundFiles, HostScan]:
    """Search a host, and fetch what its compose files name besides, in as few trips as that takes."""
    launches = [launch for container in facts.containers if (launch := launch_of(dict(container.labels)))]
    started_from = [path for launch in launches for path in (*launch.files, f"{launch.folder}/.env")]
    found = search_compose_files(fleet[facts.host], facts.docker_root, sorted({*_bound_paths(facts), *started_from}))
    fetched: set[str] = set()
    for _ in range(MOST_TRIPS):
        sources = FetchedSources(found.contents, found.unreadable)
        projects = read_projects(sources, (path for path in found.compose if is_compose_name(path)), launches)
        wanted = sources.missing - fetched
        if not wanted:
            break
        found = found.with_more(fetch_files(fleet[facts.host], sorted(wanted)))
        fetched |= wanted
    return found, HostScan(facts.host, facts, projects, ephemeral=found.ephemeral)


def _bound_paths(facts: HostFacts) -> Iterator[str]:
    """Yield what containers have mounted from the host and may be settings: no socket, nothing of the kernel's."""
    for container in facts.containers:
        for mount in container.mounts:
            if (
                mount.kind == "bind"
                and not mount.source.startswith(("/proc", "/sys", "/dev", "/run", "/var/run"))
                and mount.source != "/"
            ):
                yield mount.source
