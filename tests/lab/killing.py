"""Commands that are watched through the journal and killed, frozen or left alone at a chosen record; and what must be
left then.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from engine.journal.journal import Journal, chain_problems
from engine.redaction.redactor import Redactor
from tests.lab import at_hand
from tests.lab.at_hand import HOSTS, JOURNAL, ROOT, SOURCE, TARGETS

LOOK_EVERY_S: Final = 0.003
DEADLINE_S: Final = 600.0
LASTING: Final = {"forwarder", "network", "data"}
"""Roles of what a finished move leaves on purpose."""


@dataclass(frozen=True)
class Seen:
    """One journal record as the watcher meets it."""

    seq: int
    kind: str
    service: str | None
    key: str | None
    body: dict[str, Any]

    @property
    def fresh_outcome(self) -> bool:
        """Return whether a deed or question was just answered, for the first time."""
        return self.kind == "outcome" and bool(self.body.get("ok")) and not self.body.get("resumed")


@dataclass(frozen=True)
class Ended:
    """How a watched command ended: killed at a record, or by itself with an exit status and all it printed."""

    killed_at: Seen | None
    code: int
    output: str


def records_after(seq: int) -> list[Seen]:
    """Return the journal's records after a number; reads only."""
    with sqlite3.connect(f"file:{JOURNAL}?mode=ro", uri=True, timeout=10) as connection:
        rows = connection.execute(
            "SELECT seq, kind, service, key, body FROM records WHERE seq > ? ORDER BY seq", (seq,)
        ).fetchall()
    return [Seen(number, kind, service, key, json.loads(body)) for number, kind, service, key, body in rows]


def start(*argv: str, module: str = "commands") -> subprocess.Popen[str]:
    """Start a command as a person would, with its output in a pipe; `module` is what starts it instead."""
    words = [sys.executable, "-m", module, *argv]
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=at_hand.plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run_until(
    wanted: Callable[[Seen], bool], *argv: str, delay_s: float = 0.0, deadline_s: float = DEADLINE_S
) -> Ended:
    """Run a command and kill it with -9 as soon as a record is wanted, or a moment later; wait for its end."""
    last = at_hand.last_seq()
    child = start(*argv)
    hit = next(_watch(child, wanted, last, deadline_s), None)
    if hit is not None:
        time.sleep(delay_s)
        os.kill(child.pid, signal.SIGKILL)
    output = child.communicate(timeout=DEADLINE_S)[0]
    return Ended(hit if hit and child.returncode else None, child.returncode, output)


def run_through(
    wanted: Callable[[Seen], bool],
    deed: Callable[[], None],
    *argv: str,
    frozen: bool,
    deadline_s: float = DEADLINE_S,
    module: str = "commands",
) -> Ended:
    """Run a command to its end, with a deed done at the first record that is wanted; meanwhile it is frozen, or goes
    on.

    `killed_at` is that record, None when it never came.
    """
    last, hit, doing = at_hand.last_seq(), None, threading.Thread(target=deed)
    child = start(*argv, module=module)
    for seen in _watch(child, wanted, last, deadline_s):
        if hit is not None:
            continue
        hit = seen
        if frozen:
            os.kill(child.pid, signal.SIGSTOP)
        doing.start()
        if frozen:
            doing.join()
            os.kill(child.pid, signal.SIGCONT)
    output = child.communicate(timeout=DEADLINE_S)[0]
    if hit is not None:
        doing.join()
    return Ended(hit, child.returncode, output)


def _watch(
    child: subprocess.Popen[str], wanted: Callable[[Seen], bool], last: int, deadline_s: float
) -> Iterator[Seen]:
    """Yield each record after `last` that is wanted, as soon as it is there, until the command ends; one that does not
    is killed.
    """
    deadline = time.monotonic() + deadline_s
    while child.poll() is None:
        new = records_after(last)
        last = new[-1].seq if new else last
        yield from filter(wanted, new)
        if time.monotonic() > deadline:
            child.kill()
            raise TimeoutError(
                f"{child.args!r}: did not end within {deadline_s:.0f} s: {child.communicate()[0][-2000:]}"
            )
        time.sleep(LOOK_EVERY_S)


def leftovers() -> list[str]:
    """Return what no finished migration may leave on a host or here: helpers, keys, locks, half made things,
    connections.
    """
    found = []
    script = (
        "docker ps -a --format '{{.Names}} {{.Label \"longshore.role\"}}' --filter label=longshore.role; echo --; "
        "grep -h longshore /root/.ssh/authorized_keys | grep -v ' longshore-lab$'; echo --; "
        "ls -d /run/longshore-* /var/lib/longshore/lock* 2>/dev/null; true"
    )
    for host in HOSTS:
        containers, keys, paths = at_hand.on_host(host, "sh", "-c", script).split("--\n")
        found += [
            f"{host}: container {line}"
            for line in containers.splitlines()
            if line.split()[-1] not in LASTING | {"service"}
        ]
        found += [f"{host}: key {line[:60]}" for line in keys.splitlines()]
        found += [f"{host}: {line}" for line in paths.splitlines()]
    here = subprocess.run(
        ["pgrep", "-af", f"ssh .*{ROOT}/state/lab/ssh_config"], capture_output=True, text=True, check=False
    ).stdout
    return found + [f"here: {line[:120]}" for line in here.splitlines()]


def broken_chains() -> list[str]:
    """Return what is wrong with the chain of any run in the journal."""
    journal = Journal.open(JOURNAL, redactor=Redactor())
    runs = dict.fromkeys(record.run_id for record in journal.records(kind="run_started"))
    return [problem for run in runs for problem in chain_problems(journal.records(run_id=run))]


def both_sides(service: str) -> tuple[bool, bool]:
    """Return whether the service itself (no relay of its name) runs on its source, and on its target."""
    return tuple(_runs(host, service) for host in (SOURCE, TARGETS[service]))  # type: ignore[return-value]


def _runs(host: str, service: str) -> bool:
    found = at_hand.containers(host)
    named = [found[name] for name in (service, f"{service}-moved") if name in found]
    return any(
        raw["State"]["Running"] and raw["Config"]["Labels"].get("longshore.role") != "forwarder" for raw in named
    )


def lost_writes(first: dict[str, Any], last: dict[str, Any] | None = None) -> list[str]:
    """Return which of the application's acknowledged writes are stored nowhere: from `first` to `last` (by default: to
    now).

    The services are asked where they are now. The application repeats what was not acknowledged, so a number that is
    there twice is its own doing; Postgres keeps each number once.
    """
    at_hand.assert_data_flows()
    last = last or at_hand.orders("/state")
    rows = at_hand.query(_where("postgres"), "SELECT seq FROM events WHERE source = 'orders'").split()
    words = at_hand.redis_cli(_where("redis"), "XRANGE", "orders:log", "-", "+").split()
    stored = {
        "postgres": {int(row) for row in rows},
        "redis": {int(value) for name, value in itertools.pairwise(words) if name == "n"},
    }
    problems = []
    for store, numbers in stored.items():
        wanted = set(range(first[f"{store}_acked"], last[f"{store}_acked"] + 1))
        missing = sorted(wanted - numbers)
        problems += (
            [f"{store}: {len(missing)} of {len(wanted)} acknowledged writes missing, first {missing[0]}"]
            if missing
            else []
        )
    return problems


def _where(service: str) -> str:
    source, target = both_sides(service)
    assert source != target, f"{service} runs on {'both sides' if source else 'neither side'}"
    return SOURCE if source else TARGETS[service]
