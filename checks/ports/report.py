"""Everything that is known about the ports of some hosts, joined: declared, held, in conflict, remapped, and who must
know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from checks.compose.model import ComposeProject
from checks.ports.claims import Claim, claims_of_host, claims_of_projects
from checks.ports.conflicts import Conflict, conflicts_after, conflicts_among
from checks.ports.consumers import Consumer
from checks.ports.planned_ports import PlannedPorts
from checks.ports.remap_solver import Remap, plan_remaps, with_remaps
from engine.errors import NotObservedError
from hosts.facts.compose_files import USUAL_EPHEMERAL
from hosts.facts.model import HostFacts

HERE: Final = "here"
"""The name of this machine in a scan of local paths, which reads nothing but files."""


@dataclass(frozen=True)
class HostScan:
    """What was seen of one host; `error` says why its compose files, or the host as a whole, could not be seen."""

    host: str
    facts: HostFacts | None
    projects: tuple[ComposeProject, ...] = ()
    error: str = ""
    ephemeral: tuple[int, int] = USUAL_EPHEMERAL

    def claims(self) -> tuple[Claim, ...]:
        """Return the claims on its ports, as far as it was seen; raises CouldNotLookError when it was not."""
        if self.facts is None:
            return tuple(claims_of_projects(self.host, self.projects))
        return claims_of_host(self.facts, self.projects)


@dataclass(frozen=True)
class PortReport:
    """What a scan found."""

    scans: tuple[HostScan, ...]
    unseen: Mapping[str, str]  # hosts whose ports are not known, with the reason
    claims: tuple[Claim, ...]
    now: tuple[Conflict, ...]
    after: tuple[Conflict, ...]  # once the moves are done as the plan has them
    remaps: tuple[Remap, ...]
    unsolved: tuple[Conflict, ...]  # what conflicts even with the remaps
    consumers: tuple[Consumer, ...] = ()

    @property
    def blocking(self) -> tuple[Conflict, ...]:
        """Return the conflicts of the moves that are sure."""
        return tuple(conflict for conflict in self.after if conflict.blocks)


def report_of(
    scans: Iterable[HostScan], arrivals: Iterable[PlannedPorts] = (), declared: Iterable[int] = ()
) -> PortReport:
    """Join what was seen with what is planned; `declared` are more ports that no remap may take."""
    scans, arrivals = tuple(scans), tuple(arrivals)
    claims: list[Claim] = []
    unseen = {}
    for scan in scans:
        try:
            claims += scan.claims()
        except NotObservedError as error:
            unseen[scan.host] = str(error)
        if scan.facts is None and scan.error:
            unseen[scan.host] = scan.error
    after = conflicts_after(claims, arrivals)
    remaps = plan_remaps(claims, arrivals, {scan.ephemeral for scan in scans}, declared)
    return PortReport(
        scans=scans,
        unseen=unseen,
        claims=tuple(claims),
        now=tuple(conflicts_among(claims)),
        after=tuple(after),
        remaps=tuple(remaps),
        unsolved=tuple(
            conflict for conflict in conflicts_after(claims, with_remaps(arrivals, remaps)) if conflict.blocks
        )
        if remaps
        else (),
    )


def as_json(report: PortReport) -> dict[str, Any]:
    """Return a report for programs: plain values, in an order that stays."""
    return {
        "hosts": {scan.host: _scan(scan, report.unseen.get(scan.host, "")) for scan in report.scans},
        "claims": [
            _claim(claim)
            for claim in sorted(report.claims, key=lambda one: (one.host, one.first, one.protocol, one.who))
        ],
        "conflicts": [*_conflicts("now", report.now), *_conflicts("after the moves", report.after)],
        "remaps": [
            {"service": one.service, "target": one.target, "port": one.key, "becomes": one.to, "because": one.because}
            for one in report.remaps
        ],
        "consumers": [
            {
                "service": one.service,
                "port": one.port,
                "role": one.role,
                "place": one.place,
                "says": one.says,
                "becomes": one.becomes,
                "how": one.how,
            }
            for one in report.consumers
        ],
    }


def _scan(scan: HostScan, unseen: str) -> dict[str, Any]:
    return {
        "not_seen": unseen or scan.error,
        "projects": [
            {
                "name": project.name,
                "folder": project.folder,
                "files": list(project.files),
                "default": project.is_default,
                "unset_variables": list(project.unset),
                "not_understood": [
                    {"file": one.file, "line": one.line, "reason": one.reason} for one in project.troubles
                ],
                "services": {
                    service.name: {
                        "active": service.is_active,
                        "profiles": list(service.profiles),
                        "network_mode": service.network_mode,
                        "ports": [
                            {"port": port.published.text(), "file": port.place.file, "line": port.place.line}
                            for port in service.ports
                        ],
                        "exposed": [port.published.text() for port in service.exposed],
                    }
                    for service in project.services
                },
            }
            for project in scan.projects
        ],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "host": claim.host,
        "port": claim.port_text,
        "who": claim.who,
        "kind": claim.kind,
        "level": claim.level.name.lower(),
    }


def _conflicts(when: str, conflicts: Iterable[Conflict]) -> list[dict[str, Any]]:
    return [
        {
            "host": one.host,
            "port": one.port_text,
            "when": when,
            "blocks": one.blocks,
            "who": [claim.who for claim in one.claims],
        }
        for one in conflicts
    ]
