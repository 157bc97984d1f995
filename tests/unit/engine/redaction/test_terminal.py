"""A host's text moves, colours and names nothing on the operator's terminal: it is shown as what it is, wherever it is
printed.
"""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from commands import __main__ as program
from engine.contracts.step import StepResult
from engine.errors import NotObservedError
from engine.journal.journal import Journal
from engine.redaction.guarded_console import GuardedStream, filtered, guarded_console, is_terminal, open_screen
from engine.redaction.redactor import Redactor
from engine.run.recorder import RunRecorder
from engine.verdict import Effect, Severity, failed
from phases.context.plain_progress import plain_progress

HOSTILE = (
    "wf001: docker logs: \x1b]52;c;cm0gLXJmIH4=\x1b\\ \x1b[1A\x1b[2K\x1b[32mPASSED\x1b[0m all files identical "
    "\x1b]0;owned\x1b\\ \x9b31m \x07\x08\r \u202egnp.exe \u2066\u200f"
)
OBEYED = ("\x1b]", "\x1b[1A", "\x1b[2K", "\x1b[32mPASSED", "\x9b", "\x07", "\x08", "\r", "\u202e", "\u2066", "\u200f")


def harmless(shown: str) -> bool:
    """Return whether nothing of the text is obeyed, and all of it can be read."""
    return (
        not any(one in shown for one in OBEYED) and "\\u001b]52;c;cm0gLXJmIH4=" in shown and "\\u202egnp.exe" in shown
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_a_row_shows_what_a_host_wrote(tmp_path: Path, terminal: bool) -> None:
    """In its text, its details, its subject and its sentence; our own colours stay on a terminal."""
    out = io.StringIO()
    journal = Journal.open(tmp_path / "j.sqlite", redactor=Redactor())
    run = journal.start_run(command="preflight", environment="production")
    console = Console(file=out, force_terminal=terminal, highlight=False, soft_wrap=True, width=400)
    book = RunRecorder(journal, run, "preflight", "production", (), apply=False, folder=tmp_path, console=console)
    judged = failed(HOSTILE, (HOSTILE,))
    book.add(
        StepResult(
            "preflight", "k", HOSTILE, HOSTILE, "redis", None, None, Effect.READ_ONLY, Severity.BLOCKER, judged, 0.1
        )
    )
    book.tell(HOSTILE)

    assert harmless(out.getvalue())
    assert out.getvalue().count("\\u202e") == 5
    assert ("\x1b[1;31m" in out.getvalue()) is terminal


def test_whatever_is_printed_shows_what_a_host_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain prints and errors of commands, on both streams; line breaks and tabs stay."""
    with guarded_console(Redactor()):
        print(HOSTILE)
        print(f"{HOSTILE}\n\tnext line", file=sys.stderr)

    output = capsys.readouterr()
    assert harmless(output.out)
    assert harmless(output.err)
    assert output.err.endswith("\n\tnext line\n")


def test_an_error_of_a_command_shows_what_a_host_wrote(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the one line that a person reads when something went wrong."""

    def broken(_argv: list[str]) -> int:
        raise NotObservedError(HOSTILE)

    monkeypatch.setattr(program.importlib, "import_module", lambda _: types.SimpleNamespace(main=broken))
    assert program.main(["status"]) == 2

    assert harmless(capsys.readouterr().err)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_table_shows_what_a_host_wrote(terminal: bool) -> None:
    """Cells too, and no markup of rich in them is followed."""
    out = io.StringIO()
    console = filtered(Console(file=out, force_terminal=terminal, markup=False, width=600))
    table = Table("host")
    table.add_row(HOSTILE + "[green]PASSED[/green]")
    console.print(table)
    console.print(HOSTILE, style="bold")

    assert harmless(out.getvalue())
    assert "[green]PASSED[/green]" in out.getvalue()
    assert ("\x1b[1m" in out.getvalue()) is terminal


def test_only_what_rich_styled_passes_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that asks learns that it is none, so that its colours are not shown as escapes."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    before, sys.stdout = sys.stdout, GuardedStream(screen, Redactor())
    try:
        assert not sys.stdout.isatty()
        assert is_terminal()
        open_screen(width=400, force_terminal=True).print(HOSTILE, style="bold")
    finally:
        sys.stdout = before

    assert harmless(screen.getvalue())
    assert screen.getvalue().startswith("\x1b[1m")
    assert capsys.readouterr().out == ""


def test_progress_shows_what_a_host_wrote() -> None:
    """Names of files come along with it."""
    out = io.StringIO()
    times = iter((0.0, 100.0, 100.0))
    plain_progress("redis", out, lambda: next(times))(HOSTILE)

    assert not any(one in out.getvalue() for one in OBEYED)
