"""The book writes first and shows then, without secrets, and ends with where the evidence is and what comes next."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import text

from engine.contracts.move_state import MoveState
from engine.contracts.step import StepResult
from engine.errors import NotObservedError
from engine.finding import recorded, say
from engine.i18n.language import language_of
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor, Secret
from engine.run.progress import Progress
from engine.run.recorder import RunRecorder
from engine.verdict import Effect, ExitCode, Judgement, Severity, Verdict, exit_code_of, failed, passed

PASSWORD = "Tr0ub4dor-and-3"


class Shown:
    """A book and what it printed."""

    def __init__(self, path: Path, command: str = "preflight", environment: str = "lab") -> None:
        """Open both."""
        redactor = Redactor()
        redactor.register(Secret(PASSWORD))
        self.screen = io.StringIO()
        self.journal = Journal.open(path / "lab.sqlite", redactor=redactor)
        run = self.journal.start_run(
            command=command, environment=environment, plan_digest="d", operator="o", version="v", commit="c", argv=[]
        )
        console = Console(file=self.screen, width=200, highlight=False, soft_wrap=True)
        self.book = RunRecorder(
            self.journal,
            run,
            command,
            environment,
            ("redis",),
            apply=False,
            folder=path / "reports" / "one",
            console=console,
        )

    @property
    def text(self) -> str:
        """Return what was printed."""
        return self.screen.getvalue()


def row(judgement: Judgement, **given: Any) -> StepResult:
    """Return a row of redis."""
    about: dict[str, Any] = {
        "phase": "preflight",
        "key": "stop",
        "sentence": "It stops.",
        "subject": "redis",
        "service": "redis",
        "host": None,
        "wave": "auxiliary",
        "effect": Effect.READ_ONLY,
        "severity": Severity.BLOCKER,
        "judgement": judgement,
        "duration_s": 0.12345,
    }
    return StepResult(**{**about, **given})


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """Return an empty book of a preflight."""
    return Shown(tmp_path)


def test_a_row_of_a_stand_in_says_so(shown: Shown) -> None:
    """Nobody takes what another program answered for the product's own word: the row in journal and on screen carries
    it.
    """
    shown.book.simulated = frozenset({"redis"})
    shown.book.add(row(passed("it stopped")))
    shown.book.add(row(passed("it stopped too"), service="postgres", subject="postgres"))

    texts = [record.body["text"] for record in shown.journal.records(kind="result")]
    assert texts == ["(stand-in) it stopped", "it stopped too"]
    assert "(stand-in) it stopped" in shown.text


def test_a_row_is_in_the_journal_before_it_is_on_the_screen(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that goes away (SSH, a closed pipe) loses no row and stops no move."""
    there = []

    def broken(*_: Any, **__: Any) -> None:
        there.append(len(shown.journal.records(kind="result")))
        raise BrokenPipeError

    monkeypatch.setattr(shown.book.console, "print", broken)

    shown.book.add(row(passed("ok", rows=3)))

    record = shown.journal.records(kind="result")[0]
    assert set(there) == {1}
    assert (record.service, record.key, record.body["verdict"]) == ("redis", "stop", "PASSED")
    assert (record.body["measured"], record.body["duration_s"], record.body["effect"]) == (
        {"rows": 3},
        0.123,
        "read_only",
    )


def test_evidence_that_cannot_be_written_is_reported(shown: Shown) -> None:
    """A full disk at the end is one message with what to type later; the run is on record to its end."""
    shown.book.folder.parent.parent.joinpath("reports").write_text("no folder")

    with pytest.raises(
        NotObservedError, match=r"evidence can't be written: .*Make room, then: nox -s report -- [0-9a-f]{8} --lab"
    ):
        shown.book.close(ExitCode.OK)

    assert shown.journal.records(kind="run_ended")


def test_each_subject_is_a_heading_once(shown: Shown) -> None:
    """Rows of one service stand together."""
    for subject in ("redis", "redis", "n8n"):
        shown.book.add(row(passed("ok"), subject=subject))

    assert shown.text.splitlines() == [
        "",
        "redis",
        "  PASSED   It stops.",
        "           ok",
        "  PASSED   It stops.",
        "           ok",
        "",
        "n8n",
        "  PASSED   It stops.",
        "           ok",
    ]


def test_details_are_for_what_is_not_good(shown: Shown) -> None:
    """Five lines of a failure; a pass is one line."""
    lines = tuple(f"line {number}" for number in range(8))
    shown.book.add(row(passed("ok", lines)))
    assert "line" not in shown.text

    shown.book.add(row(failed("no", lines)))
    assert [f"line {number}" in shown.text for number in range(8)] == [True] * 5 + [False] * 3


def test_nothing_secret_is_shown_or_kept(shown: Shown) -> None:
    """Screen and journal pass one redactor."""
    shown.book.add(row(failed(f"AUTH {PASSWORD}", (f"-a {PASSWORD}",))))

    assert PASSWORD not in shown.text
    assert "AUTH ***" in shown.text
    assert PASSWORD not in str(shown.journal.records())
    assert shown.book.redact(PASSWORD) == "***"


