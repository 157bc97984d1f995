"""What the lab's tests share: phases run as a person runs them, and looks at the hosts that owe longshore nothing."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from lab.settings import HOST_IMAGE, POSTGRES, local_name

ROOT: Final = Path(__file__).resolve().parents[2]
STATE: Final = ROOT / "state" / "lab"
JOURNAL: Final = ROOT / "state" / "lab.sqlite"
REPORTS: Final = ROOT / "reports" / "lab"
SOURCE: Final = "wf005"
TARGETS: Final = {"postgres": "wf002", "prometheus": "wf001", "redis": "wf001"}
ALL_TARGETS: Final = {
    "n8n": "wf001",
    "postgres": "wf002",
    "keycloak": "wf002",
    "grafana": "wf001",
    "prometheus": "wf001",
    "loki": "wf001",
    "redis": "wf001",
    "minio": "wf001",
    "rabbitmq": "wf001",
    "caddy": "wf002",
    "waha": "wf002",
    "metabase": "wf002",
    "temporal": "wf001",
}
HOSTS: Final = (SOURCE, "wf001", "wf002")
PREPARED: Final = "prepared"
PREPARED_BY: Final = STATE / "kept" / PREPARED / "commit"
UNANSWERED: Final = frozenset({"clock-synchronised", "baseline-sufficient", "cpu-after", "disk-io-after"})
"""Warnings: a lab host keeps no clock of its own, nobody sampled it for a day, its load is the whole machine's."""
PHASE_DEADLINE_S: Final = 600.0
"""Far beyond what a phase takes on a machine that does nothing else: it only ends what hangs."""
LAB_DEADLINE_S: Final = 1500.0
"""Building every image from packages, where nothing is cached, takes minutes."""


@dataclass(frozen=True)
class Ran:
    """A command that ended: its exit status, all it printed, and the evidence folder that it made (None: none)."""

    code: int
    output: str
    folder: Path | None


