"""After Ctrl-C the output says where each move that was begun stands, how to resume it and how to take it back; nothing
is asked.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.evidence.next_steps import ways_on
from engine.i18n.language import ENGLISH, language_of
from engine.verdict import ExitCode, passed
from tests.fakes.run_on_record import Night
from tests.unit.engine.run.test_recorder import Shown, row

FORWARD = "nox -s migrate -- --lab --service redis --apply"
BACK = "nox -s rollback -- --lab --service redis --apply"


def lines_after(path: Path, *states: str, command: str = "migrate") -> list[str]:
    """Return the output after a run that left redis in these states, one after the other."""
    night = Night(path, command)
    for state in states:
        night.run.record("move_state", service="redis", body={"state": state})
        if state == "undone":
            night.run.record("source_verified", service="redis", body={"ok": True, "text": "redis serves on wf005"})
    return list(ways_on(night.journal.records(run_id=night.run.id), ENGLISH))


@pytest.mark.parametrize(
    ("states", "stands", "ways"),
    [
        (
            ("in_progress", "undone"),
            "was undone; its old host has it (redis serves on wf005)",
            [f"to move it again: {FORWARD}"],
        ),
        (
            ("in_progress",),
            "is partly done and has not been undone",
            [f"to resume: {FORWARD}", f"to take it back: {BACK}"],
        ),
        (
            ("in_progress", "committed"),
            "is committed: its new host serves, some steps are left",
            [f"to resume: {FORWARD}", f"to take it back: {BACK}"],
        ),
        (
            ("in_progress", "needs_operator"),
            "needs a person: its undo could not finish",
            [
                "to see what is left to do: nox -s status -- --lab",
                f"to resume its undo: {BACK}",
            ],
        ),
        (("rolling_back",), "rollback in progress", [f"to resume: {BACK}"]),
        (("rolling_back", "returned"), "is back: its old host serves, some steps are left", [f"to resume: {BACK}"]),
    ],
)
def test_each_state_has_its_ways(tmp_path: Path, states: tuple[str, ...], stands: str, ways: list[str]) -> None:
    """Commands to paste, in the environment of the run and for the one service."""
    lines = lines_after(tmp_path, *states)

    assert lines == ["interrupted: nothing more will run.", f"  redis: {stands}", *(f"    {way}" for way in ways),
                    "to resume where this run stopped: nox -s migrate -- --lab --apply"]  # fmt: skip


@pytest.mark.parametrize(
    "states", [(), ("in_progress", "committed", "done"), ("rolling_back", "returned", "rolled_back")]
)
def test_no_move_half_way_is_reported_as_that(tmp_path: Path, states: tuple[str, ...]) -> None:
    """A person who stopped a preflight, or between two moves, need not wonder."""
    assert lines_after(tmp_path, *states)[0] == "interrupted: nothing more will run, and no move is partly done."


def test_the_book_ends_with_the_ways(tmp_path: Path) -> None:
    """Instead of the command that repairs a failure; the evidence is drawn all the same."""
    shown = Shown(tmp_path, "preflight")
    shown.book.add(row(passed("ok")))

    shown.book.close(ExitCode.INCOMPLETE, interrupted=True)

    assert shown.text.splitlines()[-3:] == [
        f"evidence: {tmp_path}/reports/one/report.html",
        "interrupted: nothing more will run, and no move is partly done.",
        "to resume where this run stopped: nox -s preflight -- --lab",
    ]


def test_the_screen_speaks_portuguese(tmp_path: Path) -> None:
    """Verdicts, sentences of steps and the last lines."""
    shown = Shown(tmp_path)
    shown.book.language = language_of("pt-BR")
    shown.book.add(row(passed("ok"), sentence="Its Docker Engine answers."))

    shown.book.close(ExitCode.OK)

    assert "  APROVADA O Docker Engine dele responde." in shown.text
    assert "preflight no ambiente lab: 1 APROVADA" in shown.text
    assert "a seguir: nox -s migrate -- --lab" in shown.text


def test_a_validation_shows_what_changed_before_all_else_that_ends_it(tmp_path: Path) -> None:
    """On the screen too."""
    shown = Shown(tmp_path, "validate")
    for _ in range(2):
        shown.book.run.record(
            "scope",
            body={
                "title": "t",
                "moves": [{"service": "redis", "source": "a", "target": "b", "wave": "w", "strategy": "s"}],
            },
        )
        shown.book.add(row(passed("ok"), phase="validate"))
        shown.book.close(ExitCode.OK)
        shown.book.run = shown.journal.start_run(
            command="validate", environment="lab", plan_digest="d", operator="o", version="v", commit="c", argv=[]
        )

    assert "UTC: no difference" in shown.text
    assert shown.text.index("no difference") > shown.text.index(
        "evidence: "
    )  # the first night has nothing to compare with
