"""The invariants: what must hold in the model after each run and at the end of a story, whatever befell it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from actions.relays.planning import wanted_forwarders
from engine.contracts.move_state import MoveState
from engine.journal.record import chain_problems
from engine.verdict import Effect, ExitCode
from phases.context.attempt import read_past
from phases.context.run_context import where_now
from phases.rollback.recipe import UNDO_STEP
from tests.simulation.process import Process
from tests.simulation.run import Outcome, Stage
from tests.simulation.scenario import APP_IMAGE, STORE_IMAGE, TARGETS, scope_of
from tests.simulation.world import Container, Machine, World

IMAGES: Final = {"store": STORE_IMAGE, "app": APP_IMAGE}
HELPERS: Final = frozenset({"copy", "probe", "manifest", "aside", "replica", "toolbox", "trial"})
AT_SOURCE: Final = {MoveState.PLANNED, MoveState.UNDONE, MoveState.ROLLED_BACK}


def containers_of(world: World, service: str) -> Iterator[tuple[Machine, Container]]:
    """Yield the containers of a service, wherever and under whatever name they are."""
    for machine in world.machines.values():
        yield from ((machine, one) for one in machine.services() if one.image == IMAGES[service])


def running_of(world: World, service: str) -> list[tuple[Machine, Container]]:
    """Return those that run."""
    return [(machine, one) for machine, one in containers_of(world, service) if one.running]


def is_at_source(stage: Stage, service: str) -> bool:
    """Return whether a service is where it was before its move, on record."""
    return MoveState(stage.journal.move_state(service)) in AT_SOURCE


def check_somewhere(stage: Stage) -> None:
    """Check that every acknowledged record is still somewhere."""
    world = stage.world
    lost = world.acknowledged() - world.survivors()
    if lost:
        world.violate(f"acknowledged writes are nowhere any more: {len(lost)}, e.g. {sorted(lost)[:2]}")


def check_said(stage: Stage, outcome: Outcome) -> None:
    """Check that a move whose every action was undone is on record as undone, where the run could and may write it.

    A run that was refused before its first step wrote nothing, and says so: the next one finds what is left.
    """
    refused_at_once = outcome.exit is ExitCode.REFUSED and not outcome.rows
    if outcome.killed or outcome.silenced or refused_at_once:
        return
    for service in ("store", "app"):
        if MoveState(stage.journal.move_state(service)) is not MoveState.IN_PROGRESS:
            continue
        past = read_past(stage.journal, service)
        undone = stage.journal.last("undo_outcome", service=service)
        begun = stage.journal.last("plan_frozen", service=service)
        intents = [
            one
            for one in stage.journal.records(kind="intent", service=service)
            if one.body.get("effect") != Effect.READ_ONLY.value
        ]
        left = (past.touched & {str(one.key) for one in intents}) - {
            UNDO_STEP
        }  # which asks for the undo, and changes nothing itself
        if undone and begun and undone.seq > begun.seq and not left and intents and undone.seq > intents[-1].seq:
            stage.world.violate(f"all of {service}'s move was undone, the journal says in progress")


def check_kept(stage: Stage) -> None:
    """Check that a kept source still has what it held, in place or in its safety copy, while its target serves."""
    for service, content in stage.kept.items():
        state = MoveState(stage.journal.move_state(service))
        if state not in {MoveState.DONE, MoveState.COMMITTED, MoveState.NEEDS_OPERATOR}:
            continue
        volumes = stage.world.machines["a"].volumes.values()
        if not any(one.content() == content for one in volumes) and not stage.started_by_hand:
            stage.world.violate(
                f"what {service} held on its source when it was kept is nowhere any more (state {state.value})"
            )


def row_is_true(stage: Stage, process: Process, session: Any, row: Any) -> None:
    """Check that a row that PASSED is true in the model, where nothing happened since its step began."""
    if row.key == "disable-restart":
        stage.kept.pop(row.service, None)  # a new attempt
    if process.disturbed or not row.service:
        return
    world, service = stage.world, row.service
    move = session.context.move_of(service)
    source, target = world.machines[move.source], world.machines[move.target]
    here = next((one for one in source.services() if one.image == IMAGES[service]), None)
    there = target.container(service)
    wrong = ""
    if row.key == "rename-source" and here is not None and not here.running and f"{service}_data" in source.volumes:
        stage.kept[service] = source.volumes[f"{service}_data"].content()
    if row.key == "verify-volumes" and (there is None or not there.started_at):
        if not _same(source, target, service):
            wrong = "the volumes differ"
        elif here is not None and here.running:
            wrong = "the source runs"
    elif row.key == "stop-source" and here is not None and here.running and not (there and there.running):
        wrong = "the source runs"
    elif row.key == "commit":
        if there is None or not there.running:
            wrong = "the target does not run"
        elif there.policy != stage.scenario.policy and service == "store":
            wrong = f"the target's restart policy is {there.policy}"
    elif row.key == "rename-source" and here is not None and (here.running or here.policy != "no"):
        wrong = "the source runs or would start"
    elif row.key == "start-returned" and (here is None or not here.running or here.policy != stage.scenario.policy):
        wrong = f"the source is {here.status if here else 'gone'}, policy {here.policy if here else ''}"
    elif row.key == "remove-copy-helpers" and [
        one
        for one in helpers_left(world, "copy") + keys_left(world)
        if f"lab-{service}-" in one or f"lab/{service}/" in one
    ]:
        wrong = "something of the copy is left"
    elif row.key == "clean-target" and there is not None:
        wrong = "the moved container is there"
    if wrong:
        world.violate(f"PASSED but not true: {row.key}: {wrong}")


def _same(source: Machine, target: Machine, service: str) -> bool:
    one, other = source.volumes.get(f"{service}_data"), target.volumes.get(f"{service}_data")
    return one is not None and other is not None and one.content() == other.content()


def helpers_left(world: World, role: str = "") -> list[str]:
    """Return helper containers that are there."""
    return [
        f"{one.name} on {machine.name}"
        for machine in world.machines.values()
        if not machine.gone
        for one in machine.containers.values()
        if one.role in ({role} if role else HELPERS)
    ]


def keys_left(world: World) -> list[str]:
    """Return temporary keys that are there."""
    lines = [
        f"{line[-60:]} on {machine.name}"
        for machine in world.machines.values()
        if not machine.gone
        for line in machine.keys
        if "longshore:" in line
    ]
    return lines + [
        f"{path} on {machine.name}"
        for machine in world.machines.values()
        if not machine.gone
        for path in machine.run_files
        if "longshore" in path
    ]


def check_end(stage: Stage, outcome: Outcome) -> None:
    """Check a story's end: the last run reached what it was for, or said that a person must."""
    world = stage.world
    check_somewhere(stage)
    check_chain(stage)
    check_foreign(stage)
    for service in ("store", "app"):
        running = running_of(world, service)
        if len(running) > 1:
            world.violate(
                f"two writers at the end: {', '.join(f'{one.name} on {machine.name}' for machine, one in running)}"
            )
    lost = [service for service in TARGETS[stage.scenario.topology] if stage.is_target_lost(service)]
    for service in lost:
        if outcome.exit not in {ExitCode.OK, ExitCode.REFUSED} or not is_at_source(stage, service):
            state = MoveState(stage.journal.move_state(service)).value
            world.violate(f"no way back from a lost target: {service} is {state} after {outcome.text()[:300]}")
    if outcome.exit is ExitCode.REFUSED:  # there was nothing to bring back
        for service in ("store", "app"):
            check_serves(stage, service)
        return
    if outcome.exit is not ExitCode.OK:
        return
    for service in ("store", "app"):
        check_serves(stage, service)
    check_relays(stage)
    check_left(stage)


