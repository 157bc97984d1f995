"""Killed at each record of the actions that move a service, then resumed or rolled back while an engine sleeps.

A client writes numbers through the service's name and port all the time and prints which were acknowledged: none may be
lost, and the service never runs on both sides.
"""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.lab import at_hand, killing
from tests.lab.at_hand import SOURCE, STATE, TARGETS

pytestmark = [pytest.mark.lab, pytest.mark.full]
SERVICE: Final = "redis"
TARGET: Final = TARGETS[SERVICE]
KEY: Final = "orders:ticks"
MOVE: Final = ("migrate", "--lab", "--apply", "--service", SERVICE)
AGAIN: Final = (*MOVE, "--retry", SERVICE)
BACK: Final = ("rollback", SERVICE, "--lab", "--apply")
ON_SOURCE: Final = (True, False)
ON_TARGET: Final = (False, True)
KILLED: Final = "tests.lab.killed_program"
WRITER: Final = (Path(__file__).parent / "writer_program.py").read_text(encoding="utf-8")
WRITER_NAME: Final = "longshore-writer"
ASLEEP_S: Final = 5.0
DEADLINE_S: Final = 600.0
REFUSED: Final = 3
FEWEST: Final = 100
"""So many writes are acknowledged at least in each case: it has been tried."""

RECORDS: Final[dict[str, tuple[str, ...]]] = {
    "commit": ("intent", "outcome", "move_state", "result"),
    "copy-back": ("intent", "outcome", "result"),
    "start-returned": ("intent", "outcome", "move_state", "result"),
    "clean-target": ("intent", "outcome", "move_state", "result"),
}
"""What a step writes, in this order: a kill after each of them."""


@dataclass(frozen=True)
class Kill:
    """A kill after record `number` of a step; the engine of `asleep` sleeps while the command that follows runs."""

    step: str
    number: int
    asleep: str


@dataclass(frozen=True)
class Case:
    """A command that is killed, and the one that follows each kill: it dies at the next one, or ends."""

    argv: tuple[str, ...]
    kills: tuple[Kill, ...]
    then: tuple[str, ...]
    ends: tuple[bool, bool]

    @property
    def begins(self) -> tuple[bool, bool]:
        """Return where the service runs before the first command."""
        return ON_TARGET if self.argv == BACK else ON_SOURCE

    def __str__(self) -> str:
        """Return its name among the tests."""
        first = self.kills[0]
        return f"{'-'.join(kill.step for kill in self.kills)}-{first.number}-{self.then[0]}-{first.asleep}"


def _cases() -> Iterator[Case]:
    """Yield a kill at each record of each step, with either engine asleep afterwards.

    A move that was killed in its commit is resumed once and rolled back once. One rollback is killed in each of its
    steps: it can only be resumed. What a resumed move leaves is what the next case takes back.
    """
    for number in range(len(RECORDS["commit"])):
        one, other = (SOURCE, TARGET) if number % 2 else (TARGET, SOURCE)
        yield Case(AGAIN, (Kill("commit", number, one),), MOVE, ON_TARGET)
        yield _killed_rollback(number, (one, other))
        yield Case(AGAIN, (Kill("commit", number, other),), BACK, ON_SOURCE)
        yield _killed_rollback(number, (other, one))


def _killed_rollback(number: int, asleep: tuple[str, str]) -> Case:
    steps = [step for step, kinds in RECORDS.items() if step != "commit" and number < len(kinds)]
    kills = tuple(Kill(step, number, host) for step, host in zip(steps, itertools.cycle(asleep), strict=False))
    return Case(BACK, kills, BACK, ON_SOURCE)


CASES: Final = list(_cases())


