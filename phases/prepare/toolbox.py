"""Preparation that belongs to hosts, not to a move."""

from __future__ import annotations

from actions.common.labels import move_label
from actions.images.ship import ship_toolbox as ship
from engine.finding import say
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.saga.outcomes import PlannedOnly
from engine.verdict import Judgement, Verdict
from hosts.fleet import Fleet
from phases.context.run_context import RunContext


def ship_toolbox(context: RunContext, host: str, *, apply: bool) -> Judgement:
    """Put the toolbox image onto a host; in a dry run say so."""
    if not apply:
        raise PlannedOnly(say("{host}: load the toolbox image, unless the same one is there", host=host))
    context.facts(host).need_docker()
    judgement = ship(context.fleet, host, move_label(context.scope.environment.environment, "toolbox", 1))
    context.fleet.forget_facts(host)
    if judgement.passed:
        context.fleet.use_toolbox(host, str(judgement.measured["image"]))
    return judgement


def recorded_toolboxes(journal: Journal) -> dict[str, str]:
    """Return the id of the toolbox that the newest prepare saw on each host."""
    found: dict[str, str] = {}
    for record in journal.records(kind=RecordKind.RESULT):
        if record.key == "toolbox" and record.body.get("verdict") == Verdict.PASSED.value:
            image = str((record.body.get("measured") or {}).get("image") or "")
            if image.startswith("sha256:"):
                found[str(record.body.get("host"))] = image
    return found


def use_recorded_toolboxes(fleet: Fleet, journal: Journal, command: str) -> Fleet:
    """Run the toolbox by the id that prepare compared, whatever its tag names by now; prepare itself
    compares it first.
    """
    for host, image in recorded_toolboxes(journal).items():
        if command != "prepare" and host in fleet.names:
            fleet.use_toolbox(host, image)
    return fleet