def check_serves(stage: Stage, service: str) -> None:
    """Check that a service runs where the journal says, with its policy, and holds what was acknowledged."""
    world = stage.world
    scope = scope_of(stage.scenario, (), stage.plans.replanned)
    move = next((one for one in scope.plan.moves if one.service == service), None)
    state = MoveState(stage.journal.move_state(service))
    home = "a"
    if state in {MoveState.DONE, MoveState.COMMITTED}:
        begun = stage.journal.last("plan_frozen", service=service)
        home = begun.body["move"]["target"] if begun else (move.target if move else "a")
    elif state not in AT_SOURCE:
        world.violate(f"the last run ended with 0 while {service} is {state.value}")
        return
    running = running_of(world, service)
    if not running:
        world.violate(f"{service} runs nowhere, and the last run ended with 0 (state {state.value})")
        return
    machine, container = running[0]
    if machine.name != home:
        world.violate(f"{service} runs on {machine.name}, the journal says {home} ({state.value})")
    if container.name != service:
        world.violate(f"{service} runs under the name {container.name}")
    if container.policy != stage.scenario.policy:
        world.violate(
            f"{service} on {machine.name} has the restart policy {container.policy}, it was {stage.scenario.policy}"
        )
    volume = machine.volumes.get(container.volume_at("/data") or "")
    held = volume.records() if volume else set()
    lost = world.acknowledged(service) - held
    acted = set(world.acted) - held if service == "store" else set()
    if service in stage.given_up:  # what a flag admitted to leave is kept, elsewhere
        lost, acted = lost - world.survivors(), acted - world.survivors()
        kept = stage.kept.get(service, {})
        lost |= set().union(*(records for records, _ in kept.values())) - held if kept else set()
    if lost or acted:
        world.violate(
            f"acknowledged writes are not in {service} on {machine.name}: {len(lost) + len(acted)}, e.g. "
            f"{sorted(lost | acted)[:2]}"
        )
    for client in world.clients:
        found = (
            world.reach(_host_of(world, client), client.network, client.alias, client.port)
            if client.service == service
            else (machine, container)
        )
        if found is None or found[1] is not container:
            world.violate(
                f"client {client.name} of {service} does not reach it, and the last run ended with 0 (state "
                f"{state.value})"
            )
    for other_machine, other in containers_of(world, service):
        if other is not container and other.policy != "no" and not other_machine.gone:
            world.violate(
                f"{other.name} on {other_machine.name} is stopped with restart policy {other.policy}: two "
                "writers after a reboot"
            )