class Side:
    """When the service's own container ran on one host, by the start and end events of its engine."""

    def __init__(self, host: str, folder: Path, *, runs: bool) -> None:
        """Listen from now on."""
        self.host, self.runs, self.file = host, runs, folder / f"{host}.events"
        words = [
            "docker",
            "events",
            "--filter",
            "type=container",
            "--filter",
            "event=start",
            "--filter",
            "event=die",
            "--format",
            "'{{json .}}'",
        ]
        ssh = ["ssh", "-F", str(STATE / "ssh_config"), "-o", "BatchMode=yes", host, " ".join(words)]
        with self.file.open("wb") as output:
            self.listener = subprocess.Popen(ssh, stdout=output, stderr=subprocess.DEVNULL)

    def end(self) -> None:
        """Listen no longer; it must have listened until now."""
        assert self.listener.poll() is None, f"{self.host}: docker events ended early"
        self.listener.terminate()
        self.listener.wait()

    def changes(self) -> list[tuple[int, int, str]]:
        """Return each moment, with 1 for a start and 0 for an end; the service's relays and others are left out."""
        found = [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]
        return [
            (int(event["timeNano"]), int(event["Action"] == "start"), self.host)
            for event in found
            if _is_service(event["Actor"]["Attributes"])
        ]


def _is_service(attributes: dict[str, str]) -> bool:
    own = {SERVICE, f"{SERVICE}-moved"}
    return attributes.get("longshore.role") != "forwarder" and (
        attributes["name"] in own or attributes["name"].startswith(f"{SERVICE}-longshore")
    )


@contextmanager
def never_on_both(folder: Path) -> Iterator[None]:
    """Assert that no moment of all this saw the service run on both sides."""
    sides = [
        Side(host, folder, runs=runs) for host, runs in zip((SOURCE, TARGET), killing.both_sides(SERVICE), strict=True)
    ]
    try:
        yield
        running = {side.host: side.runs for side in sides}
        changes = sorted(change for side in sides for change in side.changes())
    finally:
        for side in sides:
            side.end()
    assert changes, "the service was started or ended at least once"
    for at, starts, host in changes:
        running[host] = bool(starts)
        assert not all(running.values()), f"at {at}: both run; {changes}"


@pytest.fixture(scope="module")
def approved(raised_lab: None) -> None:
    """Approve the move on the prepared lab; the writer comes after that, nobody declared it."""
    at_hand.prepared_lab()
    at_hand.preflight_and_approve("--service", SERVICE)


def _put(ends: tuple[bool, bool]) -> None:
    """Have the service run on one side, undisturbed, where it does not."""
    if killing.both_sides(SERVICE) != ends:
        ran = at_hand.run_command(*(AGAIN if ends == ON_TARGET else BACK), timeout_s=DEADLINE_S)
        assert ran.code == 0, ran.output[-4000:]


def _start_writer() -> None:
    orders = at_hand.inspect(SOURCE, "orders")
    env = [line for line in orders["Config"]["Env"] if line.startswith("ORDERS_")]
    flags = [word for line in [*env, f"STORES={SERVICE}"] for word in ("--env", line)]
    at_hand.on_host(SOURCE, "sh", "-c", f"docker rm --force {WRITER_NAME} >/dev/null 2>&1 || true")
    at_hand.on_host(
        TARGET if killing.both_sides(SERVICE) == ON_TARGET else SOURCE,
        "docker",
        "exec",
        SERVICE,
        "redis-cli",
        "DEL",
        KEY,
    )
    start = ["docker", "run", "--detach", "--name", WRITER_NAME, "--network", "apps", *flags, "--entrypoint", "python3"]
    at_hand.on_host(SOURCE, *start, orders["Image"], "-u", "-c", WRITER)
    at_hand.wait_for("the writer's first writes", lambda: bool(_acknowledged()))


def _acknowledged() -> set[int]:
    return {
        int(line.split()[1])
        for line in at_hand.on_host(SOURCE, "docker", "logs", WRITER_NAME).splitlines()
        if line.startswith(SERVICE)
    }


def _stored(ends: tuple[bool, bool]) -> list[int]:
    return [
        int(line)
        for line in at_hand.redis_cli(SOURCE if ends == ON_SOURCE else TARGET, "LRANGE", KEY, "0", "-1").split()
    ]


