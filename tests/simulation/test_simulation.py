"""The simulator itself: an undisturbed night, many disturbed ones, a replay, a shortened story, and defects of before
that it finds.
"""

from __future__ import annotations

import pytest

from tests.simulation.befall import ONLY, Draw
from tests.simulation.play import Played, play, play_seed, report, shorten, simulation
from tests.simulation.putbacks import PUT_BACKS, put_back
from tests.simulation.scenario import Command, Scenario, goals_of
from tests.simulation.story import Event, Place

SEEDS = 500
"""As many as CI has time for; `nox -s simulate -- --seeds N` plays more."""
CHUNK = 10
FIRST = 20


def _quiet(topology: str = "single", strategy: str = "precopy", product: str = "sim-store") -> Played:
    goals = goals_of(["store"], Command("migrate"), Command("rollback"), Command("migrate", again=("store",)))
    goals = (Command("migrate", ("app",)), *goals) if topology == "pair" else goals
    with simulation():
        return play(Draw(Scenario(topology, goals, product, strategy), ()))


@pytest.mark.parametrize("topology", ["single", "pair"])
@pytest.mark.parametrize("strategy", ["precopy", "stop_copy", "replicate"])
@pytest.mark.parametrize("product", ["sim-store", "sim-actor"])
def test_an_undisturbed_move_goes_there_and_back_and_there_again(topology: str, strategy: str, product: str) -> None:
    """Nothing befalls it: every run ends with 0, and every invariant holds."""
    played = _quiet(topology, strategy, product)
    assert played.violations == []
    assert played.runs == (4 if topology == "pair" else 3)
    assert played.fired == 0


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_lost_whatever_happens(first: int) -> None:
    """Each seed is a night on which something else goes wrong."""
    with simulation():
        wrong = [played for seed in range(first, first + CHUNK) if (played := play_seed(seed)).violations]
        assert not wrong, report(shorten(wrong[0]))


@pytest.mark.parametrize("kind", sorted(ONLY))
def test_nothing_is_lost_by_what_is_counted_by_itself(kind: str) -> None:
    """Products that act on the world when they start, and replication: the first seeds of each."""
    with simulation():
        wrong = [played for seed in range(FIRST) if (played := play_seed(seed, only=kind)).violations]
        assert not wrong, report(shorten(wrong[0]))


@pytest.mark.parametrize("seed", [714, 723, 1589, 2085, 2393, 2400, 3581, 4562, 6598, 6644, 6981, 8048, 8200])
def test_what_once_broke_an_invariant_holds(seed: int) -> None:
    """Seeds beyond those of every run that were found by longer ones."""
    with simulation():
        played = play_seed(seed)
        assert not played.violations, report(played)


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("acts-on-start", 10118),
        ("replicate", 10442),
        ("replicate", 10472),
        ("replicate", 20219),
        ("replicate", 20322),
        ("replicate", 8671),
    ],
)
def test_what_once_broke_an_invariant_of_one_kind_holds(kind: str, seed: int) -> None:
    """A source that was started by hand after the start of an acting target was begun; keys of an attempt whose undo
    could not finish.
    """
    with simulation():
        played = play_seed(seed, only=kind)
        assert not played.violations, report(played)


@pytest.mark.parametrize("decided", ["", "rollback"])
@pytest.mark.parametrize("stopped_after_s", [0.0, 1.0])
def test_two_sides_that_both_ran_have_a_way_out(decided: str, stopped_after_s: float) -> None:
    """The target acts, its host restarts, the operator's process is gone, and somebody starts the source: the commands
    that are printed lead back to the source, and what the target wrote stays there.
    """
    place = Place(1, "store commit", 4, after=True)
    events = (
        Event(place, "reboot", "b"),
        Event(place, "kill"),
        Event(Place(2, "open", 2), "person starts", "a", stopped_after_s, say="store"),
        *([Event(Place(1, "decide", 0), "decide", say=decided)] if decided else []),
    )
    scenario = Scenario("single", goals_of(["store"], Command("migrate")), "sim-actor")
    with simulation():
        played = play(Draw(scenario, events))
    assert not played.violations, report(played)
    assert "--discard-target-writes compared by hand --apply: exit 0 (OK)" in played.lines[-1], report(played)


def test_a_run_that_was_overtaken_does_not_say_how_the_move_stands() -> None:
    """It woke up without its lock while another run returned the service, and took its own failure for the move's."""
    with simulation():
        played = play_seed(782, only="acts-on-start")
        assert not played.violations, report(played)


@pytest.mark.parametrize("seed", [29, 34, 39, 43, 53])
def test_nothing_is_left_on_the_source_of_a_lost_target(seed: int) -> None:
    """Seeds in which the target was lost after the commit, before the copy's helpers were removed."""
    with simulation():
        played = play_seed(seed, only="target-lost")
        assert not played.violations, report(played)


@pytest.mark.parametrize("seed", [2, 48, 92])
def test_a_seed_replays_the_same_story(seed: int) -> None:
    """The same events at the same calls, the same words, whatever was played before."""
    with simulation():
        first = play_seed(seed)
        play_seed(seed + 1)
        again = play_seed(seed)
    assert first.fired
    assert again.lines == first.lines


def test_a_failing_story_is_shortened_to_what_breaks_it() -> None:
    """With a defect put back, the shortened story holds only the events that are needed to break the same invariant,
    and still breaks it.
    """
    number = 5
    with simulation(), put_back(number):
        played = next(found for seed in PUT_BACKS[number].seeds if (found := play_seed(seed, {})).violations)
        fewest = shorten(played)
    assert fewest.violations
    assert len(fewest.draw.events) <= len(played.draw.events)
    assert fewest.violations[0].partition(":")[0] == played.violations[0].partition(":")[0]
    assert f"seed {played.seed}" in report(fewest)


@pytest.mark.parametrize("number", sorted(PUT_BACKS))
def test_a_defect_that_is_put_back_is_found(number: int) -> None:
    """The same seeds break nothing as the product is now."""
    seeds = PUT_BACKS[number].seeds
    with simulation(), put_back(number):
        found = [seed for seed in seeds if play_seed(seed, {}).violations]
    assert found, PUT_BACKS[number].said
    with simulation():
        assert not play_seed(found[0]).violations
