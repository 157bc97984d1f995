"""Rows of preflight on the lab, which must be up and prepared: how long it takes, what it asks of each host, and
testinfra in comparison.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any, Final

import testinfra

from bench.row import Row, median_and_spread, seconds
from engine.config.environment import load_environment
from engine.errors import ActionError
from hosts.facts.model import HostFacts
from hosts.fleet import open_hosts
from lab.settings import HOSTS, STATE

RUNS: Final = 3
LONGEST_S: Final = 5
MOST_SESSIONS: Final = 1
MOST_COMMANDS: Final = 5
ASSERTIONS: Final = 250
FASTER: Final = 30
PEER: Final = "testinfra, ssh"
NAMES: Final = tuple(plan.name for plan in HOSTS)
ENDED: Final = re.compile(r"evidence: (\S+)/report\.html")

COUNTING_SSH: Final = """#!/bin/sh
printf '%s\\t' "$@" >>"$LONGSHORE_BENCH_SSH"; echo >>"$LONGSHORE_BENCH_SSH"
exec "{ssh}" "$@"
"""
"""Runs in front of the real ssh and writes down each call."""


@dataclass(frozen=True)
class Ran:
    """One preflight: seconds, rows of evidence, and per host the connections opened and the commands run on it."""

    seconds: float
    rows: int
    sessions: Mapping[str, int]
    commands: Mapping[str, int]


def preflight_wall() -> Row:
    """Measure a whole preflight from the command to the sealed evidence, warm."""
    ran = _preflights()
    middle, spread = median_and_spread([one.seconds for one in ran])
    work = f"preflight of {len(NAMES)} hosts, {ran[0].rows} rows, from the command to the sealed evidence"
    return Row("preflight-wall", work, "", middle, None, "s", LONGEST_S, "less", RUNS, spread)


def preflight_sessions() -> Row:
    """Count the ssh connections that one preflight opens to a host."""
    return _count(
        "preflight-sessions",
        "ssh connections opened to the host that got most",
        MOST_SESSIONS,
        [one.sessions for one in _preflights()],
    )


def preflight_commands() -> Row:
    """Count the commands that one preflight runs on a host; each host's count is in the work."""
    counts = [one.commands for one in _preflights()]
    counted = ", ".join(f"{host} {count}" for host, count in sorted(counts[0].items()))
    return _count("preflight-commands", f"remote commands on the host that got most ({counted})", MOST_COMMANDS, counts)


def _count(name: str, work: str, goal: int, counts: list[Mapping[str, int]]) -> Row:
    most = [float(max(count.values(), default=0)) for count in counts]
    middle, spread = median_and_spread(most)
    return Row(name, work, "", middle, None, "", goal, "less", RUNS, spread)


@cache
def _preflights() -> tuple[Ran, ...]:
    """Run preflight once to warm up, then as often as is measured; all rows of this process share the figures."""
    _preflight()
    return tuple(_preflight() for _ in range(RUNS))