def _run(argv: tuple[str, ...], asleep: str | None, module: str = "commands") -> killing.Ended:
    """Run a command to its end; the engine of a host sleeps from the first thing that is recorded of the service."""
    if asleep is None:
        return killing.run_through(lambda _: False, lambda: None, *argv, frozen=False, module=module)
    try:
        ended = killing.run_through(
            lambda seen: seen.service == SERVICE, lambda: _let_sleep(asleep), *argv, frozen=False, module=module
        )
    finally:
        at_hand.on_host(asleep, "pkill", "-CONT", "-x", "dockerd")
    assert ended.killed_at is not None, f"{argv}: nothing was recorded of {SERVICE}: {ended.output[-4000:]}"
    return ended


def _kill(kill: Kill, argv: tuple[str, ...], asleep: str | None) -> None:
    """Run the command until its record, and see in the journal that it was this one."""
    last = at_hand.last_seq()
    ended = _run((kill.step, str(kill.number), *argv), asleep, KILLED)
    assert ended.code == -signal.SIGKILL, f"{kill}: ended by itself with {ended.code}: {ended.output[-4000:]}"
    records = [seen for seen in killing.records_after(last) if seen.service == SERVICE]
    began = next(position for position, seen in enumerate(records) if (seen.kind, seen.key) == ("intent", kill.step))
    written = tuple(seen.kind for seen in records[began:] if seen.key == kill.step or seen.kind == "move_state")
    assert written == RECORDS[kill.step][: kill.number + 1]


def _refuse_to_turn_round(kill: Kill) -> None:
    """See that a killed rollback is finished before anything moves again; its last record ends it."""
    states = [
        seen.body["state"] for seen in killing.records_after(0) if (seen.kind, seen.service) == ("move_state", SERVICE)
    ]
    if kill.step == "commit" or states[-1] == "rolled_back":
        return
    ran = at_hand.run_command(*AGAIN)
    assert ran.code == REFUSED, ran.output[-3000:]
    assert (
        f"{SERVICE}: is being rolled back. Finish that first: nox -s rollback -- {SERVICE} --lab --apply" in ran.output
    )


def _let_sleep(host: str) -> None:
    """Let an engine answer nobody for a while: its containers run on."""
    at_hand.on_host(host, "pkill", "-STOP", "-x", "dockerd")
    time.sleep(ASLEEP_S)
    at_hand.on_host(host, "pkill", "-CONT", "-x", "dockerd")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_lost_and_nobody_writes_twice(approved: None, tmp_path: Path, case: Case) -> None:
    """However it was killed, one command ends it: on the right side, with every acknowledged write, never on both."""
    _put(case.begins)
    _start_writer()
    with never_on_both(tmp_path):
        argv, asleep = case.argv, None
        for kill in case.kills:
            _kill(kill, argv, asleep)
            _refuse_to_turn_round(kill)
            argv, asleep = case.then, kill.asleep
        ended = _run(argv, asleep)
        assert ended.code == 0, f"{case}: {ended.output[-6000:]}"
        until = max(_acknowledged())
        at_hand.wait_for("writes through the same name", lambda: max(_acknowledged()) > until)
    at_hand.on_host(SOURCE, "docker", "stop", "--time", "1", WRITER_NAME)
    acknowledged, stored = _acknowledged(), _stored(case.ends)
    at_hand.on_host(SOURCE, "docker", "rm", WRITER_NAME)
    assert killing.both_sides(SERVICE) == case.ends
    assert len(acknowledged) > FEWEST
    assert sorted(acknowledged - set(stored))[:5] == [], (
        f"{len(acknowledged - set(stored))} of {len(acknowledged)} acknowledged writes are lost"
    )
    assert len(stored) == len(set(stored))
    at_hand.assert_data_flows()
    assert killing.leftovers() == []
    assert killing.broken_chains() == []
