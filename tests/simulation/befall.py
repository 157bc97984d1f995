"""What each kind of event does to the modelled world, and the draw of a seed: which events, where."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.simulation.process import Process
from tests.simulation.run import Outcome, run_phase, stage
from tests.simulation.scenario import APP_IMAGE, STORE_IMAGE, TARGETS, Command, Scenario, goals_of
from tests.simulation.story import Event, Place

HOSTS: Final = ("a", "b", "c")
PERSON_AWAY_S: Final = 90.0
Points = dict[str, int]


def happen(event: Event, process: Process, what: str) -> None:
    """Let an event happen, during a call of a process."""
    world = process.world
    process.disturbed += 1
    if event.host in world.machines and world.machines[event.host].gone:
        return
    if event.kind == "kill":
        process.alive = False
    elif event.kind == "journal lost":
        _lose_journal(process)
    elif event.kind == "suspend":
        _second_operator(event, process)
    elif event.kind == "lose":
        process.lose_next = True
    elif event.kind == "cut":
        process.unreachable[event.host] = world.now + event.seconds
    elif event.kind == "cut hosts":
        pair = frozenset(event.host.split("-"))
        world.cuts.add(pair)
        world.repairs.append((world.now + event.seconds, lambda: world.cuts.discard(pair)))
    elif event.kind == "engine":
        world.engine_ends(world.machines[event.host], event.seconds)
    elif event.kind == "reboot":
        world.reboot(world.machines[event.host], event.seconds)
    elif event.kind == "power":
        world.reboot(world.machines[event.host], event.seconds, power_cut=True)
    elif event.kind == "gone":
        world.lose(world.machines[event.host])
    elif event.kind == "full":
        machine = world.machines[event.host]
        machine.full = True
        world.repairs.append((world.now + event.seconds, lambda: setattr(machine, "full", False)))
    elif event.kind == "clock":
        world.machines[event.host].offset_s += event.seconds
    elif event.kind == "person starts":
        _person_starts(process, event)
    elif event.kind == "person stops":
        _person_stops(process, event)
    elif event.kind == "journal":
        process.journal_full = event.say or "full"
    elif event.kind == "replan":
        stage().plans.replanned = True


def _second_operator(event: Event, process: Process) -> None:
    """Let this process sleep while somebody else takes over and works to his end."""
    services = (process.step.partition(" ")[0],) if process.step.partition(" ")[0] in {"app", "store"} else ("store",)
    command = Command(event.say or "migrate", services, break_lock="the first one sleeps")
    if run_phase(command, machine="two").killed:
        stage().abandoned.append(replace(command, break_lock=None))
    process.world.advance(event.seconds)


def _lose_journal(process: Process) -> None:
    """Let the operator's machine burn, unless another one still works with the same journal."""
    if len(stage().processes) == 1:
        process.alive, stage().journal_lost = False, True


def _person_starts(process: Process, event: Event) -> None:
    """Let somebody on call start the service's container again, where it is down everywhere; clients write, and it is
    stopped again.
    """
    world = process.world
    image = APP_IMAGE if event.say == "app" else STORE_IMAGE
    running = [
        one for machine in world.machines.values() for one in machine.services() if one.image == image and one.running
    ]
    if running or not all(world.engine_up(host) for host in HOSTS):
        return  # whoever does so has seen that it is down everywhere, and that no engine is about to start it
    machine = world.machines[event.host]
    found = next((one for one in machine.services() if one.image == image), None)
    if found is None:
        return
    stage().started_by_hand = True
    found.by_hand_at = world.calls
    world.start(machine, found)
    world.advance(5.0)
    if event.seconds:
        world.stop(machine, found)


def _person_stops(process: Process, event: Event) -> None:
    """Let somebody stop the running service by hand."""
    world = process.world
    image = APP_IMAGE if event.say == "app" else STORE_IMAGE
    machine = world.machines[event.host]
    found = next((one for one in machine.services() if one.image == image and one.running), None)
    if found is not None and world.engine_up(event.host):
        world.stop(machine, found)
        world.repairs.append((world.now + PERSON_AWAY_S, lambda: _starts_again(process, event.host, found.id, image)))


def _starts_again(process: Process, host: str, container: str, image: str) -> None:
    """Let the person who stopped a service start it again, unless somebody else has done something with it since."""
    world = process.world
    found = world.machines[host].containers.get(container)
    elsewhere = any(
        one.image == image and one.running for machine in world.machines.values() for one in machine.services()
    )
    if found is not None and found.stopped_by_hand and found.policy != "no" and not elsewhere and world.engine_up(host):
        world.start(world.machines[host], found)


@dataclass(frozen=True)
class Draw:
    """A seed's story before it is played."""

    scenario: Scenario
    events: tuple[Event, ...]


