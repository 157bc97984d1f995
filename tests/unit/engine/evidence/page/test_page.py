"""Evidence says what the journal holds: the verdict in words, foreign text harmless and visible, files that verify."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from engine.evidence.formatting import clock, local, seconds, size, visible
from engine.evidence.page.html import render
from engine.evidence.writer import junit, summary
from tests.fakes.run_on_record import MOVES, Night


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Return a migration of one service."""
    return Night(tmp_path)


@pytest.mark.parametrize(
    ("verdicts", "sentence", "verdict"),
    [
        (["PASSED", "PASSED"], "Migration of 1 service passed: 2 of 2 steps passed", "PASSED"),
        (["PASSED", "WAIVED"], "Migration of 1 service passed: 1 of 2 steps passed, 1 waived", "PASSED"),
        (["PASSED", "FAILED", "NOT_RUN"], "Migration of 1 service failed: 1 of 3 steps failed, 1 not run", "FAILED"),
        (
            ["FAILED", "UNKNOWN", "WAIVED"],
            ("Migration of 1 service failed: 1 of 3 steps failed, 1 unknown, 1 waived"),
            "FAILED",
        ),
        (
            ["PASSED", "UNKNOWN", "NOT_RUN"],
            ("Migration of 1 service is incomplete: 1 of 3 steps passed, 1 unknown, 1 not run"),
            "UNKNOWN",
        ),
        (["PENDING"], "Migration of 1 service is incomplete: 0 of 1 steps passed, 1 waiting", "PENDING"),
        (["PASSED", "NOT_RUN"], "Migration of 1 service is incomplete: 1 of 2 steps passed, 1 not run", "NOT_RUN"),
        (["PASSED", "PLANNED"], "Dry run. Migration of 1 service was only described: no host was changed", "PLANNED"),
        (["PLANNED", "FAILED"], "Dry run. Migration of 1 service failed: 1 of 2 steps failed, 1 planned", "FAILED"),
        ([], "Migration of 1 service is incomplete: 0 of 0 steps passed", "UNKNOWN"),
    ],
)
def test_the_verdict_is_one_sentence(night: Night, verdicts: list[str], sentence: str, verdict: str) -> None:
    """The worst verdict that counts, and how much of it."""
    for one in verdicts:
        night.row(one)

    page = night.page()

    assert (page.sentence, page.verdict) == (sentence, verdict)


def test_a_warning_is_counted_and_does_not_fail(night: Night) -> None:
    """It stands under what needs a decision."""
    night.row()
    night.row("FAILED", "2 s off", severity="warning", key="clock")

    page = night.page()

    assert (page.sentence, page.verdict) == (
        "Migration of 1 service passed: 1 of 2 steps passed, 1 with a warning",
        "PASSED",
    )
    assert [row["key"] for row in page.decisions] == ["clock"]


def test_a_run_that_was_killed_says_so(night: Night) -> None:
    """All rows are good, and yet it is UNKNOWN: the end is missing."""
    night.row()

    page = night.page(finished=False)

    assert page.sentence == "Migration of 1 service did not finish: 1 of 1 steps passed before the run was cut off"
    assert (page.verdict, page.finished) == ("UNKNOWN", False)
    assert "(cut off)" in render(page)
    assert "did not finish" in summary(page)


def test_a_dry_run_cannot_be_taken_for_the_real_one(tmp_path: Path) -> None:
    """It says so first, on the page and in the summary, also when a question failed or nothing was asked."""
    night = Night(tmp_path, apply=False)
    night.row("FAILED", "no room")

    page = night.page()

    assert page.sentence == "Dry run. Migration of 1 service failed: 1 of 1 steps failed"
    assert '<span class="dry">DRY RUN — nothing was changed</span>' in render(page)
    assert "**DRY RUN — nothing was changed**" in summary(page)


def test_a_run_that_did_something_is_no_dry_run(night: Night) -> None:
    """Whatever was asked for: an action on record is an action."""
    night.run.record("intent", service="redis", key="stop", body={})
    night.row("PLANNED")

    assert "DRY RUN" not in render(night.page())


