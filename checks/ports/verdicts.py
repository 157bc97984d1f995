"""Verdicts over a port scan: were the compose files understood, and will every moved service have its ports."""

from __future__ import annotations

from checks.ports.conflicts import Conflict
from checks.ports.planned_ports import PlannedPorts
from checks.ports.report import HostScan, PortReport
from engine.command_line import ANY, typed_command
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown


def judge_compose_understood(scan: HostScan) -> Judgement:
    """Judge whether a host's compose files were found and understood; one that was not looked at is UNKNOWN."""
    if scan.error or scan.facts is None:
        return unknown(
            scan.error or say("{host}: was not looked at. Expected: an answer. Try: ssh {host} true", host=scan.host)
        )
    files = {file for project in scan.projects for file in project.files}
    troubles = [trouble.text() for project in scan.projects for trouble in project.troubles]
    if troubles:
        return failed(
            say(
                "{host}: {troubles_count} places in {files_count} compose files not understood: {trouble}. Expected: "
                "what docker compose reads. Try: ssh {host} docker compose -f FILE config",
                host=scan.host,
                troubles_count=len(troubles),
                files_count=len(files),
                trouble=troubles[0],
            ),
            tuple(troubles),
            places=len(troubles),
            files=len(files),
        )
    ports = sum(len(service.claimed) for project in scan.projects for service in project.services)
    unset = sorted({name for project in scan.projects for name in project.unset})
    valueless = say("; without a value: {unset}", unset=", ".join(unset)) if unset else ""
    return passed(
        say(
            "{host}: {files_count} compose files of {projects_count} projects understood, {ports} port "
            "entries{valueless}",
            host=scan.host,
            files_count=len(files),
            projects_count=len(scan.projects),
            ports=ports,
            valueless=valueless,
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
        return passed(say("{service}: is on {target} already", service=arrival.service, target=arrival.target))
    mine = [conflict for conflict in report.after if _is_about(conflict, arrival.service)]
    sure = [conflict for conflict in mine if conflict.blocks]
    possible = tuple(say("possible: {conflict}", conflict=conflict.text()) for conflict in mine if not conflict.blocks)
    if sure:
        remaps = [remap.text() for remap in report.remaps if remap.service == arrival.service]
        write = typed_command("ports", "--write", environment=environment)
        way_out = (
            say("Proposed: {remaps}. Write it with: {write}", remaps="; ".join(remaps), write=write)
            if remaps
            else say("Stop what has it, or move something elsewhere")
        )
        details = (*(conflict.text() for conflict in sure), *possible)
        return failed(
            say(
                "{service}: {count} port conflicts after all moves: {first_sure}. Expected: one for each port. "
                "{way_out}",
                service=arrival.service,
                count=len(sure),
                first_sure=sure[0].text(),
                way_out=way_out,
            ),
            details,
            conflicts=len(sure),
        )
    remapped = joined(
        "", (say("; {key} is {number} there", key=key, number=number) for key, number in sorted(arrival.remaps.items()))
    )
    return passed(
        say(
            "{service}: its {count} ports are wanted by nobody else on {target} after all moves{remapped}",
            service=arrival.service,
            count=len(arrival.ports),
            target=arrival.target,
            remapped=remapped,
        ),
        possible,
        ports=len(arrival.ports),
    )


def _is_about(conflict: Conflict, service: str) -> bool:
    return any(claim.identity in {f"move {service}", f"relay {service}"} for claim in conflict.claims)
