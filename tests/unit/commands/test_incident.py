"""Incidents and users' feedback: opened, noted, closed, listed; what does not fit is refused and leaves no record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands import incident
from engine.config.scope import build_scope
from engine.errors import InputError
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor
from engine.watch.incidents import IncidentSeverity, read_incidents
from phases.status.status import read_standing
from tests.fakes.project_files import make_environment, make_inventory, make_plan

MOVED = datetime(2026, 11, 20, 22, tzinfo=UTC)
WHERE = ("--environment", "production")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Return the journal of a production in which redis was moved on 20 November."""
    monkeypatch.chdir(tmp_path)
    scope = build_scope(make_inventory(), make_plan(), make_environment())
    monkeypatch.setattr(incident, "load_scope", lambda _options: scope)
    journal = Journal.open(Path("state/production.sqlite"), redactor=Redactor(), clock=lambda: MOVED)
    run = journal.start_run(command="migrate", operator="ana@desk", apply=True, environment="production")
    run.record("move_state", service="redis", body={"state": "in_progress"})
    return journal


def opened(capsys: pytest.CaptureFixture[str], *flags: str, severity: str = "major") -> str:
    """Open an incident of redis and return its id."""
    argv = ["open", *WHERE, "--severity", severity, "--service", "redis", "--text", "sessions are lost", *flags]
    assert incident.main(argv) == 0
    return capsys.readouterr().out.split()[2]


def test_an_incident_is_opened_noted_and_closed(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step is a record; the listing exits with 2 as long as it is open."""
    key = opened(capsys, "--ticket", "https://tickets.example.org/7", "--from", "finance")
    assert incident.main(["note", key, *WHERE, "--text", "only after login"]) == 0
    assert incident.main(["list", *WHERE]) == 2
    assert incident.main(["close", key[:4], *WHERE, "--text", "maxmemory was too small"]) == 0
    assert incident.main(["list", *WHERE]) == 0

    (found,) = read_incidents(journal)
    assert (found.id, found.severity, found.service) == (key, IncidentSeverity.MAJOR, "redis")
    assert (found.text, found.reporter) == ("sessions are lost", "finance")
    assert [note.text for note in found.notes] == ["only after login"]
    assert found.closed is not None
    assert found.closed.text == "maxmemory was too small"


def test_a_minor_one_keeps_no_listing_from_passing(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """Feedback without a defect is minor."""
    opened(capsys, severity="minor")
    assert incident.main(["list", *WHERE, "--json"]) == 0

    (found,) = json.loads(capsys.readouterr().out)
    assert (found["open"], found["severity"], found["closed"]) == (True, "minor", None)
    assert len(read_incidents(journal)) == 1


def test_it_may_have_begun_earlier(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """But the record's own time stays: a judgement as of before the record does not know of it."""
    opened(capsys, "--at", "2026-11-21T04:00:00+00:00")

    (found,) = read_incidents(journal)
    assert found.at == datetime(2026, 11, 21, 4, tzinfo=UTC)
    assert read_incidents(journal, until=datetime(2026, 11, 22, tzinfo=UTC)) == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--at", "2026-11-20T21:59:59Z"), "before the first move. Expected: no earlier than 2026-11-20 22:00:00 UTC"),
        (("--at", "2999-01-01T00:00:00Z"), "in the future"),
        (("--at", "2026-11-21T04:00:00"), "expected a moment with its time zone"),
        (("--at", "yesterday"), "expected a moment with its time zone"),
        (("--service", "mysql"), "--service mysql: not in the inventory"),
        (("--text", "  "), "--text: empty"),
        (("--ticket", "OPS-7"), "--ticket OPS-7: no web address"),
    ],
)
def test_what_does_not_fit_is_refused(
    journal: Journal, capsys: pytest.CaptureFixture[str], changed: tuple[str, ...], message: str
) -> None:
    """With one message, and without a record."""
    before = len(journal.records())
    with pytest.raises(InputError) as refused:
        opened(capsys, *changed)
    assert message in str(refused.value)
    assert len(journal.records()) == before


def test_before_any_move_nothing_lies_in_the_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty journal has no first move."""
    monkeypatch.chdir(tmp_path)
    scope = build_scope(make_inventory(), make_plan(), make_environment())
    monkeypatch.setattr(incident, "load_scope", lambda _options: scope)
    argv = ["open", *WHERE, "--severity", "minor", "--service", "redis", "--text", "slow"]
    with pytest.raises(InputError, match="no service was moved yet"):
        incident.main([*argv, "--at", "2026-11-21T04:00:00Z"])
    assert incident.main(argv) == 0


@pytest.mark.parametrize("wanted", ["", "ab", "ffffffff"])
def test_an_id_that_is_none_is_refused(journal: Journal, wanted: str) -> None:
    """Also one that is too short to mean one incident."""
    assert journal.where
    with pytest.raises(InputError, match="0 incidents of that id"):
        incident.main(["close", wanted, *WHERE, "--text", "over"])


def test_it_is_closed_once(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """A second close is refused, a note is taken."""
    key = opened(capsys)
    incident.main(["close", key, *WHERE, "--text", "over"])
    with pytest.raises(InputError, match=f"{key} was closed by"):
        incident.main(["close", key, *WHERE, "--text", "over again"])
    assert incident.main(["note", key, *WHERE, "--text", "came back in the evening"]) == 0
    assert read_incidents(journal)[0].closed is not None


def test_a_secret_in_its_text_is_not_kept(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """As everywhere in the journal."""
    argv = ["open", *WHERE, "--severity", "minor", "--service", "redis"]
    incident.main([*argv, "--text", "login with postgresql://app:hunter2hunter2@db/app fails"])
    assert "hunter2" not in capsys.readouterr().out
    assert "hunter2" not in json.dumps([record.body for record in journal.records()])


def test_status_lists_the_open_ones(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that closes each."""
    key = opened(capsys)
    scope = build_scope(make_inventory(), make_plan(), make_environment())
    (line,) = read_standing(journal, scope, datetime.now(UTC)).incidents
    assert "major, redis" in line
    assert f"nox -s incident -- close {key} --text TEXT --environment production" in line
    incident.main(["close", key, *WHERE, "--text", "over"])
    assert read_standing(journal, scope, datetime.now(UTC)).incidents == ()