def test_the_first_screen_answers_the_approver(tmp_path: Path) -> None:
    """Totals with what failed and could not be looked at, hosts, both times, outage, data, version and commit."""
    night = Night(tmp_path, moves=MOVES)
    for verdict in ("PASSED", "FAILED", "UNKNOWN", "UNKNOWN", "NOT_RUN", "WAIVED"):
        night.row(verdict)
    night.run.record("outage", service="redis", body={"seconds": 4.2, "error_bar_s": 0.1})
    night.run.record(
        "outcome",
        service="redis",
        key="copy-volumes",
        body={"ok": True, "note": {"copied": {}, "size_bytes": 6_474_250}},
    )
    night.run.record(
        "outcome", service="n8n", key="copy-volumes", body={"ok": True, "note": {"copied": {}, "size_bytes": 999}}
    )
    night.run.record("move_state", service="n8n", body={"state": "undone"})

    html = render(night.page())
    first = re.sub(r"<[^>]+>|\s+", " ", html[html.index("<body>") : html.index("<main")])
    first = re.sub(" +", " ", first)

    for words in (
        "1 of 6 PASSED",
        "1 FAILED",
        "2 UNKNOWN",
        "1 NOT RUN",
        "1 WAIVED",
        "redis 4.2 s ± 0.1 s · 6.5 MB",
        "Hosts wf001",
        "Phase migration",
        "Needs a decision 3",
        "1 step did not run because of it",
        "Plan dddddddddddddddd",
        "Approved by nobody yet",
        "longshore 0.1.0, commit cccccccccccc+changes",
        ("Began 2026-01-01 00:00:01 UTC 2025-12-31 21:00:01 local (UTC-03:00)"),
        "Ended 2026-01-01 00:00:14 UTC",
        "Took 13.0 s",
    ):
        assert words in first, words
    assert "n8n" not in first  # undone: nothing of it is on its target


@pytest.mark.parametrize(("count", "words"), [(0, "0 services"), (1, "1 service "), (2, "2 services")])
def test_services_are_counted_in_words(tmp_path: Path, count: int, words: str) -> None:
    """One is singular."""
    night = Night(tmp_path, "validate", MOVES[:count])
    night.row()

    assert night.page().sentence.startswith(f"Validation of {words}")


def test_each_service_has_its_own_verdict(tmp_path: Path) -> None:
    """A page with one failure still says which service is fine."""
    night = Night(tmp_path, moves=MOVES)
    night.row()
    night.row("FAILED", "exit code 137", "n8n")
    night.row(service=None, key="ssh")
    night.run.record("move_state", service="redis", body={"state": "needs_operator"})

    page = night.page()

    assert [(s["service"], s["verdict"], s["passed"], s["steps"], s["state"]) for s in page.services] == [
        ("redis", "PASSED", 1, 1, "needs_operator"),
        ("n8n", "FAILED", 0, 1, "planned"),
    ]
    assert [(g.subject, g.kind, g.about) for g in page.groups] == [
        ("redis", "service", "wf005 → wf001, auxiliary"),
        ("n8n", "service", "wf005 → wf002, critical"),
        ("wf001", "host", ""),
    ]


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def test_text_of_a_server_is_escaped_wherever_it_stands(night: Night) -> None:
    """A log line, a file name, a host's name of itself: none becomes markup."""
    night.row("FAILED", HOSTILE, details=[HOSTILE], sentence=HOSTILE, subject=HOSTILE)
    night.run.record("container_log", body={"title": HOSTILE, "lines": [HOSTILE]})
    night.run.record("report_table", body={"title": HOSTILE, "columns": [HOSTILE], "rows": [[HOSTILE]]})
    night.run.record("step_skipped", body={"text": HOSTILE})
    part = {"count": 1, "digest": HOSTILE, "holds": "since_cutover", "bound": {}}
    night.run.record(
        "fingerprint",
        service="redis",
        body={"service": HOSTILE, "moment": HOSTILE, "host": HOSTILE, "parts": {HOSTILE: part}},
    )
    night.run.record(
        "host_observed",
        body={"name": HOSTILE, "address": HOSTILE, "ssh_key_fingerprint": HOSTILE, "error": HOSTILE, "os": HOSTILE},
    )
    night.run.record("intent", service="redis", key=HOSTILE, body={})
    night.run.record("outcome", service="redis", key=HOSTILE, body={"ok": True})

    html = render(night.page())

    assert html.count("<script>") == 1  # our own
    assert "<img" not in html
    assert "onerror=alert" not in re.sub(r"&lt;img src=x onerror=alert\(1\)&gt;", "", html)
    assert html.count("&lt;script&gt;") >= 12


def test_what_would_deceive_the_eye_is_visible(night: Night) -> None:
    """Colours of a terminal, characters that turn the direction of text, zero width: written as escapes."""
    night.row("FAILED", "user\u202egnp.exe \x1b[31mred\u200b", details=["\x00"])

    html = render(night.page())

    assert "user\\u202egnp.exe \\u001b[31mred\\u200b" in html
    assert "\\u0000" in html
    assert not set(html) & {"\u202e", "\x1b", "\u200b", "\x00"}


def test_no_text_of_a_server_breaks_the_xml(night: Night) -> None:
    """Characters that XML 1.0 has no form for are escapes, in each place that comes from elsewhere."""
    odd = "".join(map(chr, (*range(0x20), 0x7F, 0x85, 0xFDD0, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF))) + "]]>&\ud800"
    night.row("FAILED", odd, details=[odd], subject=odd, key=odd)

    text = junit(night.page())

    case = ET.fromstring(text.encode()).find(".//testcase")  # noqa: S314 our own
    assert case is not None
    assert not set(text) & set(map(chr, (*range(9), 0xB, 0xC, *range(0xE, 0x20), 0xFFFE, 0xFFFF)))
    assert "\\ufffe\\uffff" in str(case.get("name"))
    assert "\\ufffe\\uffff" in str(case[0].text)


