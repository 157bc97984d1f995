"""Play a story from its beginning to its end: commands, what befalls them, and what the person does then."""

from __future__ import annotations

import gc
import itertools
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import hosts.docker.exec
from engine.verdict import ExitCode
from tests.simulation import judge, person
from tests.simulation.adoption import adopt_journal, preflight_again
from tests.simulation.befall import Draw, Points, draw, draw_scenario, happen, key_of
from tests.simulation.clock import PLAYING, replaced
from tests.simulation.releasing import release_locks_of_the_dead
from tests.simulation.run import STAGES, Outcome, Stage, borders, open_sim_journal, run_phase, see_sources
from tests.simulation.scenario import Command, Scenario, build_world
from tests.simulation.shell import run_inside
from tests.simulation.story import Event, Story, shortened

MOST_RUNS = 12
"""So many commands a goal may take, with at most five events; more is a circle."""
LEFT_TO_PERSON = 3


@dataclass
class Played:
    """A story that was played."""

    seed: int
    draw: Draw
    violations: list[str]
    lines: list[str]
    points: list[Points]
    runs: int
    fired: int


@contextmanager
def simulation() -> Iterator[None]:
    """Let stories be played: time, threads, chance and borders are the model's."""
    with replaced([(hosts.docker.exec.exec_in_container, run_inside)]), borders():
        collected = gc.get_threshold()
        gc.collect()
        gc.freeze()  # the modules stay; a story makes little that refers to itself
        gc.set_threshold(50_000, 20, 20)
        try:
            yield
        finally:
            gc.set_threshold(*collected)
            gc.unfreeze()


def play(drawn: Draw, seed: int = 0, *, keep: bool = False, real_journal: bool = False) -> Played:
    """Play a story."""
    world = build_world(drawn.scenario)
    story = Story(drawn.events, happen, keep=keep)
    stage = Stage(drawn.scenario, world, story, open_sim_journal(real=real_journal), row_passed=judge.row_is_true)
    PLAYING.now, PLAYING.wall, PLAYING.pass_time = (lambda: world.now), (lambda: world.now), world.advance
    PLAYING.numbers = itertools.count(1)
    STAGES.append(stage)
    try:
        world.advance(3.0)
        story.add(drawn.scenario.text())
        see_sources(stage)
        outcome = _goals(stage)
        world.mend_all()
        judge.check_end(stage, outcome)
    finally:
        STAGES.pop()
    points: list[Points] = [{} for _ in range(stage.runs)]
    for (run, step), count in story.counts.items():
        points[run - 1][step] = count
    return Played(seed, drawn, list(world.violations), story.lines, points, stage.runs, story.fired)


def _goals(stage: Stage) -> Outcome:
    goals = list(stage.scenario.goals)
    while True:
        outcome, turned = _reach(stage, goals.pop(0))
        service = outcome.command.services[0]
        # what a discard keeps on the target has to be removed by hand before the service can move there again
        if turned or stage.is_target_lost(service) or service in stage.given_up:
            goals = [goal for goal in goals if goal.services != outcome.command.services]
        if not goals or outcome.exit is not ExitCode.OK:
            break
    for command in stage.abandoned:  # somebody has to resume what a second operator's killed run had begun
        unfinished = stage.journal.move_state(command.services[0]) in {
            "in_progress",
            "committed",
            "rolling_back",
            "returned",
        }
        if unfinished and outcome.exit in {ExitCode.OK, ExitCode.REFUSED}:
            outcome, _ = _reach(stage, command)
    for service in ("app", "store"):
        if stage.is_moved(service) and stage.is_target_lost(service) and not judge.is_at_source(stage, service):
            outcome, _ = _reach(stage, Command("rollback", (service,), target_lost=person.LOST))
    if outcome.exit is ExitCode.OK:
        release_locks_of_the_dead(stage)
    return outcome


