"""A port scan as tables, for the console and for the evidence."""

from __future__ import annotations

from collections.abc import Iterator

from checks.compose.model import ComposeProject, ComposeService
from checks.ports.claims import Claim
from checks.ports.conflicts import Conflict
from checks.ports.report import PortReport
from engine.finding import joined, say
from engine.report_sections import Table

LEVELS = {"HELD": say("in use"), "CLAIMED": say("will be"), "DECLARED": say("declared only")}


def tables_of(report: PortReport) -> tuple[Table, ...]:
    """Return the tables of a scan; those without rows are left out, but for the compose files."""
    tables = (
        compose_table(report),
        claims_table(report),
        conflicts_table(report),
        remaps_table(report),
        consumers_table(report),
    )
    return tuple(table for position, table in enumerate(tables) if table.rows or not position)


def compose_table(report: PortReport) -> Table:
    """Return one row per compose project, and one per host that has none or was not seen."""
    rows: list[tuple[str, str, str, str, str]] = []
    for scan in report.scans:
        if scan.error or scan.host in report.unseen:
            rows.append(
                (scan.host, "–", "–", "–", say("UNKNOWN: {error}", error=scan.error or report.unseen[scan.host]))
            )
        rows += [(scan.host, *_project(project)) for project in scan.projects]
        if not scan.projects and not scan.error:
            rows.append((scan.host, say("none found"), "–", "–", "–"))
    return Table("Compose files", ("host", "project", "files", "publishes", "not understood"), tuple(rows))


def _project(project: ComposeProject) -> tuple[str, str, str, str]:
    name = project.name if project.is_default else say("{name} (only when named with -f)", name=project.name)
    published = joined(
        "; ",
        (
            say("{name}{aside}: {ports}", name=service.name, aside=_aside(service), ports=joined(", ", _ports(service)))
            for service in project.services
            if any(_ports(service))
        ),
    )
    return (
        name,
        ", ".join(project.files),
        published or "nothing",
        joined("; ", (one.text() for one in project.troubles)) or "–",
    )


def _ports(service: ComposeService) -> Iterator[str]:
    for port in service.claimed:
        yield (
            say("{published} (host network)", published=port.published.text())
            if service.on_host_network
            else port.published.text()
        )


def _aside(service: ComposeService) -> str:
    return "" if service.is_active else say(" (profile {profiles})", profiles=", ".join(service.profiles))


def claims_table(report: PortReport) -> Table:
    """Return who has or wants which port."""
    ordered = sorted(report.claims, key=lambda one: (one.host, one.first, one.last, one.protocol, one.who))
    return Table("Ports", ("host", "port", "state", "who"), tuple(_claim(claim) for claim in ordered))


def _claim(claim: Claim) -> tuple[str, str, str, str]:
    return claim.host, claim.port_text, LEVELS[claim.level.name], claim.who


def conflicts_table(report: PortReport) -> Table:
    """Return the conflicts now and after the moves."""
    rows = [
        *(_conflict("now", one) for one in report.now),
        *(_conflict(say("after all moves"), one) for one in report.after),
    ]
    return Table("Port conflicts", ("host", "port", "when", "sure", "who"), tuple(rows))


def _conflict(when: str, conflict: Conflict) -> tuple[str, str, str, str, str]:
    sure = "yes" if conflict.blocks else say("only if an unused project is started")
    return conflict.host, conflict.port_text, when, sure, joined(" and ", (claim.who for claim in conflict.claims))


def remaps_table(report: PortReport) -> Table:
    """Return the proposed remaps."""
    rows = tuple(
        (one.service, one.target, one.key, f"{one.to}/{one.port.protocol}", one.because) for one in report.remaps
    )
    return Table("Port remaps proposed", ("service", "target", "port", "becomes", "because of"), rows)


def consumers_table(report: PortReport) -> Table:
    """Return who reaches a remapped port."""
    rows = tuple(
        (one.service, one.port, one.role, one.place, one.says, one.becomes, one.how) for one in report.consumers
    )
    return Table("Consumers of remapped ports", ("service", "port", "what", "where", "says", "becomes", "how"), rows)
