"""What a rollback goes back to: the source's container, at rest since the move stopped it, or as somebody left it."""

from __future__ import annotations

from actions.container_spec.identity import is_running, started_at
from engine.container_names import kept_name
from engine.contracts.container import ContainerFacts
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from phases.context.attempt import read_past
from phases.context.service_move import ServiceMove

STOPPED_BY = "stop-source"
REASON = "compared by hand"


def find_kept(move: ServiceMove, *, as_it_is: bool) -> tuple[ContainerFacts | None, Judgement]:
    """Return the source's container when the rollback may go back to it, else None and why not.

    Data is brought back only over a container that rests since the move stopped it. `as_it_is` says that nothing is
    written over its data (--discard-target-writes): it may have run since then, and may run now.
    """
    name, source = move.entry.container, move.source_facts()
    kept = source.container(kept_name(name)) or source.container(name)
    if kept is None:
        return None, failed(
            say(
                "{source}: {kept_name} is {state}. Expected: kept and stopped since the move",
                source=move.source,
                kept_name=kept_name(name),
                state=say("not there"),
            )
        )
    if as_it_is or not (ran := _ran_since(move, kept)):
        return kept, passed(say("{name} is {state} on {source}", name=kept.name, state=kept.state, source=move.source))
    return None, failed(
        say(
            "{source}: {name} {ran}. Expected: stopped since the move: it may hold newer writes, so nothing is written "
            "over them. Compare both sides: ssh {source} docker logs --tail 50 {name}; ssh {target} docker logs --tail "
            "50 {container}. To go back to what {source} holds now, and keep what {target} holds there in a stopped "
            "container: {command}",
            source=move.source,
            name=kept.name,
            ran=ran,
            target=move.target,
            container=name,
            command=move.context.scope.command(
                "rollback", "--discard-target-writes", REASON, service=move.service, apply=True
            ),
        )
    )


def _ran_since(move: ServiceMove, kept: ContainerFacts) -> str:
    """Return how the container runs, or ran since the move stopped it; "" when it is in the run that was stopped."""
    if is_running(kept.raw):
        return say("is {state}", state=kept.state)
    stopped = str(read_past(move.context.journal, move.service).notes.get(STOPPED_BY, {}).get("started_at") or "")
    began = started_at(kept.raw)
    if not stopped or stopped == began:
        return ""
    return say("was started again at {began} (the run that was stopped began {stopped})", began=began, stopped=stopped)
