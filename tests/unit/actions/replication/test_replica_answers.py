"""A replica that gives no answer is no replica that failed: nothing is undone for it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from actions.copy.locations import DataPlace
from actions.copy.ssh_channel import Peer
from actions.replication import replica as module
from actions.replication.replica import Replica
from actions.replication.steps import FinishReplica
from engine.contracts.replication import Login
from engine.errors import ActionError, NotObservedError, UnreachableError
from services.redis.replication import RedisReplication
from tests.fakes.inspect_answer import inspected
from tests.unit.actions.container.test_source import Engine, recorded_route


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Replica:
    """Return a replica that is waited for no time at all."""
    monkeypatch.setattr(module, "WAIT_S", 0.0)
    route, _ = recorded_route(Engine(inspected()), Engine())
    return Replica(
        route,
        Peer("wf001", "192.0.2.1", "ssh-ed25519 AAAA"),
        RedisReplication(),
        Login("redis"),
        DataPlace("volume", "d"),
        lambda: None,
    )


def fail(error: Exception) -> Any:
    """Return a function that raises."""

    def raising(*_: Any, **__: Any) -> Any:
        raise error

    return raising


@pytest.mark.parametrize(
    "error",
    [UnreachableError("wf001: ssh failed"), ActionError("wf001: ask redis failed (exit 1): Connection refused")],
)
def test_no_answer_until_the_deadline_is_unknown(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Neither a lost connection nor a client inside that reaches nobody says that data is missing."""
    monkeypatch.setattr(Replica, "status", fail(error))
    monkeypatch.setattr(Replica, "runs", lambda _: True)
    with pytest.raises(
        NotObservedError,
        match=r"waited 0 s for it \(last: wf001: .*Expected: within that time. Read: ssh wf001 docker logs",
    ):
        replica._wait("it", lambda _seen: "", 0.0)


def test_an_answer_that_is_wrong_until_the_deadline_is_a_failure(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked, and said that it lags."""
    monkeypatch.setattr(Replica, "status", lambda _: "lags")
    with pytest.raises(ActionError, match="last: 9 bytes behind"):
        replica._wait("it", lambda _seen: "9 bytes behind", 0.0)


def test_only_a_replica_that_was_seen_not_to_run_has_ended(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its engine does not answer either, nobody knows."""
    monkeypatch.setattr(Replica, "status", fail(UnreachableError("wf001: ssh failed")))
    monkeypatch.setattr(Replica, "_last_words", lambda _: "bye")
    monkeypatch.setattr(Replica, "runs", fail(UnreachableError("wf001: ssh failed")))
    with pytest.raises(NotObservedError):
        replica._wait("it", lambda _seen: "", 0.0)
    monkeypatch.setattr(Replica, "runs", lambda _: False)
    with pytest.raises(ActionError, match="the replica ended while waiting for it: bye"):
        replica._wait("it", lambda _seen: "", 0.0)


def test_whether_it_took_over_is_not_judged_while_it_does_not_answer(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undo follows a failure that was seen: one that runs and is silent is none."""
    instead: Any = SimpleNamespace()
    finish = FinishReplica(replica, instead, instead, lambda: True)
    monkeypatch.setattr(Replica, "runs", lambda _: True)
    monkeypatch.setattr(Replica, "status", fail(ActionError("ask redis failed (exit 1)")))
    with pytest.raises(NotObservedError, match="gives no answer"):
        finish.verify({})
    monkeypatch.setattr(Replica, "status", lambda _: "role:slave")
    seen = finish.verify({})
    assert not seen.passed
    assert (
        "has not taken over; it says role:slave. Expected: it holds everything. Run the move again: nox -s migrate"
        in seen.text
    )
    monkeypatch.setattr(Replica, "runs", lambda _: False)
    assert "it does not run" in finish.verify({}).text


def test_a_replica_is_made_only_of_the_configuration_that_was_approved(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record lies on the source, where root may write into it what it likes; the replica runs on the target."""
    done: list[str] = []
    monkeypatch.setattr(Replica, "remove", lambda _: done.append("remove"))
    monkeypatch.setattr(Replica, "_open_tunnel", lambda _: done.append("tunnel"))
    approved = replace(replica, approved="0" * 64)
    with pytest.raises(ActionError, match=r"redis is configured as .* Expected: 000000000000, as preflight saw it"):
        approved.start()
    assert done == []
