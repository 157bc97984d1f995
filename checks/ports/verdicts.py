"""Verdicts over a port scan: were the compose files understood, and will every moved service have its ports."""

from __future__ import annotations

from checks.ports.conflicts import Conflict
from checks.ports.planned_ports import PlannedPorts
from checks.ports.report import HostScan, PortReport
from engine.command_line import ANY, typed_command
from engine.verdict import Judgement, failed, passed, unknown


def judge_compose_understood(scan: HostScan) -> Judgement:
    """Judge whether a host's compose files were found and understood; one that was not looked at is UNKNOWN."""
    if scan.error or scan.facts is None:
        return unknown(scan.error or f"{scan.host}: was not looked at. Expected: an answer. Try: ssh {scan.host} true")
    files = {file for project in scan.projects for file in project.files}
    troubles = [trouble.text() for project in scan.projects for trouble in project.troubles]
    if troubles:
        return failed(
            f"{scan.host}: {len(troubles)} places in {len(files)} compose files not understood: {troubles[0]}. "
            "Expected: what docker compose "
            f"reads. Try: ssh {scan.host} docker compose -f FILE config",
            tuple(troubles),
            places=len(troubles),
            files=len(files),
        )
    ports = sum(len(service.claimed) for project in scan.projects for service in project.services)
    unset = sorted({name for project in scan.projects for name in project.unset})
    told = f"; without a value: {', '.join(unset)}" if unset else ""
    return passed(
        (
            f"{scan.host}: {len(files)} compose files of {len(scan.projects)} projects understood, {ports} port "
            f"entries{told}"
        ),
        files=len(files),
        ports=ports,
    )


def judge_ports_after_moves(report: PortReport, arrival: PlannedPorts, environment: str = ANY) -> Judgement:
    """Judge whether a service has its ports on its target, and its relays theirs on its source, once all moves are
    done.
    """
    unseen = [report.unseen[host] for host in (arrival.target, arrival.source) if host in report.unseen]
    if unseen:
        return unknown(f"{arrival.service}: {unseen[0]}")
    if arrival.done:
        return passed(f"{arrival.service}: is on {arrival.target} already")
    mine = [conflict for conflict in report.after if _is_about(conflict, arrival.service)]
    sure = [conflict for conflict in mine if conflict.blocks]
    possible = tuple(f"possible: {conflict.text()}" for conflict in mine if not conflict.blocks)
    if sure:
        remaps = [remap.text() for remap in report.remaps if remap.service == arrival.service]
        write = typed_command("ports", "--write", environment=environment)
        way_out = (
            f"Proposed: {'; '.join(remaps)}. Write it with: {write}"
            if remaps
            else "Stop what has it, or move something elsewhere"
        )
        details = (*(conflict.text() for conflict in sure), *possible)
        return failed(
            (
                f"{arrival.service}: {len(sure)} port conflicts after all moves: {sure[0].text()}. Expected: one "
                f"for each port. {way_out}"
            ),
            details,
            conflicts=len(sure),
        )
    remapped = "".join(f"; {key} is {number} there" for key, number in sorted(arrival.remaps.items()))
    return passed(
        (
            f"{arrival.service}: its {len(arrival.ports)} ports are wanted by nobody else on {arrival.target} "
            f"after all moves{remapped}"
        ),
        possible,
        ports=len(arrival.ports),
    )


def _is_about(conflict: Conflict, service: str) -> bool:
    return any(claim.identity in {f"move {service}", f"relay {service}"} for claim in conflict.claims)
