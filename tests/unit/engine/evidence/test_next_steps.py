"""Each step that did not pass comes with the command that follows: the right environment, service and files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from engine.evidence.next_steps import command_line, next_command
from engine.evidence.page.html import render
from engine.evidence.writer import summary
from tests.fakes.run_on_record import Night


def about(command: str = "migrate", environment: str = "production", *argv: str) -> dict[str, Any]:
    """Return a run's first record."""
    return {"command": command, "environment": environment, "argv": list(argv)}


@pytest.mark.parametrize(
    ("command", "service", "state", "dry_run", "expected"),
    [
        ("preflight", "redis", "planned", False, "nox -s preflight -- --lab --service redis"),
        ("preflight", None, "planned", False, "nox -s preflight -- --lab"),
        ("validate", "redis", "done", False, "nox -s validate -- --lab --service redis"),
        ("prepare", "redis", "planned", False, "nox -s prepare -- --lab --service redis --apply"),
        ("prepare", None, "planned", True, "nox -s prepare -- --lab"),
        (
            "migrate",
            "redis",
            "undone",
            False,
            "nox -s preflight -- --lab --service redis && nox -s migrate -- --lab --service redis --apply",
        ),
        ("migrate", "redis", "committed", False, "nox -s migrate -- --lab --service redis --apply"),
        ("migrate", "redis", "in_progress", False, "nox -s migrate -- --lab --service redis --apply"),
        ("migrate", "redis", "needs_operator", False, "nox -s status -- --lab"),
        ("migrate", "redis", "planned", True, "nox -s preflight -- --lab --service redis"),
    ],
)
def test_what_follows_depends_on_where_the_move_stands(
    command: str, service: str | None, state: str, dry_run: bool, expected: str
) -> None:
    """A begun move is resumed, an undone one is looked at first, one that needs a person is not started again; a dry
    run stays one.
    """
    for verdict in ("FAILED", "UNKNOWN"):
        assert (
            next_command(about(command, "lab"), {"verdict": verdict, "service": service}, state, dry_run=dry_run)
            == expected
        )
    assert next_command(about(command, "lab"), {"verdict": "NOT_RUN", "service": service}, state, dry_run=dry_run) == ""


def test_the_command_keeps_files_and_selection() -> None:
    """What was chosen stays chosen: a dry run of one service never leads to a command that moves all."""
    given = about(
        "migrate",
        "production",
        "runbooks/migrate",
        "--service",
        "redis",
        "--wave=auxiliary",
        "--plan",
        "my plan.json",
        "--ssh-config=s",
        "--plan",
    )

    line = command_line(given, "migrate", apply=True)

    kept = [
        "--environment",
        "production",
        "--service",
        "redis",
        "--wave",
        "auxiliary",
        "--plan",
        "my plan.json",
        "--ssh-config",
        "s",
        "--apply",
    ]
    assert shlex.split(line) == ["nox", "-s", "migrate", "--", *kept]
    assert (
        command_line(given, "preflight", "n8n")
        == "nox -s preflight -- --environment production --service n8n --plan 'my plan.json' --ssh-config s"
    )


def test_page_and_summary_say_what_to_do_next(tmp_path: Path) -> None:
    """Next to each step that needs a decision, ready to paste."""
    night = Night(tmp_path, "validate")
    night.row("FAILED", "2 rows differ")
    night.row("NOT_RUN", "not run: see above", key="later")

    page = night.page()

    command = "nox -s validate -- --lab --service redis"
    assert f"Fix it, then run: <code>{command}</code>" in render(page)
    assert f"2 rows differ Next: `{command}`" in summary(page)
    assert render(page).count("Fix it, then run") == 1


@pytest.mark.parametrize(
    ("command", "verdict", "line"),
    [
        ("preflight", "PASSED", "What comes next: <code>nox -s migrate -- --lab</code>"),
        ("migrate", "PLANNED", "To do it: <code>nox -s migrate -- --lab --apply</code>"),
        ("validate", "PASSED", None),
        ("preflight", "FAILED", None),
    ],
)
def test_a_good_end_says_what_comes_next(tmp_path: Path, command: str, verdict: str, line: str | None) -> None:
    """The next phase, or the action that was described; a failure has its own advice."""
    night = Night(tmp_path, command, apply=False)
    night.row(verdict)

    html = render(night.page())

    assert (line in html) if line else ('<p class="next">' not in html)