def test_markup_in_a_servers_text_is_text(shown: Shown) -> None:
    """Square brackets do not colour, link or crash."""
    shown.book.add(row(failed("[bold]x[/bold] [/nothing]")))

    assert "[bold]x[/bold] [/nothing]" in shown.text


@pytest.mark.parametrize(
    ("command", "environment", "verdict", "line"),
    [
        ("prepare", "lab", Verdict.PASSED, "next: nox -s preflight -- --lab"),
        ("preflight", "production", Verdict.PASSED, "next: nox -s migrate -- --environment production"),
        ("migrate", "lab", Verdict.PASSED, "next: nox -s validate -- --lab"),
        ("validate", "lab", Verdict.PASSED, "all checks passed"),
        (
            "migrate",
            "production",
            Verdict.PLANNED,
            ("dry run: no host was changed. To do it: nox -s migrate -- --environment production --apply"),
        ),
        (
            "preflight",
            "lab",
            Verdict.FAILED,
            ("exit status 1 (FAILED). Fix the problems above, then run: nox -s preflight -- --lab"),
        ),
        (
            "validate",
            "lab",
            Verdict.UNKNOWN,
            ("exit status 2 (INCOMPLETE). Fix the problems above, then run: nox -s validate -- --lab"),
        ),
    ],
)
def test_the_last_line_is_a_command_to_paste(
    tmp_path: Path, command: str, environment: str, verdict: Verdict, line: str
) -> None:
    """What comes next, with the environment of this run."""
    shown = Shown(tmp_path, command, environment)
    shown.book.add(row(Judgement(verdict, "t")))

    shown.book.close(exit_code_of([(verdict, Severity.BLOCKER)]))

    lines = shown.text.splitlines()[-3:]
    assert lines == [
        f"{command} in environment {environment}: 1 {verdict.value}",
        f"evidence: {tmp_path}/reports/one/report.html",
        line,
    ]
    assert (tmp_path / "reports" / "one" / "report.html").is_file()


def test_a_book_without_rows_says_so(shown: Shown) -> None:
    """The text says that nothing was looked at, and the run's end is on record."""
    shown.book.close(ExitCode.INCOMPLETE)

    assert "preflight in environment lab: no step was run" in shown.text
    assert shown.journal.records(kind="run_ended")[0].body["exit_name"] == "INCOMPLETE"


def test_a_run_in_an_altered_journal_does_not_end_well(shown: Shown) -> None:
    """The evidence is drawn and printed, then the end says what was altered."""
    shown.book.add(row(passed("ok")))
    with shown.journal.engine.begin() as connection:
        connection.execute(text("UPDATE records SET body = replace(body, 'ok', 'no')"))

    with pytest.raises(NotObservedError, match=r"record 2 \(result\): its content was changed.*Do not approve"):
        shown.book.close(ExitCode.OK)

    assert "evidence: " in shown.text


def test_where_each_move_stands_is_reported_from_memory(shown: Shown) -> None:
    """A run that can't be ended as it should says why, where each move stands and what to type; the journal is not
    asked.
    """
    shown.book.command = "migrate"
    shown.book.standing = lambda: {
        "redis": MoveState.UNDONE,
        "n8n": MoveState.NEEDS_OPERATOR,
        "postgres": MoveState.DONE,
    }
    shown.journal.engine.dispose()

    shown.book.tell_stand(f"state/lab.sqlite: can't be written with {PASSWORD}")

    assert (
        "redis: was undone; its old host has it\n    to move it again: nox -s migrate -- --lab --service redis --apply"
        in shown.text
    )
    assert "to resume its undo: nox -s rollback -- --lab --service n8n --apply" in shown.text
    assert "postgres" not in shown.text
    assert PASSWORD not in shown.text


def test_a_row_that_is_not_on_record_is_shown_with_the_reason(shown: Shown) -> None:
    """People see it all the same, and next to it that it is missing in the evidence."""
    shown.book.show_unwritten(row(passed("it stopped")), "state/lab.sqlite: full")

    assert "it stopped" in shown.text
    assert "not on record: state/lab.sqlite: full" in shown.text


def test_the_screen_shows_a_finding_in_the_language_of_the_run(tmp_path: Path) -> None:
    """Text and details, without secrets; the foot line shows an action so too."""
    shown = Shown(tmp_path)
    shown.book.language = language_of("pt-BR")
    shown.book.progress = Progress(Console(file=io.StringIO()), language=shown.book.language)
    shown.book.begin("redis", "It stops.", 1, 1)

    shown.book.add(row(failed(say("drift: {text}", text=PASSWORD), (say("already done: {text}", text="x"),))))
    described = recorded(say("drift: {text}", text="exit code 137"), "describe")
    shown.book.run.record("intent", service="redis", key="stop", body={**described, "estimate_s": None})
    shown.book.tell(say("drift: {text}", text="at the end"))

    assert ("desvio: ***" in shown.text, "já feito: x" in shown.text, "desvio: at the end" in shown.text) == (True,) * 3
    assert "drift" not in shown.text
    assert shown.book.progress.text().endswith("redis: desvio: exit code 137")
