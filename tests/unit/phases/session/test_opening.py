"""A run opens in one order that can be read, and closes in reverse, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import RefusedError
from phases.session import opening
from phases.session.opening import OPENING, Opening, open_session

ORDER = (
    "read_files",
    "read_history",
    "lock_machine",
    "pass_gates",
    "settle_scope",
    "connect_hosts",
    "leave_out_lost_hosts",
    "lock_all_hosts",
    "begin_record",
    "stop_recovered_targets",
    "record_exceptions",
    "show_progress",
    "notify_team",
    "mirror_records",
    "describe_run",
    "prepare_moves",
    "work_beside",
)
OPTIONS: Any = SimpleNamespace(apply=True, environment="lab", break_lock=None)


def test_a_run_opens_in_this_order() -> None:
    """Files, journal, this machine's lock, gates, hosts, their locks, then the record: each step says why it is where
    it is.
    """
    assert tuple(step.__name__ for step in OPENING) == ORDER
    assert [step.__name__ for step in OPENING if len(" ".join((step.__doc__ or "").split()).split(". ")) < 2] == []


@pytest.mark.parametrize("failing", [*ORDER, "nothing"])
def test_what_was_opened_is_closed_in_reverse(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step refuses, those before it are closed, the last first, and none after it was opened."""
    opened: list[str] = []
    closed: list[str] = []

    def step(name: str) -> Callable[[Opening], AbstractContextManager[None]]:
        @contextmanager
        def made(_opening: Opening) -> Iterator[None]:
            if name == failing:
                raise RefusedError(name)
            opened.append(name)
            try:
                yield
            finally:
                closed.append(name)

        return made

    monkeypatch.setattr(opening, "OPENING", tuple(step(name) for name in ORDER))
    monkeypatch.setattr(Opening, "session", lambda _self: "a run")
    if failing in ORDER:
        with pytest.raises(RefusedError, match=failing), open_session(OPTIONS, "migrate"):
            pytest.fail("a run that was refused has begun")
        assert tuple(opened) == ORDER[: ORDER.index(failing)]
    else:
        with open_session(OPTIONS, "migrate") as session:
            assert (session, closed) == ("a run", [])
        assert tuple(opened) == ORDER
    assert closed == opened[::-1]


def test_each_step_that_holds_something_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks, connections, console, messages, mirror and queues are closed in reverse when a later step fails."""
    events: list[str] = []

    def holds(name: str, value: Any = None) -> Callable[..., AbstractContextManager[Any]]:
        @contextmanager
        def made(*_: Any, **__: Any) -> Iterator[Any]:
            events.append(f"open {name}")
            try:
                yield value
            finally:
                events.append(f"close {name}")

        return made

    def ends(name: str, how: str) -> Callable[..., Any]:
        def made(*_: Any, **__: Any) -> Any:
            events.append(f"open {name}")
            return SimpleNamespace(**{how: lambda: events.append(f"close {name}")}, console=None, language=None)

        return made

    scope: Any = SimpleNamespace(moves=(), hosts=(), known_hosts=(), environment=SimpleNamespace(environment="lab"))
    options: Any = SimpleNamespace(**vars(OPTIONS), lang="en")
    opening_: Any = SimpleNamespace(
        options=options, command="migrate", scope=scope, carried_out=scope, journal=None, run=None, moves=None
    )
    monkeypatch.setattr(opening, "lock_environment", holds("machine", "a token"))
    monkeypatch.setattr(opening, "open_hosts", holds("hosts"))
    monkeypatch.setattr(opening, "use_recorded_toolboxes", lambda fleet, *_: fleet)
    monkeypatch.setattr(opening, "ssh_config_of", lambda *_: None)
    monkeypatch.setattr(opening, "lock_hosts", holds("host locks", {}))
    monkeypatch.setattr(opening, "Progress", ends("console", "end"))
    monkeypatch.setattr(opening, "notify", holds("messages"))
    monkeypatch.setattr(opening, "AuditMirror", ends("mirror", "close"))
    monkeypatch.setattr(opening, "queues_of", ends("queues", "end"))
    holding = ("machine", "hosts", "host locks", "console", "messages", "mirror", "queues")
    steps = ("lock_machine", "connect_hosts", "lock_all_hosts", "show_progress", "notify_team", "mirror_records")

    def open_all_and_fail() -> None:
        with ExitStack() as stack:
            for name in (*steps, "work_beside"):
                stack.enter_context(getattr(opening, name)(opening_))
            raise RefusedError("too late")

    with pytest.raises(RefusedError, match="too late"):
        open_all_and_fail()

    assert opening_.token == "a token"
    assert events == [f"open {name}" for name in holding] + [f"close {name}" for name in reversed(holding)]