def run_command(*argv: str, timeout_s: float = PHASE_DEADLINE_S) -> Ran:
    """Run `python -m commands …` as a person would, and return how it ended; the lab's people have done what validate
    asks of people.
    """
    if argv[0] == "validate":
        attest()
    before = set(REPORTS.glob("2*")) if REPORTS.exists() else set()
    ended = subprocess.run(
        [sys.executable, "-m", "commands", *argv],
        cwd=ROOT,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    new = sorted(set(REPORTS.glob("2*")) - before) if REPORTS.exists() else []
    return Ran(ended.returncode, ended.stdout + ended.stderr, new[-1] if new else None)


def plain_environment() -> dict[str, str]:
    """Return this process' environment without what pytest adds to it: the phases are pytest runs of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))} | {
        "COLUMNS": "200"
    }


def run_phase(phase: str, *flags: str, timeout_s: float = PHASE_DEADLINE_S) -> Ran:
    """Run one phase against the lab."""
    return run_command(phase, "--lab", *flags, timeout_s=timeout_s)


def preflight_and_approve(*flags: str) -> Ran:
    """Run preflight, let both throwaway people of the lab sign what it saw, and return the preflight; raises
    RuntimeError.
    """
    preflight = run_phase("preflight", *flags)
    approve = run_command("approve", "--lab", *flags)
    if preflight.code or approve.code:
        raise RuntimeError(
            f"preflight: exit {preflight.code}, approve: exit "
            f"{approve.code}\n{preflight.output[-3000:]}\n{approve.output[-1000:]}"
        )
    return preflight


def lab(*argv: str) -> None:
    """Run the lab's own command; raises RuntimeError with its output when it fails."""
    ran = run_command("lab", *argv, timeout_s=LAB_DEADLINE_S)
    if ran.code:
        raise RuntimeError(
            f"lab {' '.join(argv)}: exit {ran.code}. The lab's tests need Docker and root:\n{ran.output[-2000:]}"
        )
    if argv[0] in {"up", "reset", "back"}:
        attest()


def core_images() -> None:
    """Have the images of the hosts and of their postgres; where they are there, no other command of the lab is kept
    waiting.
    """
    for image in (HOST_IMAGE, local_name(POSTGRES)):
        if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
            lab("images")
            return


def attest() -> None:
    """Let the lab's people attest all that waits for a person; raises RuntimeError."""
    ran = run_command("attest", "--lab")
    if ran.code:
        raise RuntimeError(f"attest: exit {ran.code}\n{ran.output[-2000:]}")


def prepared_lab() -> None:
    """Give back the lab as it was when all was prepared; the first time that is done and kept.

    Preparing takes a minute, the way back no longer than a reset.
    """
    try:
        assert PREPARED_BY.read_text(encoding="utf-8") == _commit()
        lab("back", PREPARED)
    except (OSError, AssertionError, RuntimeError):
        reset("core")
        prepare(PHASE_DEADLINE_S)
    wait_for("orders on the prepared lab", orders_work)


def prepare(timeout_s: float) -> Ran:
    """Prepare the core services of the untouched lab and keep what that leaves, for `prepared_lab`."""
    ran = run_phase("prepare", "--apply", timeout_s=timeout_s)
    if ran.code == 0:
        lab("keep", PREPARED)
        PREPARED_BY.write_text(_commit(), encoding="utf-8")
        wait_for("orders after it was stopped and started", orders_work)
    return ran


def _commit() -> str:
    """Return what prepared the lab: another commit may prepare more."""
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def reset(choice: str) -> None:
    """Give back untouched hosts with these services, core or all, and wait for the application on them."""
    lab("reset", "--services", choice)
    wait_for("orders on the untouched lab", orders_work)


def heal() -> None:
    """Undo every fault of the lab; raises RuntimeError."""
    lab("heal")


def on_host(host: str, *argv: str, stdin: bytes = b"", timeout_s: float = 60.0) -> str:
    """Run one command on a lab host through plain ssh and return its standard output; raises RuntimeError."""
    ssh = [
        "ssh",
        "-F",
        str(STATE / "ssh_config"),
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=10",
        host,
        shlex.join(argv),
    ]
    ended = subprocess.run(ssh, input=stdin, capture_output=True, timeout=timeout_s, check=False)
    if ended.returncode:
        raise RuntimeError(f"{host}: {argv[0]} … exit {ended.returncode}: {ended.stderr.decode()[-500:]}")
    return ended.stdout.decode()


def inspect(host: str, container: str) -> dict[str, Any]:
    """Return `docker inspect` of one container."""
    return dict(json.loads(on_host(host, "docker", "inspect", container))[0])


def containers(host: str) -> dict[str, dict[str, Any]]:
    """Return `docker inspect` of all containers of a host, by name."""
    text = on_host(host, "sh", "-c", "ids=$(docker ps -aq); [ -z \"$ids\" ] && echo '[]' || docker inspect $ids")
    return {str(raw["Name"]).lstrip("/"): raw for raw in json.loads(text)}


def leftovers(host: str) -> dict[str, list[str]]:
    """Return what a move could leave on a host, apart from containers: volumes, networks, keys, directories."""
    script = (
        "docker volume ls -q | sort; echo --; docker network ls --format '{{.Name}} {{.ID}}' | sort; echo --; "
        "cat /root/.ssh/authorized_keys 2>/dev/null; echo --; ls -d /run/longshore-* /var/lib/longshore* 2>/dev/null; "
        "echo --; "
        "docker images -q --no-trunc | sort -u; echo --; ls -A /srv"
    )
    parts = on_host(host, "sh", "-c", script).split("--\n")
    return dict(
        zip(
            ("volumes", "networks", "keys", "directories", "images", "srv"),
            (part.splitlines() for part in parts),
            strict=True,
        )
    )


def snapshot(*hosts: str) -> dict[str, Any]:
    """Return what is on the hosts as it must stay when nothing is changed: containers with all their settings and
    starts.
    """
    return {
        host: {"containers": {name: _steady(raw) for name, raw in containers(host).items()}, **leftovers(host)}
        for host in hosts or HOSTS
    }


def _steady(raw: dict[str, Any]) -> dict[str, Any]:
    """Return an inspect answer without what moves by itself: the health check's log, its execs, the order of mounts."""
    state = {key: value for key, value in raw["State"].items() if key != "Health"}
    mounts = sorted(raw["Mounts"], key=lambda mount: str(mount["Destination"]))
    return {**{key: value for key, value in raw.items() if key != "ExecIDs"}, "State": state, "Mounts": mounts}


def address(host: str) -> str:
    """Return a lab host's address."""
    return str(json.loads((STATE / "hosts.json").read_text(encoding="utf-8"))["hosts"][host]["address"])


def orders(path: str) -> dict[str, Any]:
    """Return an answer of the dependent application on the source, through its published port; raises OSError."""
    with urlopen(f"http://{address(SOURCE)}:8080{path}", timeout=10) as answer:
        return dict(json.load(answer))


def parcels(path: str) -> dict[str, Any]:
    """Return an answer of the other dependent application on the source; raises OSError."""
    with urlopen(f"http://{address(SOURCE)}:8090{path}", timeout=10) as answer:
        return dict(json.load(answer))


def parcels_work() -> bool:
    """Return whether it answers that all four of its stores work."""
    try:
        return bool(parcels("/health")["status"] == "ok")
    except (URLError, OSError):
        return False


def wait_for(what: str, seen: Callable[[], bool], deadline_s: float = 30.0) -> None:
    """Wait until `seen` says yes; raises TimeoutError with what was waited for."""
    deadline = time.monotonic() + deadline_s
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not seen within {deadline_s:.0f} s")
        time.sleep(0.2)


def orders_work() -> bool:
    """Return whether the application answers that both its stores work."""
    try:
        return orders("/health")["status"] == "ok"
    except (URLError, OSError):
        return False


def assert_data_flows(deadline_s: float = 30.0) -> None:
    """Assert that the application is healthy and that both its stores acknowledge new writes."""
    wait_for("orders /health ok", orders_work, deadline_s)
    before = orders("/state")
    wait_for(
        f"new acknowledged writes after {before}",
        lambda: all(orders("/state")[f"{store}_acked"] > before[f"{store}_acked"] for store in ("postgres", "redis")),
        deadline_s,
    )


def query(host: str, sql: str) -> str:
    """Return what psql answers on a host's postgres, as the superuser in the shop's database."""
    return on_host(
        host,
        "docker",
        "exec",
        "-i",
        "postgres",
        "psql",
        "-qAtU",
        "postgres",
        "-v",
        "ON_ERROR_STOP=1",
        "shop",
        stdin=sql.encode(),
    ).strip()


def redis_cli(host: str, *words: str) -> str:
    """Return redis-cli's answer; the container's own REDISCLI_AUTH lets it in."""
    return on_host(host, "docker", "exec", "redis", "redis-cli", *words).strip()


def seen_in_journal(kind: str, key: str, after_seq: int) -> bool:
    """Return whether the running process has written such a record since; reads only."""
    with sqlite3.connect(f"file:{JOURNAL}?mode=ro", uri=True, timeout=10) as connection:
        row = connection.execute(
            "SELECT 1 FROM records WHERE kind = ? AND key = ? AND seq > ?", (kind, key, after_seq)
        ).fetchone()
    return row is not None


def last_seq() -> int:
    """Return the number of the journal's newest record."""
    with sqlite3.connect(f"file:{JOURNAL}?mode=ro", uri=True, timeout=10) as connection:
        return int(connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0])


def rows_of(ran: Ran) -> list[dict[str, Any]]:
    """Return the step records of a run's journal.jsonl."""
    assert ran.folder is not None, ran.output[-2000:]
    lines = (ran.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "result"]


def row(ran: Ran, service: str, key: str) -> dict[str, Any]:
    """Return one step's record: its body has verdict, text and details."""
    found = [record["body"] for record in rows_of(ran) if record["service"] == service and record["key"] == key]
    assert len(found) == 1, f"{service} {key}: {len(found)} rows"
    return dict(found[0])


def text_of(body: dict[str, Any]) -> str:
    """Return a row's text and details as one text."""
    return "\n".join([body["text"], *body.get("details", ())])
