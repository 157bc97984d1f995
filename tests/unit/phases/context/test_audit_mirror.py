"""The second copy of the journal on the hosts: before each action, never in the way of an undo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy.exc import OperationalError

from engine.errors import ActionError, JournalError, LockLostError, LongshoreError, NotObservedError, UnreachableError
from engine.journal.journal import Journal
from engine.journal.record import hash_of
from engine.redaction.redactor import Redactor, Secret
from engine.saga.patience import Patience
from phases.context.audit_mirror import LARGEST, AuditMirror, Line

HOSTS: Final = {"redis": ("wf005", "wf001"), "n8n": ("wf005", "wf002")}
ACTION: Final = {"describe": "stop redis", "effect": "changes_state"}
QUESTION: Final = {"describe": "look", "effect": "read_only"}


class Hosts:
    """Audit logs of hosts in memory; `errors` names hosts that do not take a line, and how they fail."""

    def __init__(self) -> None:
        """Start with empty logs."""
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.errors: dict[str, LongshoreError] = {}
        self.tried: list[str] = []

    def append(self, host: str, lines: Sequence[Line]) -> None:
        """Take lines as a host does."""
        self.tried.append(host)
        if host in self.errors:
            raise self.errors[host]
        self.logs.setdefault(host, []).extend(json.loads(json.dumps(line)) for line in lines)

    def kinds(self, host: str) -> list[str]:
        """Return the kinds of the records on a host."""
        return [line["record"]["kind"] if "record" in line else "heads" for line in self.logs.get(host, [])]


@pytest.fixture
def hosts() -> Hosts:
    """Return hosts with empty logs."""
    return Hosts()


@pytest.fixture
def mirror(tmp_path: Path, hosts: Hosts) -> AuditMirror:
    """Return a run that is mirrored."""
    redactor = Redactor()
    redactor.register(Secret("Tr0ub4dor-and-3"))
    run = Journal.open(tmp_path / "lab.sqlite", redactor=redactor).start_run(command="migrate")
    return AuditMirror(run, {"environment": "lab", "command": "migrate"}, HOSTS, hosts.append, Patience(seconds=0.0))


def test_an_intent_is_on_both_hosts_before_its_deed(mirror: AuditMirror, hosts: Hosts) -> None:
    """The record, with its hash: what comes back from the call is already there, and on no third host."""
    record = mirror.record("intent", service="redis", key="stop-source", body=ACTION)

    for host in ("wf005", "wf001"):
        line = hosts.logs[host][0]
        assert (line["environment"], line["command"]) == ("lab", "migrate")
        assert line["record"] == record.as_json()
        assert hash_of({key: value for key, value in line["record"].items() if key != "hash"}) == record.hash
    assert "wf002" not in hosts.logs


def test_what_was_seen_since_travels_with_the_next_deed(mirror: AuditMirror, hosts: Hosts) -> None:
    """Questions and outcomes cost no trip of their own, and stand before the action that relies on them."""
    mirror.record("intent", service="redis", key="confirm-source", body=QUESTION)
    mirror.record("outcome", service="redis", key="confirm-source", body={"ok": True})
    assert hosts.tried == []

    mirror.record("intent", service="redis", key="stop-source", body=ACTION)

    assert hosts.kinds("wf001") == ["intent", "outcome", "intent"]
    assert sorted(hosts.tried) == ["wf001", "wf005"]


@pytest.mark.parametrize("host", ["wf005", "wf001"])
def test_a_deed_that_can_not_be_written_down_is_not_done(mirror: AuditMirror, hosts: Hosts, host: str) -> None:
    """Either host: the error reaches the saga before the action."""
    hosts.errors[host] = UnreachableError(f"{host}: ssh failed")

    with pytest.raises(UnreachableError, match=f"{host}: ssh failed"):
        mirror.record("intent", service="redis", key="stop-source", body=ACTION)


def test_a_lost_lock_weighs_more_than_a_silent_host(mirror: AuditMirror, hosts: Hosts) -> None:
    """Somebody else took over: nothing may be undone from here, so that must be what is raised."""
    hosts.errors = {
        "wf005": UnreachableError("wf005: ssh failed"),
        "wf001": LockLostError("wf001: the lock of this run is gone"),
    }

    with pytest.raises(LockLostError):
        mirror.record("intent", service="redis", key="stop-source", body=ACTION)


def test_a_run_that_lost_its_lock_says_no_state(mirror: AuditMirror, hosts: Hosts) -> None:
    """It slept while another one ended the move: the state in the journal that both share stays what that one wrote."""
    mirror.record("intent", service="redis", key="target-writes", body=QUESTION)
    hosts.errors = {host: LockLostError(f"{host}: the lock of this run is gone") for host in HOSTS["redis"]}

    with pytest.raises(LockLostError):
        mirror.record("move_state", service="redis", body={"state": "done"})

    assert mirror.run.journal.records(kind="move_state") == []


def test_an_undo_continues_while_one_host_is_dead(mirror: AuditMirror, hosts: Hosts) -> None:
    """It is tried once, not at every step; the other host has each record; later it gets what it missed."""
    mirror.record("intent", service="redis", key="start-target", body=ACTION)
    hosts.errors["wf001"] = UnreachableError("wf001: ssh failed")
    for key in ("start-target", "create-target", "copy-volumes"):
        mirror.record("undo_intent", service="redis", key=key, body={})
        mirror.record("undo_outcome", service="redis", key=key, body={"ok": True, "text": ""})
    mirror.record("move_state", service="redis", body={"state": "undone"})

    assert hosts.tried.count("wf001") == 2
    assert hosts.kinds("wf005")[-1] == "move_state"

    hosts.errors.clear()
    mirror.close()
    assert hosts.kinds("wf001")[:-1] == hosts.kinds("wf005")[:-1]


def test_a_lost_lock_stops_an_undo(mirror: AuditMirror, hosts: Hosts) -> None:
    """Undoing is changing."""
    hosts.errors["wf001"] = LockLostError("wf001: the lock of this run is gone")

    with pytest.raises(LockLostError):
        mirror.record("undo_intent", service="redis", key="start-target", body={})


def test_the_heads_go_to_every_host_at_the_end(
    mirror: AuditMirror, hosts: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tail cut off the journal shows against them; a host that does not take them is named, and nothing fails."""
    last = mirror.record("result", service="redis", key="x", body={})
    hosts.errors["wf002"] = UnreachableError("wf002: ssh failed")

    mirror.close()

    assert hosts.logs["wf005"][-1]["heads"] == {"": {"records": 2, "hash": last.hash}}
    assert hosts.logs["wf001"][-1]["run_id"] == mirror.id
    assert "the end of this run is missing in the audit log of wf002: wf002: ssh failed" in capsys.readouterr().err


