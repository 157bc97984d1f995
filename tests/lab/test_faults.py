"""Real faults on real hosts: preflight names them, migrate refuses or undoes, and the application keeps working."""

# ruff: noqa: S608 (SQL is made of our own numbers)

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab import at_hand
from tests.lab.at_hand import ROOT, SOURCE, Ran

TARGET: Final = "wf002"
MISTAKES: Final = (
    ("  disk_percent: 85", "  disk_percent: lots", "thresholds/disk_percent: expected a number"),
    ("    image: postgres:17\n", "", "services/postgres/image: missing"),
    (
        "health: {kind: tcp, port: 6379}",
        "healht: {kind: tcp, port: 6379}",
        'services/redis/healht: unknown key; did you mean "health"?',
    ),
    (
        "    product: grafana\n    host: wf005\n",
        "    product: grafana\n    host: wf009\n",
        'services/grafana/host: unknown host "wf009"; known: wf001, wf002',
    ),
    (
        "ports: [{host: 3100, container: 3100}]",
        "ports: [{host: 9090, container: 3100}]",
        "services/loki/ports: 9090/tcp on wf005 is published by",
    ),
)

pytestmark = pytest.mark.lab


@dataclass(frozen=True)
class Fault:
    """What preflight has to say about a fault: one row's key, its verdict and words; the hosts one can
    still look at.
    """

    service: str | None
    key: str
    verdict: str
    words: tuple[str, ...]
    code: int
    seen: tuple[str, ...] = (SOURCE, "wf001", "wf002")


FAULTS: Final = {
    "host-stopped": Fault(None, "ssh-answers", "UNKNOWN", ("wf001", "ssh -F"), 2, (SOURCE, "wf002")),
    "port-taken": Fault("postgres", "ports-free", "FAILED", (TARGET, "5432"), 1),
    "docker-stopped": Fault(
        None, "docker-answers", "UNKNOWN", (TARGET, "Docker does not answer"), 2, (SOURCE, "wf001")
    ),
    "docker-down": Fault(None, "docker-answers", "UNKNOWN", (TARGET, "Docker does not answer"), 2, (SOURCE, "wf001")),
    "disk-full": Fault("postgres", "disk-fits", "FAILED", (TARGET, "Make room"), 1),
}


def _later(*values: Any) -> tuple[Any, ...]:
    """Return parameters that CI has no time for: its others of the same test show the same way through the code."""
    return tuple(
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.full) for value in values
    )


@contextmanager
def _broken(name: str) -> Iterator[None]:
    try:
        at_hand.lab("break", name)
        yield
    finally:
        at_hand.heal()


def _settings(*hosts: str) -> dict[str, Any]:
    """Return a snapshot without when containers were started: an undone move starts its source again."""
    taken = at_hand.snapshot(*hosts)
    for host in taken.values():
        for name, raw in host["containers"].items():
            # The address and the sandbox are given anew at each start.
            networks = {net: sorted(end["DNSNames"] or ()) for net, end in raw["NetworkSettings"]["Networks"].items()}
            kept = {key: raw[key] for key in ("Id", "Name", "Image", "Config", "HostConfig", "Mounts")}
            host["containers"][name] = {**kept, "running": raw["State"]["Running"], "networks": networks}
    return taken


def _rows(ran: Ran, fault: Fault) -> list[str]:
    """Return the texts of the results with the fault's verdict."""
    found = [
        record for record in at_hand.rows_of(ran) if record["key"] == fault.key and record["service"] == fault.service
    ]
    return [at_hand.text_of(record["body"]) for record in found if record["body"]["verdict"] == fault.verdict]


@pytest.mark.parametrize("name", ["docker-down", *_later("port-taken", "docker-stopped", "disk-full")])
def test_preflight_says_so_and_migrate_refuses(kept_prepared_lab: None, name: str) -> None:
    """Preflight names the host and the trouble and is not 0; migrate --apply is then refused; nothing is changed by
    either.
    """
    fault = FAULTS[name]
    before = at_hand.snapshot(*fault.seen)
    with _broken(name):
        preflight = at_hand.run_phase("preflight")
        texts = _rows(preflight, fault)
        assert preflight.code == fault.code, preflight.output[-3000:]
        migrate = at_hand.run_phase("migrate", "--apply")
        after = at_hand.snapshot(*fault.seen)
    assert len(texts) == 1
    assert all(word in texts[0] for word in fault.words), texts
    assert migrate.code == 3, migrate.output[-3000:]
    assert "refused, nothing was done" in migrate.output
    assert migrate.folder is None
    assert after == before
    at_hand.assert_data_flows()


