"""The book of a run: takes rows of evidence, writes them into the journal, shows them and draws the evidence at the end."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from engine.errors import CouldNotLookError
from engine.evidence import BACKUP, Paths, command_line, write_evidence
from engine.journal import Journal, Run
from engine.phases import NEXT_PHASE
from engine.states import MoveState
from engine.steps import Row
from engine.verdict import ExitCode, Verdict

COLOURS: Final = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "bold red",
    Verdict.UNKNOWN: "bold magenta",
    Verdict.WAIVED: "yellow",
    Verdict.WAITING: "yellow",
    Verdict.NOT_RUN: "yellow",
    Verdict.PLANNED: "cyan",
}


@dataclass
class JournalBook:
    """Rows go to the journal first, then to the console."""

    journal: Journal
    run: Run
    command: str
    environment: str
    subjects: tuple[str, ...]
    apply: bool
    folder: Path
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    counts: Counter[Verdict] = field(default_factory=Counter)
    _subject: str = field(default="", init=False)

    def add(self, row: Row) -> None:
        """Record a row durably and show it."""
        self.run.record("step", service=row.service, key=row.key, body=row.body())
        self.counts[row.judgement.verdict] += 1
        if row.subject != self._subject:
            self._subject = row.subject
            self._say(Text(f"\n{self.redact(row.subject)}", style="bold"))
        self._show(row)

    def needs_person(self) -> bool:
        """Return whether this run left a move in a state that only a person can go on from."""
        states = {record.service: record.body["state"] for record in self.journal.records(run_id=self.run.id, kind="move_state")}
        return MoveState.NEEDS_PERSON.value in states.values()

    def redact(self, text: str) -> str:
        """Return text without secrets."""
        return self.journal.redactor.text(text)

    def tell(self, text: str) -> None:
        """Print what came after the end."""
        self._say(Text(self.redact(text)))

    def _say(self, text: Text | str) -> None:
        """Print, and go on when the screen is gone (a closed pipe, a lost terminal): what counts is in the journal."""
        with suppress(OSError):
            self.console.print(text)

    def _show(self, row: Row) -> None:
        verdict = row.judgement.verdict
        line = Text(f"  {verdict.value:<8} ", style=COLOURS[verdict])
        line.append(self.redact(row.sentence), style="default")
        self._say(line)
        details = () if row.judgement.passed else row.judgement.details[:5]
        for text in (row.judgement.text, *details):
            if text:
                self._say(Text(f"           {self.redact(text)}", style="dim" if row.judgement.passed else ""))

    def close(self, exit_code: ExitCode) -> None:
        """End the run, draw its evidence and print where it is and what to do next; raises CouldNotLookError.

        That is for an altered journal, and for evidence that could not be written.
        """
        counts = {verdict.value: count for verdict, count in self.counts.items()}
        self.run.finish(counts, exit_code)
        paths = self._draw()
        told = ", ".join(f"{count} {verdict.value}" for verdict, count in self.counts.items()) or "no step was run"
        self._say(Text(f"\n{self.command} in environment {self.environment}: {told}", style="bold"))
        self._say(f"evidence: {paths.report}")
        self._say(self._next(exit_code))
        if paths.altered:
            raise CouldNotLookError(f"journal of environment {self.environment}: {'; '.join(paths.altered)}. Do not approve this run: {BACKUP}")

    def _draw(self) -> Paths:
        try:
            return write_evidence(self.journal, self.run.id, self.folder)
        except OSError as error:
            where = "--lab" if self.environment == "lab" else f"--environment {self.environment}"
            raise CouldNotLookError(
                f"{self.folder}: the evidence can't be written: {error}. The journal holds the run to its end. "
                f"Make room, then: nox -s report -- {self.run.id[:8]} {where}"
            ) from error

    def _next(self, exit_code: ExitCode) -> str:
        about = self.journal.records(run_id=self.run.id, kind="run_started")[0].body
        if exit_code is not ExitCode.OK:
            again = command_line(about, self.command, apply=self.apply)
            return f"exit status {exit_code.value} ({exit_code.name}). Mend what is named above, then: {again}"
        if Verdict.PLANNED in self.counts:
            return f"dry run: no host was changed. To do it: {command_line(about, self.command, apply=True)}"
        following = NEXT_PHASE.get(self.command)
        return f"next: {command_line(about, following)}" if following else "all that was asked holds"
