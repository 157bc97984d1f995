"""Re-pointing that is killed at each change, then undone or resumed from an empty note: the hosts alone show what is
left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import pytest
import requests.exceptions

from actions.common.route import Route
from actions.references.steps import ReleaseRelays, RewriteReferences, UndoReferences
from actions.references.variable import VariableReference
from actions.relays.planning import Relay
from engine.config.inventory import LinkKey
from engine.contracts.action import Action
from engine.errors import LongshoreError, NotObservedError
from engine.verdict import Judgement, failed, passed
from tests.unit.actions.references.test_variable import CHANGED, KEPT, Cut, Engine, Fleet

RELAY: Final = Relay("wf005", "shop", "postgres", 5432, "192.0.2.2", 5432)
LINK: Final[LinkKey] = ("redis", "postgres", "postgres", 5432)


class Silent(Engine):
    """An engine that does not answer for some calls."""

    def __init__(self) -> None:
        """Answer all."""
        super().__init__()
        self.silent_for = 0

    @property
    def api(self) -> Engine:
        """Return itself, or no answer."""
        if self.silent_for:
            self.silent_for -= 1
            raise requests.exceptions.ConnectionError("the forward was cut")
        return self


class Way:
    """One dependant whose container is made anew with another address, and the relay that it needs no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Start before it is re-pointed."""
        self.fleet = Fleet()
        self.engine = Silent()
        self.fleet.engine = self.engine
        self.relays = {RELAY}
        self.recorded: set[LinkKey] = set()
        fleet: Any = self.fleet
        route = Route(fleet, "postgres", "postgres", "wf005", "wf001", "lab/postgres/1")
        reference = VariableReference(Route(fleet, "redis", "redis", "wf005", "wf005", "lab/postgres/1"), CHANGED, KEPT)
        self.rewriting = RewriteReferences(route, (reference,), lambda _name: passed("ready"))
        self.releasing = ReleaseRelays(
            route,
            frozenset({LINK}),
            frozenset(),
            frozenset({RELAY}),
            ("wf005",),
            self._users,
            lambda key: key in self.recorded,
            self._record,
        )
        self.recipe: tuple[Action, ...] = (self.rewriting, self.releasing)
        monkeypatch.setattr("actions.references.steps.apply_forwarders", self._apply)
        monkeypatch.setattr("actions.references.steps.judge_forwarders", self._judge)
        monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)

    def _users(self, _gone: frozenset[Relay]) -> Judgement:
        return passed("nobody") if self.says("192.0.2.2") else failed("redis still uses it")

    def _record(self, key: LinkKey, is_repointed: bool) -> None:
        self.engine._called(f"record {is_repointed}")
        (self.recorded.add if is_repointed else self.recorded.discard)(key)

    def _apply(self, _fleet: Any, _environment: str, _hosts: Any, wanted: frozenset[Relay]) -> Any:
        if self.relays != wanted:
            self.engine._called("relays")
            self.relays = set(wanted)
        return SimpleNamespace(created=(), removed=(), kept=())

    def _judge(self, _fleet: Any, _environment: str, _hosts: Any, wanted: frozenset[Relay]) -> Judgement:
        return passed("relays are right") if self.relays == wanted else failed("relays are not")

    def says(self, address: str) -> bool:
        """Return whether the one container that is there runs with this address."""
        (name,) = self.engine.containers
        container = self.engine.containers[name]
        running = container["State"]["Running"] and container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        return name == "redis" and running and f"DB_HOST={address}" in container["Config"]["Env"]

    def begin(self, dies_at: int) -> bool:
        """Do all of it, or die at one change; return whether it died."""
        self.engine.dies_at = dies_at
        try:
            for action in self.recipe:
                action.do({})
        except Cut:
            return True
        finally:
            self.engine.dies_at = -1
        return False


def _undo(way: Way) -> None:
    for action in reversed(way.recipe):
        action.undo({})


def _stop_by_hand(way: Way) -> None:
    for container in way.engine.containers.values():
        container["State"] = {"Status": "exited", "Running": False, "ExitCode": 0}


def _start_by_hand(way: Way) -> None:
    for container in way.engine.containers.values():
        container["State"] = {"Status": "running", "Running": True, "ExitCode": 0}


MEDDLING: Final[dict[str, Callable[[Way], None]]] = {
    "nobody": lambda _: None,
    "all stopped by hand": _stop_by_hand,
    "all started by hand": _start_by_hand,
}


def _deaths(monkeypatch: pytest.MonkeyPatch) -> range:
    whole = Way(monkeypatch)
    assert not whole.begin(-1)
    assert whole.says("192.0.2.2")
    assert not whole.relays
    assert whole.recorded == {LINK}
    return range(len(whole.engine.calls) + 1)


@pytest.mark.parametrize("meddling", list(MEDDLING))
def test_an_undo_of_a_killed_repointing_ends_as_it_was(monkeypatch: pytest.MonkeyPatch, meddling: str) -> None:
    """The old address, the relay, no word in the journal, nothing kept; one that was left alone and stopped by somebody
    stays stopped.
    """
    for dies_at in _deaths(monkeypatch):
        way = Way(monkeypatch)
        way.begin(dies_at)
        begun = KEPT in way.fleet["wf005"].files
        MEDDLING[meddling](way)
        _undo(way)
        case = f"{meddling}, killed before change {dies_at}: {way.engine.calls}"
        assert way.relays == {RELAY}, case
        assert not way.recorded, case
        assert KEPT not in way.fleet["wf005"].files, case
        assert way.says("postgres") or (meddling == "all stopped by hand" and not begun), case


@pytest.mark.parametrize("meddling", list(MEDDLING))
def test_a_killed_repointing_that_is_resumed_comes_to_its_end(monkeypatch: pytest.MonkeyPatch, meddling: str) -> None:
    """The hosts show how far it came: the new address, no relay, and the journal knows."""
    for dies_at in _deaths(monkeypatch):
        way = Way(monkeypatch)
        way.begin(dies_at)
        MEDDLING[meddling](way)
        for action in way.recipe:
            if not action.verify({}).passed:
                action.do({})
            assert action.verify({}).passed, f"{meddling}, killed before change {dies_at}: {action.verify({}).text}"
        assert way.says("192.0.2.2")
        assert not way.relays
        assert way.recorded == {LINK}


def test_who_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo that gets no answer says that it could not look, and ends right when it is given again."""
    unanswered = 0
    for dies_at in _deaths(monkeypatch):
        way = Way(monkeypatch)
        way.begin(dies_at)
        way.engine.silent_for = 1
        try:
            _undo(way)
        except LongshoreError as error:
            unanswered += 1
            assert isinstance(error, NotObservedError), error  # noqa: PT017 where the engine is not asked there is none to see
        way.engine.silent_for = 0
        _undo(way)
        assert way.says("postgres")
        assert way.relays == {RELAY}
    assert unanswered


def test_an_undo_that_was_killed_is_seen_to_be_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an empty note it fails by looking, and passes by looking once all is as it was."""
    for dies_at in _deaths(monkeypatch):
        _see_unfinished(monkeypatch, dies_at)


def _see_unfinished(monkeypatch: pytest.MonkeyPatch, dies_at: int) -> None:
    way = Way(monkeypatch)
    way.begin(dies_at)

    def undo_attempt() -> str:
        _undo(way)
        return "undone"

    undoing = UndoReferences(way.rewriting.references, way.releasing, undo_attempt, lambda: passed("redis works"))
    seen = undoing.verify({})
    as_it_was = (
        way.relays == {RELAY} and not way.recorded and KEPT not in way.fleet["wf005"].files and way.says("postgres")
    )
    assert seen.passed is as_it_was, (dies_at, seen.text)
    undoing.do({})
    assert undoing.verify({}).passed