def test_what_could_not_be_seen_is_unknown_and_the_rest_is_judged(kept_prepared_lab: None) -> None:
    """With one host down, each row about it is UNKNOWN and names it; every other row is judged; none is left out;
    nothing is done.
    """
    fault = FAULTS["host-stopped"]
    before = at_hand.snapshot(*fault.seen)
    with _broken("host-stopped"):
        ran = at_hand.run_phase("preflight")
        migrate = at_hand.run_phase("migrate", "--apply")
        after = at_hand.snapshot(*fault.seen)
    assert (ran.code, migrate.code, migrate.folder) == (fault.code, 3, None), ran.output[-3000:]
    assert after == before
    texts = _rows(ran, fault)
    assert len(texts) == 1
    assert all(word in texts[0] for word in fault.words), texts
    bodies = [record["body"] for record in at_hand.rows_of(ran) if record["key"] not in at_hand.UNANSWERED]
    unknown = [body for body in bodies if body["verdict"] == "UNKNOWN"]
    assert all("wf001" in body["text"] for body in unknown)
    # postgres does not go there; only whether its links can be kept needs a look at every host.
    assert {
        record["key"]
        for record in at_hand.rows_of(ran)
        if record["service"] == "postgres" and record["body"]["verdict"] == "UNKNOWN"
    } <= {"links-relayable"}
    assert {body["verdict"] for body in bodies} == {"PASSED", "UNKNOWN"}
    assert at_hand.row(ran, "postgres", "ports-free")["verdict"] == "PASSED"
    everywhere = sum(record["body"]["verdict"] == "UNKNOWN" for record in at_hand.rows_of(ran))
    assert f"{everywhere} UNKNOWN" in ran.output


@pytest.mark.parametrize(("name", "code", "word"), [("disk-full", 1, "MiB free"), *_later(("port-taken", 1, "5432"))])
def test_fault_after_a_good_preflight_is_undone(kept_prepared_lab: None, name: str, code: int, word: str) -> None:
    """A fault that comes after preflight stops the move; the source serves as before and nothing is left on
    the target.
    """
    at_hand.preflight_and_approve("--service", "postgres")
    before, first = _settings(), at_hand.orders("/state")["postgres_acked"]
    with _broken(name):
        ran = at_hand.run_phase("migrate", "--service", "postgres", "--apply")
        at_hand.assert_data_flows()
    assert ran.code == code, ran.output[-3000:]
    assert word in ran.output
    assert "Undone (" in ran.output
    assert _settings() == before
    last = at_hand.orders("/state")["postgres_acked"]
    count = at_hand.query(
        SOURCE, f"SELECT count(*) FROM events WHERE source = 'orders' AND seq BETWEEN {first} AND {last}"
    )
    assert int(count) == last - first + 1, "an acknowledged write was lost"


@pytest.mark.parametrize("phase", [("preflight",), ("migrate", "--apply")], ids=" ".join)
def test_five_mistakes_are_reported_at_once(kept_prepared_lab: None, tmp_path: Path, phase: tuple[str, ...]) -> None:
    """An inventory with five different mistakes: all five with their paths, exit 4, no evidence, nothing changed."""
    text = (ROOT / "inventory.yaml").read_text(encoding="utf-8")
    for right, wrong, _ in MISTAKES:
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    file = tmp_path / "inventory.yaml"
    file.write_text(text, encoding="utf-8")
    before = at_hand.snapshot()
    ran = at_hand.run_phase(*phase, "--inventory", str(file))
    assert ran.code == 4, ran.output[-3000:]
    assert "5 problems" in ran.output
    assert not [message for _, _, message in MISTAKES if message not in ran.output], ran.output
    assert ran.folder is None
    assert at_hand.snapshot() == before


@pytest.mark.parametrize("name", ["docker-down", *_later("docker-stopped")])
def test_lab_can_stop_docker(raised_lab: None, name: str) -> None:
    """The engine really does not answer, sshd does; after `lab heal` the engine answers again."""
    try:
        at_hand.lab("break", name)
        assert at_hand.on_host(TARGET, "hostname") == f"{TARGET}\n"
        with pytest.raises(RuntimeError, match="exit"):
            at_hand.on_host(TARGET, "timeout", "3", "docker", "ps")
    finally:
        at_hand.heal()
    assert at_hand.on_host(TARGET, "timeout", "3", "docker", "ps")


def test_lab_heal_undoes_everything(raised_lab: None) -> None:
    """`lab heal` ends well, also when there is nothing to undo."""
    at_hand.lab("heal")


@pytest.mark.full
def test_docker_that_stops_after_a_good_preflight(kept_prepared_lab: None) -> None:
    """The engine freezes after preflight: the move ends within its deadlines, and the application keeps working."""
    at_hand.preflight_and_approve("--service", "postgres")
    with _broken("docker-stopped"):
        ran = at_hand.run_phase("migrate", "--service", "postgres", "--apply", timeout_s=600.0)
        at_hand.assert_data_flows()
    assert ran.code == 2, ran.output[-3000:]