def _host_of(world: World, client: Any) -> str:
    if not client.follows:
        return str(client.host)
    return next(
        (
            name
            for name, one in world.machines.items()
            if any(it.image == client.follows and it.running for it in one.services())
        ),
        "outside",
    )


def check_relays(stage: Stage) -> None:
    """Check that exactly the wanted relays run, on all hosts."""
    world = stage.world
    scope = scope_of(stage.scenario, (), False)
    wanted_relays = wanted_forwarders(scope, where_now(scope, stage.journal))
    wanted = {
        (host, relay.text())
        for relay in wanted_relays
        for host in getattr(relay, "hosts", (relay.host,))
        if not world.machines[host].gone
    }
    if stage.plans.replanned:
        return
    there = {
        (machine.name, one.labels.get("longshore.relay", ""))
        for machine in world.machines.values()
        if not machine.gone
        for one in machine.containers.values()
        if one.role == "forwarder"
    }
    for relay in sorted(map(str, wanted - there)):
        world.violate(f"a relay is missing: {relay}")
    for relay in sorted(map(str, there - wanted)):
        world.violate(f"a relay is left that nobody wants: {relay}")


def check_left(stage: Stage) -> None:
    """Check that nothing of longshore's own is left but relays and kept sources."""
    world = stage.world
    for text in helpers_left(world):
        world.violate(f"a helper is left: {text}")
    for text in keys_left(world):
        world.violate(f"a key is left: {text}")
    for machine in world.machines.values():
        reported = any(
            f"{machine.name}: did not answer, so its lock is still there" in text for text in stage.outside_book
        )
        if machine.lock is not None and not reported and not machine.gone:
            world.violate(f"a lock is left on {machine.name}")


def check_foreign(stage: Stage) -> None:
    """Check that nothing of others was touched."""
    for name in ("a", "b", "c"):
        machine = stage.world.machines[name]
        other = machine.container("other")
        if other is None or other.policy != "always" or "others" not in machine.volumes:
            stage.world.violate(f"something of others was touched on {name}")
        elif machine.volumes["others"].records() != {("theirs", 1)}:
            stage.world.violate(f"data of others was changed on {name}")
        if f"ssh-ed25519 AAAAadmin{name} admin@example.org" not in machine.keys:
            stage.world.violate(f"a key of others is missing on {name}")


def check_chain(stage: Stage) -> None:
    """Check that the record's chain is whole."""
    for run in dict.fromkeys(record.run_id for record in stage.journal.records()):
        for problem in chain_problems(stage.journal.records(run_id=run)):
            stage.world.violate(f"the chain of records is broken: {problem}")
