"""A whole rehearsal on real hosts: every phase passes, nothing is lost, and the evidence says what happened."""

# ruff: noqa: S314, S608 (our own JUnit file; SQL of our own numbers)

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from engine.journal.journal import Journal, chain_problems, hash_of
from engine.redaction.redactor import Redactor
from lab.settings import KEPT
from tests.lab import at_hand
from tests.lab.at_hand import HOSTS, JOURNAL, REPORTS, SOURCE, STATE, TARGETS
from tests.lab.conftest import Rehearsal

PHASES: Final = ("prepare", "preflight", "migrate", "validate")
WORDS: Final = {"failures": ("FAILED",), "errors": ("UNKNOWN",), "skipped": ("WAIVED", "PENDING", "NOT_RUN", "PLANNED")}
OUTSIDE: Final = re.compile(
    r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import""", re.IGNORECASE
)

pytestmark = pytest.mark.lab

phases = pytest.mark.parametrize("phase", PHASES)
services = pytest.mark.parametrize(("service", "target"), TARGETS.items())


def _folder(rehearsal: Rehearsal, phase: str) -> Path:
    folder = rehearsal.phases[phase].folder
    assert folder is not None, f"{phase} left no evidence"
    return folder


@phases
def test_phase_passes(rehearsal: Rehearsal, phase: str) -> None:
    """Each phase of a rehearsal ends with exit status 0 and no row that is not PASSED, but for warnings that a lab
    can't answer.
    """
    ran = rehearsal.phases[phase]
    assert ran.code == 0, ran.output[-4000:]
    bad = [
        record["body"]
        for record in at_hand.rows_of(ran)
        if record["body"]["verdict"] != "PASSED" and record["key"] not in at_hand.UNANSWERED
    ]
    assert not bad


def test_dry_run_changes_nothing(rehearsal: Rehearsal) -> None:
    """Without --apply, migrate says what it would do, exits 0 and leaves every host exactly as it was."""
    assert rehearsal.dry_run.code == 0, rehearsal.dry_run.output[-4000:]
    assert rehearsal.after_dry_run == rehearsal.before_dry_run
    verdicts = Counter(
        record["body"]["verdict"]
        for record in at_hand.rows_of(rehearsal.dry_run)
        if record["body"]["effect"] != "read_only"
    )
    assert set(verdicts) == {"PLANNED"}, "no action of a dry run may be anything but PLANNED"


@services
def test_container_runs_on_its_target(rehearsal: Rehearsal, service: str, target: str) -> None:
    """The service runs on its new host, with the restart policy it had, from the very image it had."""
    raw, before = at_hand.inspect(target, service), rehearsal.specifications[service]
    assert raw["State"]["Running"]
    assert raw["HostConfig"]["RestartPolicy"] == before["HostConfig"]["RestartPolicy"]
    assert raw["Image"] == before["Image"]
    assert raw["Config"]["Labels"]["longshore.move"] == f"lab/{service}/1"


@services
def test_source_is_kept_and_cannot_start(rehearsal: Rehearsal, service: str, target: str) -> None:
    """The very old container is kept under its new name, stopped, and no reboot starts it; its data is still there."""
    found = at_hand.containers(SOURCE)
    kept = found[f"{service}-moved"]
    assert kept["Id"] == rehearsal.specifications[service]["Id"]
    assert kept["State"]["Status"] == "exited"
    assert kept["HostConfig"]["RestartPolicy"]["Name"] == "no"
    named = found.get(service)
    assert named is None or named["Config"]["Labels"].get("longshore.role") == "forwarder"
    assert f"{service}_data" in at_hand.leftovers(SOURCE)["volumes"]


def test_application_works_through_the_forwarders(rehearsal: Rehearsal) -> None:
    """The application that was not moved keeps writing to both stores under their old names."""
    at_hand.assert_data_flows()
    assert at_hand.inspect(SOURCE, "orders")["Id"] == rehearsal.before_dry_run[SOURCE]["containers"]["orders"]["Id"]


def test_no_acknowledged_write_to_postgres_is_lost(rehearsal: Rehearsal) -> None:
    """The new host holds every number whose write was acknowledged, from before the move until after it."""
    first, last = rehearsal.orders_before["postgres_acked"], rehearsal.orders_after["postgres_acked"]
    assert last > first, "no write was acknowledged after the move"
    found = at_hand.query(
        TARGETS["postgres"], f"SELECT count(*) FROM events WHERE source = 'orders' AND seq BETWEEN {first} AND {last}"
    )
    assert int(found) == last - first + 1


def test_no_acknowledged_write_to_redis_is_lost(rehearsal: Rehearsal) -> None:
    """The same for the numbers that Redis acknowledged."""
    first, last = rehearsal.orders_before["redis_acked"], rehearsal.orders_after["redis_acked"]
    assert last > first, "no write was acknowledged after the move"
    words = at_hand.redis_cli(TARGETS["redis"], "XRANGE", "orders:log", "-", "+").split()
    seen = {int(value) for name, value in itertools.pairwise(words) if name == "n"}
    missing = sorted(set(range(first, last + 1)) - seen)
    assert not missing, f"{len(missing)} of {last - first + 1} are missing: {missing[:5]}"


@services
def test_outage_is_recorded(rehearsal: Rehearsal, service: str, target: str) -> None:
    """Each service has one measured outage: more than nothing, less than the run, with its error bar."""
    lines = (_folder(rehearsal, "migrate") / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    outages = [
        record["body"]
        for record in map(json.loads, lines)
        if record["kind"] == "outage" and record["service"] == service
    ]
    assert len(outages) == 1
    assert 0 < outages[0]["seconds"] < 120
    assert outages[0]["error_bar_s"] > 0


@phases
def test_page_stands_alone(rehearsal: Rehearsal, phase: str) -> None:
    """The page loads nothing from anywhere, and its headline is the verdict of the run."""
    page = (_folder(rehearsal, phase) / "report.html").read_text(encoding="utf-8")
    assert not OUTSIDE.search(page)
    sentence = (_folder(rehearsal, phase) / "summary.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    assert "PASSED" in sentence.upper()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert sentence in text


@phases
def test_junit_counts_match(rehearsal: Rehearsal, phase: str) -> None:
    """junit.xml parses; its totals are those of its cases and those of the journal."""
    suite = ET.parse(_folder(rehearsal, phase) / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    verdicts = Counter(record["body"]["verdict"] for record in at_hand.rows_of(rehearsal.phases[phase]))
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase")) == verdicts.total() > 0
    for attribute, words in WORDS.items():
        assert int(suite.attrib[attribute]) == sum(verdicts[word] for word in words)


@phases
def test_chain_is_whole_and_a_change_shows(rehearsal: Rehearsal, phase: str) -> None:
    """The run's records hash up to the head that its last record names; one changed word breaks the chain."""
    lines = (_folder(rehearsal, phase) / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert _broken(records) is None
    assert records[-1]["kind"] == "run_ended"
    assert records[-1]["body"]["chain_head"] == records[-2]["hash"]
    records[1]["body"]["title"] = "another plan"
    assert _broken(records) == 2


def _broken(records: list[dict[str, Any]]) -> int | None:
    previous = "0" * 64
    for position, record in enumerate(records, start=1):
        content = {key: value for key, value in record.items() if key != "hash"}
        if record["number"] != position or record["previous"] != previous or hash_of(content) != record["hash"]:
            return position
        previous = record["hash"]
    return None


def test_journal_itself_is_whole(rehearsal: Rehearsal) -> None:
    """Every run in the database is an unbroken chain, the evidence's own run among them."""
    journal = Journal.open(JOURNAL, redactor=Redactor())
    runs = {record.run_id for record in journal.records(kind="run_started")}
    assert (
        json.loads((_folder(rehearsal, "migrate") / "journal.jsonl").read_text(encoding="utf-8").splitlines()[0])[
            "run_id"
        ]
        in runs
    )
    for run in runs:
        assert not chain_problems(journal.records(run_id=run))


@phases
def test_checksums_verify(rehearsal: Rehearsal, phase: str) -> None:
    """SHA256SUMS names every file of the folder, and every sum is right."""
    folder = _folder(rehearsal, phase)
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert set(sums) == {name for name in files if not name.startswith("private/")} - {"SHA256SUMS"}
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sums} == sums


def test_second_apply_changes_nothing(rehearsal: Rehearsal) -> None:
    """Migrating again what is migrated exits 0 and touches no container of any host."""
    before = at_hand.snapshot(*HOSTS)
    again = at_hand.run_phase("migrate", "--apply")
    assert again.code == 0, again.output[-4000:]
    assert at_hand.snapshot(*HOSTS) == before


def secrets_of_the_lab() -> dict[str, bytes]:
    """Return every secret of the lab by its name: passwords of the services, of the backup, the operator's
    private key.
    """
    found = {
        f"{file.name}: {name}": value.encode()
        for file in KEPT.glob("golden-*.json")
        for name, value in json.loads(file.read_text()).items()
    }
    found |= {file.name: file.read_bytes().strip() for file in (STATE / "secrets").iterdir()}
    lines = (STATE / "id_ed25519").read_bytes().splitlines()
    return found | {"id_ed25519": lines[len(lines) // 2]}


def test_no_secret_is_written_anywhere(rehearsal: Rehearsal) -> None:
    """No password or key is in any file of evidence, in the journal or in what was printed."""
    secrets = secrets_of_the_lab()
    assert len(secrets) >= 6
    texts = {
        f"output of {name}": ran.output.encode()
        for name, ran in {**rehearsal.phases, "dry run": rehearsal.dry_run}.items()
    }
    texts |= {str(file): file.read_bytes() for file in REPORTS.rglob("*") if file.is_file()}
    texts |= {str(file): file.read_bytes() for file in JOURNAL.parent.glob("lab.sqlite*")}
    leaks = [
        f"{where} holds {name}" for where, text in texts.items() for name, secret in secrets.items() if secret in text
    ]
    assert not leaks


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_is_left_behind(rehearsal: Rehearsal, host: str) -> None:
    """No temporary key and no helper container stays on a host; what stays is labelled and is a relay or
    the service.
    """
    before = rehearsal.before_dry_run[host]
    assert at_hand.leftovers(host)["keys"] == before["keys"]
    ours = {
        name: raw["Config"]["Labels"]
        for name, raw in at_hand.containers(host).items()
        if "longshore.move" in (raw["Config"]["Labels"] or {})
    }
    helpers = {name for name, labels in ours.items() if labels.get("longshore.role") != "forwarder"}
    assert helpers == {service for service, target in TARGETS.items() if target == host}
