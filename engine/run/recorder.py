"""The book of a run: takes rows of evidence, writes them into the journal, shows them and draws the evidence at the
end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from engine.command_line import typed_command
from engine.contracts.move_state import MoveState
from engine.contracts.phase import DIFF_FIRST, NEXT_PHASE
from engine.contracts.step import StepResult
from engine.errors import NotObservedError
from engine.evidence import BACKUP, Paths, command_line, write_evidence
from engine.evidence.facts.run_diff_text import differences
from engine.evidence.headline import BADGES
from engine.evidence.next_steps import stands_of, ways_on
from engine.finding import joined, say
from engine.i18n.language import ENGLISH, Language
from engine.journal.journal import Journal, Record, Run
from engine.journal.kinds import RecordKind
from engine.redaction.guarded_console import open_screen
from engine.redaction.visible_text import visible
from engine.run.progress import Progress
from engine.verdict import ExitCode, Verdict

COLOURS: Final = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "bold red",
    Verdict.UNKNOWN: "bold magenta",
    Verdict.WAIVED: "yellow",
    Verdict.PENDING: "yellow",
    Verdict.NOT_RUN: "yellow",
    Verdict.PLANNED: "cyan",
}
INDENT: Final = 11


@dataclass
class RunRecorder:
    """Rows go to the journal first, then to the console."""

    journal: Journal
    run: Run
    command: str
    environment: str
    subjects: tuple[str, ...]
    apply: bool
    folder: Path
    simulated: frozenset[str] = frozenset()
    console: Console = field(default_factory=lambda: open_screen(soft_wrap=True))
    language: Language = ENGLISH
    progress: Progress | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    """The body of the run's first record."""
    counts: Counter[Verdict] = field(default_factory=Counter)
    standing: Callable[[], Mapping[str, MoveState]] = dict
    """The state of each move that this run has begun, from memory: the journal may not answer."""
    _heading: str = field(default="", init=False)
    _current: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Show the run's actions as they are recorded."""
        self.run.watchers.append(self._watch)

    def begin(self, subject: str, sentence: str, number: int, total: int) -> None:
        """Show that a step begins."""
        self._current = subject
        if self.progress:
            self.progress.begin(self.redact(subject), sentence, number, total)

    def _watch(self, record: Record) -> None:
        if (
            record.kind == RecordKind.INTENT and self.progress and record.service in {None, self._current}
        ):  # others run in parallel
            self.progress.intend(self.language.text_of(record.body, "describe"), record.body.get("estimate_s"))

    def add(self, row: StepResult) -> None:
        """Record a row durably and show it; one about a service that another program plays here says so."""
        if row.service in self.simulated:
            text = row.judgement.text
            text = say("(stand-in) {text}", text=text) if text else say("(stand-in)")
            row = replace(row, judgement=replace(row.judgement, text=text))
        self.run.record(RecordKind.RESULT, service=row.service, key=row.key, body=row.body())
        self._count(row)

    def _count(self, row: StepResult) -> None:
        self.counts[row.judgement.verdict] += 1
        if row.subject != self._heading:
            self._heading = row.subject
            self._say(Text(f"\n{self.redact(row.subject)}", style="bold"))
        self._show(row)

    def show_unwritten(self, row: StepResult, why: str) -> None:
        """Show a row that could not be recorded, and why."""
        self._count(row)
        line = self.language.say("not on record: {why}", why=self.redact(why))
        self._say(Text(f"{' ' * INDENT}{line}", style="bold red"))

    def take(self, records: Iterable[Mapping[str, Any]], redacted: int) -> None:
        """Record what a worker recorded, and count what it redacted."""
        for one in records:
            self.run.record(
                one["kind"],
                service=one["service"],
                key=one["key"],
                body=one["body"],
                at=datetime.fromisoformat(one["at"]),
            )
        self.journal.redactor.count_removed(redacted)

    def needs_operator(self) -> bool:
        """Return whether this run left a move in a state that only a person can continue from."""
        if MoveState.NEEDS_OPERATOR in self.standing().values():
            return True
        try:
            states = {
                record.service: record.body["state"]
                for record in self.journal.records(run_id=self.run.id, kind=RecordKind.MOVE_STATE)
            }
        except NotObservedError:
            return False  # what this run did is in memory
        return MoveState.NEEDS_OPERATOR.value in states.values()

    def redact(self, text: str) -> str:
        """Return text without secrets; a finding stays one where it can."""
        return self.journal.redactor.text(text)

    def report(self, text: str) -> None:
        """Print what came after the end."""
        self._say(Text(self.language.translate(self.redact(text))))

    def _say(self, text: Text | str) -> None:
        """Print, and continue when the screen is gone (a closed pipe, a lost terminal): what counts is in the journal.

        A host's text is shown as what it is: nothing in it colours, erases or names anything on the screen.
        """
        with suppress(OSError):
            self.console.print(_visible(text))

    def _show(self, row: StepResult) -> None:
        verdict = row.judgement.verdict
        line = Text(f"  {self._word(verdict):<{INDENT - 3}} ", style=COLOURS[verdict])
        line.append(self.redact(self.language.say(row.sentence)), style="default")
        self._say(line)
        details = () if row.judgement.passed else row.judgement.details[:5]
        for text in (row.judgement.text, *details):
            if text:
                shown = self.language.translate(self.redact(text))
                self._say(Text(f"{' ' * INDENT}{shown}", style="dim" if row.judgement.passed else ""))

    def _word(self, verdict: Verdict) -> str:
        """Return a verdict as people read it; in English as it is in records."""
        return verdict.value if self.language == ENGLISH else self.language.say(BADGES[verdict.value])

    def report_states(self, why: str) -> None:
        """Print why the run could not be ended as it should, the state of each move that was begun, and the commands
        that continue it.
        """
        if self.progress:
            self.progress.end()
        self._say(Text(f"\n{self.language.translate(self.redact(why))}", style="bold red"))
        for line in self._stand():
            self._say(line)

    def _stand(self) -> Iterator[str]:
        states = {service: state.value for service, state in self.standing().items()}
        yield from stands_of(
            self.about or {"command": self.command, "environment": self.environment}, states, self.language
        )

    def close(self, exit_code: ExitCode, *, interrupted: bool = False) -> None:
        """End the run, draw its evidence and print where it is and what to do next; raises CouldNotLookError or
        JournalError.

        That is for an altered journal, one that can't be written, and for evidence that could not be written.
        """
        if self.progress:
            self.progress.end()
        counts = {verdict.value: count for verdict, count in self.counts.items()}
        self.run.finish(counts, exit_code)
        for difference in self._differences():
            self._say(difference)
        paths = self._draw()
        say = self.language.say
        counted = ", ".join(f"{count} {self._word(verdict)}" for verdict, count in self.counts.items()) or say(
            "no step was run"
        )
        words = {"command": self.command, "environment": self.environment, "counted": counted}
        self._say(Text("\n" + say("{command} in environment {environment}: {counted}", **words), style="bold"))
        self._say(say("evidence: {file}", file=paths.report))
        for line in self._next(exit_code, interrupted=interrupted):
            self._say(line)
        if paths.altered:
            raise NotObservedError(
                say(
                    "journal of environment {environment}: {problems}. Do not approve this run: {advice}",
                    environment=self.environment,
                    problems=joined("; ", paths.altered),
                    advice=BACKUP,
                )
            )

    def _draw(self) -> Paths:
        try:
            return write_evidence(self.journal, self.run.id, self.folder)
        except OSError as error:
            raise NotObservedError(
                say(
                    "{folder}: the evidence can't be written: {error}. The journal holds the run to its end. Make "
                    "room, then: {command}",
                    folder=self.folder,
                    error=error,
                    command=typed_command("report", self.run.id[:8], environment=self.environment),
                )
            ) from error

    def _differences(self) -> Iterator[Text]:
        """Yield what changed since the last validation, before anything else: every night but one it is nothing."""
        if self.command in DIFF_FIRST:
            for number, line in enumerate(differences(self.journal, self.run.id, self.language)):
                yield Text(f"\n{line}" if not number else f"  {line}", style="bold" if not number else "")

    def _next(self, exit_code: ExitCode, *, interrupted: bool) -> Iterator[str]:
        records = self.journal.records(run_id=self.run.id)
        about, say = records[0].body, self.language.say
        if interrupted:
            yield from ways_on(records, self.language)
            return
        yield from self._stand()
        if exit_code is not ExitCode.OK:
            again = command_line(about, self.command, apply=self.apply)
            status = {"status": exit_code.value, "name": exit_code.name, "command": again}
            yield say("exit status {status} ({name}). Fix the problems above, then run: {command}", **status)
        elif Verdict.PLANNED in self.counts:
            yield say(
                "dry run: no host was changed. To do it: {command}",
                command=command_line(about, self.command, apply=True),
            )
        elif following := NEXT_PHASE.get(self.command):
            yield say("next: {command}", command=command_line(about, following))
        else:
            yield say("all checks passed")


def _visible(text: Text | str) -> Text:
    """Return a text that holds nothing that a terminal obeys; its own style stays, part by part."""
    if isinstance(text, str):
        return Text(visible(text))
    if visible(text.plain) == text.plain:
        return text
    parts = text.divide(sorted({end for span in text.spans for end in (span.start, span.end)}))
    whole = Text(style=text.style)
    for part in parts:
        whole.append(visible(part.plain), style=part.spans[-1].style if part.spans else None)
    return whole