TOPOLOGIES: tuple[str, ...] = ("single", "pair")
TOPOLOGY_WEIGHTS: Final = (70, 30)
FLOWS: Final = (
    ("migrate",), ("migrate",), ("migrate", "rollback"), ("migrate", "rollback"), ("migrate", "rollback", "migrate"),
)  # fmt: skip
WEIGHTS: Final = {
    "kill": 30,
    "suspend": 7,
    "lose": 10,
    "cut": 10,
    "cut hosts": 3,
    "engine": 8,
    "reboot": 6,
    "power": 6,
    "full": 4,
    "clock": 4,
    "person starts": 8,
    "person stops": 4,
    "journal": 3,
}
IN_AN_UNDO: Final = {
    "kill": 6,
    "cut": 6,
    "lose": 3,
    "engine": 2,
    "reboot": 2,
    "power": 1,
    "full": 1,
    "suspend": 1,
    "journal": 1,
    "person starts": 1,
}
UNDONE: Final = (
    "start-probe",
    "start-probe",
    "start-probe",
    "save-source-spec",
    "precopy",
    "disable-restart",
    "stop-source",
    "copy-volumes",
    "create-target",
    "start-target",
    "stop-moved",
    "safety-copy",
    "copy-back",
    "switch-back",
    "start-returned",
    "start-probe-back",
)
"""What an undo may have to undo; the proof that the service serves again comes with its last, which most often is the
probe.
"""
ONLY: Final[dict[str, dict[str, Any]]] = {
    "acts-on-start": {"product": "sim-actor"},
    "replicate": {"strategy": "replicate"},
    "target-lost": {"replan": False},
    "adopt": {"replan": False},
}
"""What `--only` plays alone, so that it is counted by itself: what is the same in all of its scenarios."""
NEEDS_NO_RUN: Final = frozenset({"person starts", "person stops", "reboot", "engine", "clock", "power"})


def draw(seed: int, points: dict[tuple[Any, ...], list[Points]], kinds: Sequence[str] = (), only: str = "") -> Draw:
    """Return the story of a seed; `points` says how many calls each step of an undisturbed run makes, by scenario."""
    chance = random.Random(seed)
    scenario = draw_scenario(chance, only)
    runs = points[key_of(scenario)]
    weights = {kind: weight for kind, weight in WEIGHTS.items() if not kinds or kind in kinds}
    count = chance.choices((1, 2, 3, 4), (30, 35, 25, 10))[0]
    events: list[Event] = []
    run = chance.choices(range(1, len(runs) + 1), [2] * len(runs))[0]
    added, place = 0, None
    for _ in range(count):
        phase = runs[min(run - 1 - added, len(runs) - 1)] if run - 1 - added >= 0 else runs[0]
        kind = chance.choices(list(weights), list(weights.values()))[0]
        place = _place(chance, phase, run, place)
        events.append(_event(chance, kind, place))
        if kind == "kill":
            if chance.random() < 0.3:
                events.append(Event(Place(run, "decide", 0), "decide", say="rollback"))
                events += _in_an_undo(chance, run + 1) if chance.random() < 0.4 else ()
            if chance.random() < 0.35:  # what happens before the next start
                run += 1
                added += 1
                events.append(
                    _event(
                        chance,
                        chance.choice(("person starts", "person starts", "reboot", "engine", "power")),
                        Place(run, "open", 1),
                    )
                )
            else:
                run += 1
                added += 1
            continue
        events += _in_an_undo(chance, run) if chance.random() < 0.1 else ()
        if chance.random() < 0.4:
            run += 1
            added += int(chance.random() < 0.5)
    if (
        scenario.replan and chance.random() < 0.6
    ):  # an undo that can't finish, and a person who repairs it and changes the plan
        late = [step for step in runs[0] if step.startswith("store ")]
        step = chance.choice(late[late.index("store disable-restart") : late.index("store commit")])
        events.append(Event(Place(1, step, chance.randint(1, 5), after=True), "full", "a", 200.0))
        events.append(Event(Place(1, "close", 1), "replan"))
        events += [Event(Place(one, "decide", 0), "decide", say="again") for one in range(1, 5)]
    elif scenario.replan:
        first = chance.randint(2, 4)
        events.append(Event(Place(first, "open", 1), "replan"))
        events += [Event(Place(one, "decide", 0), "decide", say="again") for one in range(first, first + 4)]
    if only == "target-lost":
        events.insert(0, _gone(random.Random(f"gone {seed}"), scenario, runs))
    if only == "adopt":
        events.insert(0, _journal_lost(random.Random(f"journal lost {seed}"), runs))
    return Draw(scenario, tuple(dict.fromkeys([*_known_bad(random.Random(f"known bad {seed}"), runs[0]), *events])))


def _journal_lost(chance: random.Random, runs: list[Points]) -> Event:
    """Return that the journal is lost, with the machine that it is on, in any run."""
    run = chance.randrange(len(runs))
    return Event(_place(chance, runs[run], run + 1, None), "journal lost")


def _gone(chance: random.Random, scenario: Scenario, runs: list[Points]) -> Event:
    """Return that the store's target goes down for good in a run of the store's, more often in its last steps."""
    first = 1 if scenario.topology == "pair" else 0
    run = chance.randrange(first, len(runs))
    place = _place(chance, runs[run], run + 1, None)
    return Event(place, "gone", TARGETS[scenario.topology]["store"])