def test_line_breaks_and_letters_stay() -> None:
    """Only what can't be seen is escaped."""
    assert visible("é ü 日本\n\tok") == "é ü 日本\n\tok"
    assert visible("\r\ud800\u2028\ufeff") == "\\u000d\\ud800\\u2028\\ufeff"
    assert visible(3) == "3"


def test_sizes_and_local_times_are_for_people() -> None:
    """In the unit that fits; local time with its distance from UTC, or nothing when it is not on record."""
    moment = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

    assert [size(value) for value in (0, 999, 1000, 6_474_250, 2 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "6.5 MB",
        "2.0 TB",
    ]
    assert (local(moment, 3600), local(moment, None)) == ("2026-03-29 01:30:00 local (UTC+01:00)", "")


def test_durations_and_times_are_for_people() -> None:
    """In the unit that fits; moments in UTC."""
    assert [seconds(value) for value in (0.04, 59.94, 60, 3599, 7260)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "59 min 59 s",
        "2 h 1 min",
    ]
    assert clock(datetime.fromisoformat("2026-12-05T22:00:00-03:00")) == "2026-12-06 01:00:00 UTC"


def test_the_page_needs_nothing_from_elsewhere(night: Night) -> None:
    """It is read on a machine without network, years later."""
    night.row()

    html = render(night.page())

    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|@import|url\(", html) == []
    assert "Whether to run it" not in html
    assert html.startswith("<!doctype html>")


def test_the_verdict_is_seen_on_a_narrow_screen(night: Night) -> None:
    """It is the second column, so that nobody must scroll sideways; paper and the dark have their own rules."""
    night.row()

    html = render(night.page())

    heads = [re.findall(r"<th[^>]*>([^<]*)", table) for table in re.findall(r"<thead[^>]*>(.*?)</thead>", html)]
    assert ["Service", "Verdict", "From → to"] in [head[:3] for head in heads]
    for rule in (
        'content="width=device-width',
        "@media screen and (prefers-color-scheme:dark)",
        "@media (max-width:52rem)",
        "@media print",
    ):
        assert rule in html


def test_broken_locks_and_what_serves_after_an_undo_are_shown(night: Night) -> None:
    """No step says them, and an approver must know."""
    night.run.record("lock_broken", body={"host": "wf005", "held_by": "bob@desk", "reason": "his machine <died>"})
    night.run.record("source_verified", service="redis", body={"ok": True, "text": "redis serves on wf005"})
    night.run.record("source_verified", service="n8n", body={"ok": False, "text": "503"})

    html = render(night.page())

    for words in (
        "wf005: the lock owned by bob@desk was broken: his machine &lt;died&gt;",
        "redis after the undo: redis serves on wf005",
        "n8n after the undo: NOT proven to serve: 503",
    ):
        assert f"<li>{words}</li>" in html


def test_what_is_waived_is_shown_at_once(night: Night) -> None:
    """A waived failure is good for gates and needs no decision any more; it must be seen all the same."""
    night.row("WAIVED", "waived until Sunday by tess: known. Risk: small. Seen: FAILED: 3 GB free", key="disk-fits")

    assert (
        "<li>redis, disk-fits: waived until Sunday by tess: known. Risk: small. Seen: FAILED: 3 GB free</li>"
        in render(night.page())
    )


def test_junit_maps_each_verdict(night: Night) -> None:
    """CI counts what FAILED as failure, UNKNOWN as error, what did not run as skipped with its word."""
    for verdict in ("PASSED", "FAILED", "UNKNOWN", "WAIVED", "PENDING", "NOT_RUN", "PLANNED"):
        night.row(verdict, f"text & <{verdict}>\x1b", key=verdict.lower(), details=["line"])

    suite = ET.fromstring(junit(night.page()))[0]  # noqa: S314 our own

    assert {case.get("name"): [child.tag for child in case] for case in suite.findall("testcase")} == {
        "passed": [],
        "failed": ["failure"],
        "unknown": ["error"],
        "waived": ["skipped"],
        "pending": ["skipped"],
        "not_run": ["skipped"],
        "planned": ["skipped"],
    }
    assert [suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped")] == [
        "longshore.migrate",
        "7",
        "1",
        "1",
        "4",
    ]
    failure = suite.find("testcase[@name='failed']/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("FAILED: text & <FAILED>\\u001b", "text & <FAILED>\\u001b\nline")
    assert {case.get("classname") for case in suite.findall("testcase")} == {"migrate.redis"}


def test_the_summary_lists_what_needs_a_decision(night: Night) -> None:
    """For a ticket: result, services, and each row that is not good."""
    night.row()
    night.row("FAILED", "exit code 137", key="stop")

    text = summary(night.page())

    assert text.startswith("# Migration of 1 service failed: 1 of 2 steps failed\n")
    assert "- **FAILED** redis: The service stops cleanly. exit code 137" in text
    assert "PASSED** redis" not in text