def _preflight() -> Ran:
    """Run one; raises ActionError unless it looked at everything and found nothing wrong."""
    with tempfile.TemporaryDirectory() as folder:
        log, ssh = Path(folder) / "calls", Path(folder) / "ssh"
        ssh.write_text(COUNTING_SSH.format(ssh=which("ssh")), encoding="utf-8")
        ssh.chmod(ssh.stat().st_mode | stat.S_IXUSR)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "LONGSHORE_BENCH_SSH": str(log)}
        answers: list[subprocess.CompletedProcess[str]] = []
        argv = [sys.executable, "-m", "commands", "preflight", "--lab"]
        taken = seconds(
            lambda: answers.append(subprocess.run(argv, capture_output=True, text=True, check=False, env=environment))
        )
        output = answers[0].stdout + answers[0].stderr
        found = ENDED.search(output)
        if answers[0].returncode or not found:
            tail = "\n".join(output.splitlines()[-15:])
            raise ActionError(
                f"preflight: exit status {answers[0].returncode}. Expected: 0 on a lab that is up and prepared\n{tail}"
            )
        rows = sum(
            json.loads(line)["kind"] == "result"
            for line in (Path(found[1]) / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        )
        return Ran(taken, rows, *count_calls(log.read_text(encoding="utf-8")))


def count_calls(log: str) -> tuple[Counter[str], Counter[str]]:
    """Return per host the connections opened and the commands run, from the calls of ssh; forwards on a connection are
    neither.
    """
    sessions, commands = Counter[str](), Counter[str]()
    for call in (line.rstrip("\t").split("\t") for line in log.splitlines() if line):
        host = next((name for name in NAMES if name in call), None)
        if host is None or "-O" in call:
            continue
        (sessions if "ControlMaster=yes" in call else commands)[host] += 1
    return sessions, commands


@dataclass(frozen=True)
class Assertion:
    """One thing that holds on a host: its kind, its subject and its value."""

    host: str
    kind: str  # user | directory | exists | listening | running | setting
    subject: str
    value: str


def preflight_vs_testinfra() -> Row:
    """Measure the same assertions from our one trip and through testinfra's ssh backend as it comes, connections
    included.
    """
    environment, config = load_environment(Path("environments") / "lab.yaml"), STATE / "ssh_config"

    def look() -> list[HostFacts]:
        with open_hosts(NAMES, environment, config) as fleet:
            found = fleet.gather(NAMES).values()
            return [facts for facts in found if isinstance(facts, HostFacts)]

    asserted = assertions_of(look())
    figures = [len(asserted) / seconds(lambda: judge_ours(asserted, look())) for _ in range(RUNS)]
    theirs = len(asserted) / seconds(lambda: judge_theirs(asserted, config))
    middle, spread = median_and_spread(figures)
    work = (
        f"the same {len(asserted)} assertions about {len(NAMES)} hosts: users, folders, sockets, containers, "
        "kernel settings"
    )
    return Row("preflight-vs-testinfra", work, PEER, middle, theirs, "assertions/s", FASTER, "more", RUNS, spread)


def assertions_of(hosts: Iterable[HostFacts]) -> list[Assertion]:
    """Return what holds on the hosts, host by host in turn, so that each has its share of the first 250."""
    each = [list(_assertions(facts)) for facts in hosts]
    turns = max((len(one) for one in each), default=0)
    return [one[turn] for turn in range(turns) for one in each if turn < len(one)][:ASSERTIONS]


def _assertions(facts: HostFacts) -> Iterator[Assertion]:
    for container in facts.containers:
        yield Assertion(facts.host, "running", container.name, str(container.running))
    for one in facts.listening:
        if one.protocol == "tcp" and one.address in {"0.0.0.0", "127.0.0.1"}:  # noqa: S104 compared, never bound
            yield Assertion(facts.host, "listening", f"tcp://{one.address}:{one.port}", "True")
    for name, value in facts.around.settings.items():
        if "." in name:
            yield Assertion(facts.host, "setting", name, value)
    for user, name in facts.around.users.items():
        yield Assertion(facts.host, "user", name, str(user))
    for volume in facts.volumes:
        yield Assertion(facts.host, "directory", volume.mountpoint, "True")
    for disk in facts.file_systems:
        yield Assertion(facts.host, "exists", disk.mount, "True")


def judge_ours(asserted: Iterable[Assertion], hosts: Iterable[HostFacts]) -> None:
    """Judge all assertions by facts that were just gathered; raises ActionError when one does not hold."""
    seen = {assertion for facts in hosts for assertion in _assertions(facts)}
    _refuse([one for one in asserted if one not in seen])


def judge_theirs(asserted: Iterable[Assertion], ssh_config: Path) -> None:
    """Judge all assertions through testinfra; raises ActionError when one does not hold."""
    hosts = {name: testinfra.get_host(f"ssh://{name}", ssh_config=str(ssh_config)) for name in NAMES}
    _refuse([one for one in asserted if _ask(hosts[one.host], one) != one.value])


def _ask(host: Any, assertion: Assertion) -> str:
    """Return what testinfra says; each question is at least one ssh connection of its own."""
    questions = {
        "running": lambda: host.docker(assertion.subject).is_running,
        "listening": lambda: host.socket(assertion.subject).is_listening,
        "setting": lambda: host.sysctl(assertion.subject),
        "user": lambda: host.user(assertion.subject).uid,
        "directory": lambda: host.file(assertion.subject).is_directory,
        "exists": lambda: host.file(assertion.subject).exists,
    }
    return str(questions[assertion.kind]())


def _refuse(wrong: list[Assertion]) -> None:
    if wrong:
        raise ActionError(
            f"{len(wrong)} assertions do not hold: {wrong[0]}. Expected: all, or the two did not do the same work"
        )


ROWS: Final = {
    "preflight-wall": preflight_wall,
    "preflight-sessions": preflight_sessions,
    "preflight-commands": preflight_commands,
    "preflight-vs-testinfra": preflight_vs_testinfra,
}