def test_no_secret_reaches_a_host(mirror: AuditMirror, hosts: Hosts) -> None:
    """The same redacted record, not what the caller gave."""
    mirror.record("intent", service="redis", key="stop-source", body={**ACTION, "note": {"said": "Tr0ub4dor-and-3"}})

    assert "Tr0ub4dor" not in json.dumps(hosts.logs)


def test_a_huge_fingerprint_goes_without_single_names(mirror: AuditMirror, hosts: Hosts) -> None:
    """Counts and digests are enough to compare; a log line of gigabytes would keep a service down."""
    names = {f"key:{number}": "d" * 64 for number in range(LARGEST // 64)}
    part = {"count": 3, "digest": "abc", "holds": "at_cutover", "bound": {}, "names": names}
    mirror.record(
        "fingerprint",
        service="redis",
        body={"moment": "source", "parts": {"db 0": part, "db 1": {**part, "names": {}}}},
    )
    mirror.record("intent", service="redis", key="stop-source", body=ACTION)

    line = hosts.logs["wf001"][0]
    assert line["shortened"]
    assert line["record"]["body"]["parts"]["db 0"] == {"count": 3, "digest": "abc", "holds": "at_cutover", "bound": {}}


def test_what_the_journal_does_not_take_the_hosts_have(
    mirror: AuditMirror, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their audit logs are the record of an undo then, each line with its hash; an intent is not sent: nothing follows
    it.
    """

    def full(*_: Any) -> int:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr("engine.journal.journal.insert_record", full)

    for kind, body in (
        ("intent", ACTION),
        ("undo_intent", {}),
        ("undo_outcome", {"ok": True, "text": ""}),
        ("move_state", {"state": "undone"}),
    ):
        with pytest.raises(JournalError):
            mirror.record(kind, service="redis", key="stop-source", body=body)

    assert hosts.kinds("wf001") == hosts.kinds("wf005") == ["undo_intent", "undo_outcome", "move_state"]
    for line in hosts.logs["wf001"]:
        assert hash_of({key: value for key, value in line["record"].items() if key != "hash"}) == line["record"]["hash"]


def test_a_note_is_on_both_hosts_before_the_next_change(mirror: AuditMirror, hosts: Hosts) -> None:
    """What an action found in its middle is as durable as its intent."""
    mirror.record("note", service="redis", key="copy-volumes", body={"note": {"created": ["redis_data"]}})

    assert hosts.kinds("wf001") == hosts.kinds("wf005") == ["note"]


def test_a_host_that_is_cut_off_for_a_moment_costs_no_action(mirror: AuditMirror, hosts: Hosts) -> None:
    """The line is sent again for a while, to the host that did not take it alone."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        hosts.errors.clear()

    mirror.patience = Patience(60.0, pause, lambda: sum(pauses))
    hosts.errors = {"wf001": UnreachableError("wf001: no answer")}

    mirror.record("intent", service="redis", key="stop-source", body=ACTION)

    assert hosts.kinds("wf001") == hosts.kinds("wf005") == ["intent"]
    assert hosts.tried.count("wf005") == 1


def test_a_host_that_says_no_is_a_failure_that_was_seen(mirror: AuditMirror, hosts: Hosts) -> None:
    """Its disk is full, say: the action fails at once and is undone; only a host without an answer is waited for."""
    pauses: list[float] = []
    mirror.patience = Patience(60.0, pauses.append, lambda: sum(pauses))
    hosts.errors = {"wf001": NotObservedError("wf001: could not write audit.jsonl: No space left on device")}

    with pytest.raises(ActionError, match="No space left"):
        mirror.record("intent", service="redis", key="stop-source", body=ACTION)

    assert pauses == []
