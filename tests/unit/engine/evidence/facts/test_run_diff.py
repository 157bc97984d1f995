"""What changed since the last run of the same phase comes first: new, fixed, slower, drifted; and nothing when
nothing did.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.evidence.facts.run_diff import previous_run, since_of
from engine.evidence.facts.run_diff_text import differences, since_last
from engine.evidence.page.html import render
from engine.i18n.language import ENGLISH
from engine.journal.journal import Run
from engine.verdict import ExitCode
from tests.fakes.run_on_record import MOVES, Night


class Nights:
    """Two validations, one after the other."""

    def __init__(self, path: Path) -> None:
        """Begin the first."""
        self.night = Night(path, "validate", MOVES)
        self.first = self.night.run

    def second(self, command: str = "validate", moves: list[dict[str, Any]] | None = None) -> Run:
        """End the first, begin the second."""
        self.night.run.finish({}, ExitCode.OK)
        self.night.run = self.night.another(command, MOVES if moves is None else moves)
        return self.night.run

    def end(self) -> None:
        """End the current run."""
        self.night.run.finish({}, ExitCode.OK)


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    """Return a validation that has begun."""
    return Nights(tmp_path)


def test_new_fixed_and_lasting_problems_are_kept_apart(nights: Nights) -> None:
    """A step that only one night asked is never called fixed."""
    for key, verdict in (("good", "PASSED"), ("repaired", "FAILED"), ("lasting", "UNKNOWN"), ("gone", "FAILED")):
        nights.night.row(verdict, key=key)
    nights.second()
    for key, verdict in (("good", "FAILED"), ("repaired", "PASSED"), ("lasting", "FAILED"), ("added", "UNKNOWN")):
        nights.night.row(verdict, key=key)
    nights.end()

    since = since_last(nights.night.journal, nights.night.run.id)

    assert since is not None
    assert [[row["key"] for row in rows] for rows in (since.new, since.fixed, since.still)] == [
        ["good", "added"],
        ["repaired"],
        ["lasting"],
    ]
    assert since.changed


@pytest.mark.parametrize(
    ("before_s", "now_s", "slower"), [(1.0, 6.1, True), (1.0, 5.9, False), (60.0, 100.0, False), (0.0, 5.0, True)]
)
def test_slower_is_twice_as_long_and_five_seconds(
    nights: Nights, before_s: float, now_s: float, *, slower: bool
) -> None:
    """Less is noise."""
    nights.night.row(duration_s=before_s)
    nights.second()
    nights.night.row(duration_s=now_s)

    since = since_of(
        nights.night.journal.records(run_id=nights.first.id), nights.night.journal.records(run_id=nights.night.run.id)
    )

    assert bool(since.slower) is slower


def test_what_drifts_without_a_step_is_reported(nights: Nights) -> None:
    """Versions of hosts, containers that were replaced, parts of fingerprints."""
    part = {"count": 3, "digest": "a" * 64, "holds": "since_cutover", "bound": {}}
    host = {
        "name": "wf009",
        "address": "192.0.2.9",
        "ssh_key_fingerprint": "SHA256:k",
        "error": "",
        "docker_version": "26.1",
    }
    nights.first.record("host_observed", body=host)
    nights.first.record("source_observed", service="redis", body={"digest": "1" * 64})
    nights.first.record(
        "fingerprint",
        service="redis",
        body={"service": "redis", "moment": "now", "host": "wf001", "parts": {"keys": part}},
    )
    run = nights.second()
    run.record("host_observed", body={**host, "docker_version": "27.0"})
    run.record("source_observed", service="redis", body={"digest": "2" * 64})
    run.record(
        "fingerprint",
        service="redis",
        body={
            "service": "redis",
            "moment": "now",
            "host": "wf001",
            "parts": {"keys": {**part, "digest": "b" * 64, "count": 4}},
        },
    )
    nights.end()

    since = since_last(nights.night.journal, run.id)

    assert since is not None
    assert [(one.subject, one.what, one.before, one.now) for one in since.drift] == [
        ("wf009", "Docker", "26.1", "27.0"),
        ("redis", "container's configuration", "1" * 24, "2" * 24),
        ("redis: keys", "fingerprint", "3", "4"),
    ]


def test_a_host_that_did_not_answer_is_no_drift(nights: Nights) -> None:
    """It has a step of its own that says so."""
    nights.first.record(
        "host_observed",
        body={"name": "wf009", "address": "a", "ssh_key_fingerprint": "k", "error": "", "os": "Debian 12"},
    )
    run = nights.second()
    run.record(
        "host_observed", body={"name": "wf009", "address": "b", "ssh_key_fingerprint": "k", "error": "no answer"}
    )
    nights.end()

    since = since_last(nights.night.journal, run.id)

    assert since is not None
    assert since.drift == ()


def test_only_a_run_of_the_same_kind_is_compared(nights: Nights) -> None:
    """Another phase, other services, a run that was killed or a dry run say nothing about tonight."""
    nights.night.row()
    assert since_last(nights.night.journal, nights.first.id) is None
    other = nights.second("preflight")
    killed = nights.night.another("validate", MOVES)
    run = nights.night.another("validate", MOVES)
    alone = nights.night.another("validate", [{**MOVES[0], "service": "caddy"}])

    journal = nights.night.journal
    assert previous_run(journal, journal.records(run_id=run.id)) == nights.first.id
    assert previous_run(journal, journal.records(run_id=other.id)) is None
    assert previous_run(journal, journal.records(run_id=alone.id)) is None
    assert killed.id != run.id


def test_the_page_of_a_validation_begins_with_the_difference(nights: Nights) -> None:
    """Before everything else that a person reads after the verdict; also that there is none."""
    nights.night.row("FAILED", "2 rows differ", key="holds", sentence="It holds <b>.")
    nights.second()
    nights.night.row("FAILED", "2 rows differ", key="holds", sentence="It holds <b>.")
    nights.end()

    html = render(nights.night.page(finished=False))

    assert html.index("Since the run of 2026-01-01 00:00:01 UTC") < html.index('id="decide"')
    assert "No difference: 1 problem is still there." in html


def test_the_difference_is_written_in_lines(nights: Nights) -> None:
    """For the screen and for a message: numbers first, then each; nothing for the first night."""
    nights.night.row("FAILED", "gone", key="a", sentence="A holds.")
    assert list(differences(nights.night.journal, nights.first.id, ENGLISH)) == []
    nights.second()
    nights.night.row("PASSED", key="a", sentence="A holds.")
    nights.night.row("FAILED", "3 of 4", key="b", sentence="B holds.")
    nights.end()

    lines = list(differences(nights.night.journal, nights.night.run.id, ENGLISH))

    assert lines == [
        "since the run of 2026-01-01 00:00:01 UTC: 1 new, 1 fixed, 0 still there, 0 slower, 0 drifted",
        "new: redis: B holds. 3 of 4",
        "fixed: redis: A holds.",
    ]


def test_an_altered_record_of_the_night_before_shows(nights: Nights) -> None:
    """What a page compares with must be as it was written, too."""
    nights.night.row(text="exit code 137")
    nights.second()
    nights.night.row()
    nights.end()
    nights.night.tamper("UPDATE records SET body = replace(body, 'exit code 137', 'exit code 0')")

    page = nights.night.page(finished=False)

    assert len(page.altered) == 1
    assert nights.first.id in page.altered[0]
