"""The host's audit log: whole lines only, on disk before anything follows, and not by who lost the lock."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engine.constants import HOST_STATE_DIR
from engine.contracts.container import CommandResult
from engine.contracts.host import Endpoint
from engine.errors import LockLostError, NotObservedError
from hosts.coordination.audit_log import append_audit, append_lines, read_audit


class HereHost:
    """This machine as a host, with its state directory in a folder of the test."""

    name, address = "here", "192.0.2.1"

    def __init__(self, folder: Path) -> None:
        """Take the folder."""
        self.folder = folder

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run a shell command."""
        here = [word.replace(HOST_STATE_DIR, str(self.folder)) for word in argv]
        ended = subprocess.run(here, input=stdin, capture_output=True, timeout=timeout_s, check=False)
        return CommandResult(tuple(here), ended.returncode, ended.stdout, ended.stderr, 0.0)

    def forward(self, port: int, address: str = "127.0.0.1") -> Endpoint:
        """Forward nothing."""
        raise NotImplementedError


@pytest.fixture
def host(tmp_path: Path, local_program: None) -> HereHost:
    """Return a host that no run ever touched."""
    return HereHost(tmp_path / "longshore")


def test_lines_are_read_in_the_order_of_writing(host: HereHost) -> None:
    """Several in one trip, each with when and by whom."""
    assert read_audit(host) == []
    append_audit(host, {"key": "one"})
    append_lines(host, [{"key": "two"}, {"key": "three"}])

    lines = [json.loads(line) for line in read_audit(host)]

    assert [line["key"] for line in lines] == ["one", "two", "three"]
    assert {"at", "by"} <= set(lines[0])
    assert (host.folder / "audit.jsonl").stat().st_mode & 0o077 == 0


def test_a_line_that_a_power_cut_tore_stays_alone(host: HereHost) -> None:
    """The next record begins on a line of its own, so only the torn one is lost."""
    append_audit(host, {"key": "one"})
    with (host.folder / "audit.jsonl").open("a") as log:
        log.write('{"at": "2026-12-05T2')
    append_audit(host, {"key": "two"})

    assert [line[:20] for line in read_audit(host)][1] == '{"at": "2026-12-05T2'
    assert json.loads(read_audit(host)[2])["key"] == "two"


def test_who_lost_the_lock_writes_nothing(host: HereHost) -> None:
    """The token is tested in the same trip."""
    (host.folder / "lock").mkdir(parents=True)
    (host.folder / "lock" / "token").write_text("theirs")

    with pytest.raises(LockLostError, match="here: the lock of this run is gone"):
        append_lines(host, [{"key": "one"}], token="ours")

    assert read_audit(host) == []
    append_lines(host, [{"key": "one"}], token="theirs")
    assert len(read_audit(host)) == 1


def test_a_log_that_can_not_be_written_is_said(host: HereHost) -> None:
    """A full disk, or something else in its place: the action must not follow."""
    (host.folder / "audit.jsonl").mkdir(parents=True)

    with pytest.raises(
        NotObservedError,
        match=r"here: could not write /var/lib/longshore/audit.jsonl.*every action is written down first",
    ):
        append_audit(host, {"key": "one"})
    with pytest.raises(NotObservedError, match=r"here: could not read /var/lib/longshore/audit.jsonl"):
        read_audit(host)
