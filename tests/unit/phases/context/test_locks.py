"""Locks of a machine's token are given back by the run that ends the last unfinished move, on whatever
hosts they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from engine.command_line import typed_command
from engine.errors import NotObservedError, RefusedError
from hosts.coordination.lock import Holder
from phases.context import locks as locks_module
from phases.context.locks import hosts_with_token, lock_environment, lock_hosts

HOSTS: Final = ("wf001", "wf002", "wf005")


class Locks:
    """Which host carries which token; hosts in `silent` do not answer."""

    def __init__(self) -> None:
        """Begin with no lock."""
        self.held: dict[str, str] = {}
        self.silent: set[str] = set()
        self.unfinished: list[str] = []

    def take(self, host: str, holder: Any, **_: bool) -> None:
        """Take a lock, or enter one of the same token."""
        assert self.held.get(host, holder.token) == holder.token, f"{host} is locked by another token"
        self.held[host] = holder.token

    def release(self, host: str, token: str) -> bool:
        """Give a lock back when it is of that token."""
        if host in self.silent:
            raise NotObservedError(f"{host}: no answer")
        return self.held.pop(host, None) == token if self.held.get(host) == token else False

    def read(self, host: str) -> Holder | None:
        """Return who holds a host now."""
        if host in self.silent:
            raise NotObservedError(f"{host}: no answer")
        token = self.held.get(host)
        return Holder(token, "lab", "bob", "migrate", "2026-01-01T00:00:00+00:00") if token else None

    def run(
        self,
        *hosts: str,
        left: list[str] | None = None,
        tell: Callable[[str], None] = lambda _: None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Run something with the locks of some hosts; `left` is what is unfinished at its end, `meanwhile` what others
        do.
        """
        fleet: Any = type("F", (dict,), {"names": HOSTS, "token": None})({host: host for host in HOSTS})
        command = partial(typed_command, environment="lab")
        scope: Any = SimpleNamespace(hosts=hosts, environment=SimpleNamespace(environment="lab"), command=command)
        journal: Any = None
        with (
            lock_environment("lab") as token,
            lock_hosts(fleet, scope, journal, token=token, command="migrate", break_reason=None, tell=tell),
        ):
            self.unfinished = left or []
            meanwhile()


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Locks:
    """Return hosts with locks, and a folder of its own for this machine's."""
    made = Locks()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locks_module, "take_lock", made.take)
    monkeypatch.setattr(locks_module, "release_lock", made.release)
    monkeypatch.setattr(locks_module, "read_lock", made.read)
    monkeypatch.setattr(locks_module, "unfinished", lambda *_: made.unfinished)
    return made


def test_a_finished_run_leaves_no_lock_and_no_token(locks: Locks) -> None:
    """The next one has a token of its own."""
    locks.run("wf001", "wf005")
    assert locks.held == {}
    assert hosts_with_token("lab") == ()


def test_locks_of_another_service_s_run_are_given_back_with_the_last_unfinished_move(locks: Locks) -> None:
    """Postgres stopped half way; n8n ran meanwhile on another host; when postgres ends, no lock stays anywhere."""
    locks.run("wf002", "wf005", left=["postgres"])
    locks.run("wf001", "wf005", left=["postgres"])
    assert set(locks.held) == set(HOSTS)
    locks.run("wf002", "wf005")
    assert locks.held == {}


def test_a_host_that_does_not_answer_at_the_end_is_entered_again_by_the_next_run(locks: Locks) -> None:
    """Its lock has this machine's token, so the token is kept until the lock is given back."""
    locks.silent = {"wf001"}
    locks.run("wf001", "wf005")
    assert set(locks.held) == {"wf001"}
    assert hosts_with_token("lab") == ("wf001",)
    locks.silent = set()
    locks.run("wf001", "wf002")
    assert locks.held == {}


def test_a_lock_that_stays_on_a_silent_host_is_said_with_the_command_that_gives_it_free(locks: Locks) -> None:
    """Nobody else can work there meanwhile, so whoever ran this must know."""
    said: list[str] = []
    locks.silent = {"wf001"}
    locks.run("wf001", "wf005", tell=said.append)
    token = locks.held["wf001"]
    assert len(said) == 1
    assert said[0].startswith("wf001: did not answer, so its lock is still there.")
    assert said[0].endswith(f"nox -s lock -- release --token {token} --lab")


def test_a_lock_that_somebody_took_over_is_said_with_the_command_for_a_dead_run(locks: Locks) -> None:
    """The new holder may have died since: nobody else would learn that its lock stays. One that is free again is no
    news, and neither is one that nobody can read.
    """
    said: list[str] = []

    def take_over() -> None:
        locks.held.update(wf001="bobs", wf002="bobs")
        locks.held.pop("wf005")
        locks.silent = {"wf002"}

    locks.run(*HOSTS, tell=said.append, meanwhile=take_over)

    told = [text for text in said if text.startswith("wf001")]
    assert len(told) == 1
    assert 'it is held by bob, "migrate" in environment lab' in told[0]
    assert told[0].endswith("if that run is surely dead: nox -s lock -- release --token bobs --lab")
    assert not [text for text in said if text.startswith("wf005")]
    assert [text for text in said if text.startswith("wf002: did not answer")]
    assert locks.held["wf001"] == "bobs"


def test_a_lock_that_this_run_never_held_is_not_called_taken_over(
    locks: Locks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that another operator keeps out has said so already."""
    said: list[str] = []

    def refuse(*_: Any, **__: Any) -> None:
        raise RefusedError("wf001: locked by bob")

    locks.held["wf001"] = "bobs"
    monkeypatch.setattr(locks_module, "take_lock", refuse)
    with pytest.raises(RefusedError):
        locks.run("wf001", tell=said.append)
    assert said == []