def _known_bad(chance: random.Random, phase: Points) -> list[Event]:
    """Return, for some seeds, what chance alone puts together too rarely: a disturbed undo, a source that runs between
    copy and start.
    """
    which = chance.random()
    if which > 0.3:
        return []
    service = "app" if "app commit" in phase else "store"
    mine = [step for step in phase if step.startswith(f"{service} ")]
    first, last = f"{service} start-probe", f"{service} commit"
    if which > 0.2:
        first, last = f"{service} copy-volumes", f"{service} start-target"
    step = chance.choice(mine[mine.index(first) : mine.index(last)])
    events = [Event(Place(1, step, chance.randint(1, phase[step]), after=chance.random() < 0.5), "kill")]
    if which > 0.2:
        return [*events, Event(Place(2, "open", 1), "person starts", "a", chance.choice((0.0, 1.0, 1.0)), say=service)]
    begun = [key for key in dict.fromkeys(UNDONE) if f"{service} {key}" in mine[: mine.index(step) + 1]]
    undone = chance.choice([*begun, *["start-probe"] * len(begun)])
    kind = chance.choices(list(IN_AN_UNDO), list(IN_AN_UNDO.values()))[0]
    befalls = _event(
        chance, kind, Place(2, f"{service} undo {undone}", chance.randint(1, 15), after=chance.random() < 0.5)
    )
    befalls = replace(befalls, seconds=200.0) if befalls.seconds and chance.random() < 0.5 else befalls
    return [*events, Event(Place(1, "decide", 0), "decide", say="rollback"), befalls]


def _in_an_undo(chance: random.Random, run: int) -> list[Event]:
    """Return what befalls an undo: no undisturbed run shows how many calls its steps make."""
    kind = chance.choices(list(IN_AN_UNDO), list(IN_AN_UNDO.values()))[0]
    place = Place(run, f"store undo {chance.choice(UNDONE)}", chance.randint(1, 15), after=chance.random() < 0.5)
    return [_event(chance, kind, place)]


def draw_scenario(chance: random.Random, only: str = "") -> Scenario:
    """Return a scenario; `only` plays one kind of them alone, so that it is counted by itself."""
    topology = chance.choices(TOPOLOGIES, TOPOLOGY_WEIGHTS[: len(TOPOLOGIES)])[0]
    product = chance.choices(("sim-store", "sim-actor"), (80, 20))[0]
    policy = chance.choice(("unless-stopped", "always"))
    strategy = chance.choice(("precopy", "precopy", "stop_copy"))
    flow = chance.choice(FLOWS)
    phases = tuple(Command(phase) if at < 2 else Command(phase, again=("store",)) for at, phase in enumerate(flow))
    goals = goals_of(["store"], *phases)
    if topology == "pair":
        goals = (Command("migrate", ("app",)), *goals)
    replan = topology == "single" and chance.random() < 0.08
    return replace(Scenario(topology, goals, product, strategy, policy, replan), **ONLY.get(only, {}))


def key_of(scenario: Scenario) -> tuple[Any, ...]:
    """Return what decides which calls an undisturbed run of a scenario makes."""
    return (
        scenario.topology,
        scenario.product,
        scenario.strategy,
        tuple((goal.phase, goal.services) for goal in scenario.goals),
    )


def _place(chance: random.Random, phase: Points, run: int, before: Place | None) -> Place:
    """Return a place in a run: each step is as likely as another, those after the stop more."""
    steps = list(phase)
    if before is not None and before.run == run and before.step in phase and chance.random() < 0.5:
        step = before.step  # close to what happened before
    else:
        late = steps.index("store disable-restart") if "store disable-restart" in steps else 0
        step = chance.choices(steps, [1 if position < late else 3 for position in range(len(steps))])[0]
    return Place(run, step, chance.randint(1, phase[step] + 1), after=chance.random() < 0.5)


def _event(chance: random.Random, kind: str, place: Place) -> Event:
    host = chance.choice(("a", "b", "b", "a", "c"))
    seconds = chance.choice((1.0, 5.0, 30.0, 200.0))
    if kind in {"kill", "lose"}:
        return Event(place, kind)
    if kind == "journal":
        return Event(place, kind, say=chance.choice(("full", "gone")))
    if kind == "suspend":
        return Event(
            place, kind, seconds=chance.choice((0.0, 30.0)), say=chance.choice(("migrate", "migrate", "rollback"))
        )
    if kind == "cut hosts":
        return Event(place, kind, chance.choice(("a-b", "a-c", "b-c")), seconds)
    if kind == "clock":
        return Event(place, kind, host, chance.choice((-3600.0, -30.0, 30.0, 3600.0)))
    if kind in {"person starts", "person stops"}:
        return Event(place, kind, host, chance.choice((0.0, 1.0)), say=chance.choice(("store", "store", "app")))
    return Event(place, kind, host, seconds)


__all__ = ["Draw", "Outcome", "draw", "happen", "replace"]