def _reach(stage: Stage, goal: Command) -> tuple[Outcome, bool]:
    """Give a command, and what its output says, until it ends with 0 or a person has to; return whether it was turned
    round.
    """
    command, turned, asked, before = goal, False, 0, ""
    for _ in range(MOST_RUNS):
        outcome = run_phase(command, machine="one")
        judge.check_somewhere(stage)
        judge.check_said(stage, outcome)
        judge.check_kept(stage)
        if stage.journal_lost:
            adopt_journal(stage)
        preflight_again(stage, outcome)
        if outcome.exit is ExitCode.OK and command.phase in {"migrate", "rollback"}:
            return outcome, turned or command.phase != goal.phase
        decided, seen_before = stage.story.decision(stage.runs), outcome.text() == before
        stage.world.advance(120.0 if seen_before else 20.0)  # who sees the same again waits longer
        before = outcome.text()
        if outcome.exit is ExitCode.NEEDS_OPERATOR:
            asked += 1
            if asked > LEFT_TO_PERSON:
                return outcome, True
            stage.world.mend_all()
            for host, what, name in person.by_hand(outcome):
                stage.started_by_hand = stage.started_by_hand or what == "start"
                stage.story.add(
                    f"  by hand: {host} docker {what} {name}: {person.carry_out(stage.world, host, what, name)}"
                )
        if decided == "again":
            if outcome.exit is not ExitCode.NEEDS_OPERATOR or not person.repair(
                stage.world, goal.services[0], stage.scenario.policy, stage.target_of(goal.services[0])
            ):
                command = person.next_command(outcome)
            else:
                stage.story.add(
                    f"  by hand: {goal.services[0]} runs on a again as it did, what the move left elsewhere is removed"
                )
                command = Command("migrate", goal.services, again=goal.services)
        elif decided:
            command, turned = Command(decided, goal.services), True
        else:
            command = person.next_command(outcome, seen_before=seen_before)
        if stage.is_target_lost(goal.services[0]):
            command, turned = person.with_target_lost(command, outcome), True
        if outcome.exit is ExitCode.REFUSED and command == outcome.command:
            stage.world.mend_all()
        if _is_stuck(stage, outcome, turned):
            return outcome, True
    stage.world.violate(
        f"no way out: after {MOST_RUNS} commands as the output said, the last is {outcome.text()[:300]}"
    )
    return outcome, True


def _is_stuck(stage: Stage, outcome: Outcome, turned: bool) -> bool:
    """Return whether there is nothing to bring back: the operator wanted a rollback of what is undone."""
    said = "\n".join(outcome.said)
    return bool(outcome.exit is ExitCode.REFUSED and "there is nothing to bring back" in said)


def play_seed(seed: int, points: dict[object, list[Points]] | None = None, *, only: str = "") -> Played:
    """Play the story of a seed."""
    table = POINTS if points is None else points
    scenario = draw_scenario(random.Random(seed), only)
    key = key_of(scenario)
    if key not in table:
        table[key] = play(Draw(replace(scenario, replan=False), ())).points
    return play(draw(seed, table, only=only), seed)  # type: ignore[arg-type]


POINTS: dict[object, list[Points]] = {}


def shorten(played: Played) -> Played:
    """Return the story with the fewest events that still breaks the first invariant that it broke."""
    kind = kind_of(played.violations[0])

    def still_wrong(events: tuple[Event, ...]) -> bool:
        return any(kind_of(text) == kind for text in play(Draw(played.draw.scenario, events)).violations)

    fewest = shortened(played.draw.events, still_wrong)
    return play(Draw(played.draw.scenario, fewest), played.seed)


def kind_of(violation: str) -> str:
    """Return which invariant a text is about."""
    return violation.partition(":")[0]


def report(played: Played) -> str:
    """Return a story and what is wrong with it, for people."""
    lines = [
        f"seed {played.seed}: {len(played.violations)} invariants broken",
        *(f"  {text}" for text in played.violations),
        "story:",
    ]
    return "\n".join([*lines, *(f"  {line}" for line in _folded(played.lines))])


def _folded(lines: list[str]) -> Iterator[str]:
    """Yield lines; what is said again and again (but for the run's number) is said once."""
    before: list[str] = []
    for line in lines:
        plain = re.sub(r"run \d+", "run", line)
        if plain not in before[-2:] or "before call" in line or "after call" in line:
            yield line
        before.append(plain)


__all__ = ["Played", "Scenario", "play", "play_seed", "report", "shorten", "simulation"]
