"""A phase spread over processes of this machine (pytest-xdist): workers look, the process that started them alone
writes.

A worker hands over each row, and what was recorded on the way to it, with pytest's report of the step; secrets are
removed in the worker, which knows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.contracts.step import StepResult
from engine.journal.kinds import RecordKind
from engine.journal.record import Record, exact
from engine.redaction.redactor import Redactor
from engine.verdict import ExitCode


@dataclass
class BufferedRun:
    """A run as a worker sees it: what it records is kept until the next row carries it away."""

    id: str
    redactor: Redactor
    kept: list[dict[str, Any]] = field(default_factory=list, init=False)

    def record(
        self,
        kind: str,
        *,
        service: str | None = None,
        key: str | None = None,
        body: Mapping[str, Any],
        at: datetime | None = None,
    ) -> Record:
        """Keep one record, without secrets."""
        moment = (at or datetime.now(UTC)).isoformat()
        kind, service, key, clean = self.redactor.value(exact([RecordKind(kind).value, service, key, body]))
        self.kept.append({"kind": kind, "service": service, "key": key, "body": clean, "at": moment})
        return Record(0, self.id, 0, moment, kind, service, key, clean, "", "")


@dataclass
class WorkerRecorder:
    """The book of a worker: it shows and writes nothing."""

    run: BufferedRun
    command: str
    subjects: tuple[str, ...]
    folder: Path
    apply: bool = False
    _row: dict[str, Any] | None = field(default=None, init=False)
    _reported: int = field(default=0, init=False)

    def begin(self, subject: str, sentence: str, number: int, total: int) -> None:
        """Show nothing."""

    def add(self, row: StepResult) -> None:
        """Keep a row for the report of its step."""
        self._row = {"key": row.key, "body": self.run.redactor.value(exact(row.body()))}

    def hand_over(self) -> dict[str, Any]:
        """Return the row of the step that ended, and what was recorded since the one before."""
        records, row, removed = list(self.run.kept), self._row, self.run.redactor.removed
        self.run.kept.clear()
        redacted, self._row, self._reported = removed - self._reported, None, removed
        return {"row": row, "records": records, "redacted": redacted}

    def redact(self, text: str) -> str:
        """Return text without secrets."""
        return self.run.redactor.text(text)

    def take(self, records: Iterable[Mapping[str, Any]], redacted: int) -> None:
        """Take nothing: a worker has none of its own."""

    def needs_operator(self) -> bool:
        """Return False: a phase that reads leaves no move half-way."""
        return False

    def show_unwritten(self, row: StepResult, why: str) -> None:
        """Show nothing."""

    def report_states(self, why: str) -> None:
        """Print nothing."""

    def close(self, exit_code: ExitCode, *, interrupted: bool = False) -> None:
        """End nothing: the run is not this process' own."""

    def report(self, text: str) -> None:
        """Print nothing."""
