"""A run that a test writes second by second, for what is drawn from a journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from engine.evidence.page.page import Page, view_of
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor, Secret
from engine.verdict import ExitCode

PASSWORD = "Tr0ub4dor-and-3"
MOVES = [
    {"service": "redis", "source": "wf005", "target": "wf001", "wave": "auxiliary", "strategy": "stop_copy"},
    {"service": "n8n", "source": "wf005", "target": "wf002", "wave": "critical", "strategy": "stop_copy"},
]


class Night:
    """A run that a test writes, second by second."""

    def __init__(
        self, path: Path, command: str = "migrate", moves: list[dict[str, Any]] | None = None, *, apply: bool = True
    ) -> None:
        """Start it."""
        self.apply, self.plan_digest = apply, "d" * 64
        self.now, self.step_s = datetime(2026, 1, 1, tzinfo=UTC), 1
        redactor = Redactor()
        redactor.register(Secret(PASSWORD))
        self.journal = Journal.open(path / "lab.sqlite", redactor=redactor, clock=self._tick)
        self.run = self.another(command, MOVES[:1] if moves is None else moves)

    def another(self, command: str, moves: list[dict[str, Any]] | None = None) -> Run:
        """Start one more run in the same journal."""
        run = self.journal.start_run(
            command=command,
            environment="lab",
            plan_digest=self.plan_digest,
            operator="ana@desk",
            version="0.1.0",
            commit="c" * 12 + "+changes",
            argv=["--lab"],
            apply=self.apply,
            utc_offset_s=-10_800,
        )
        run.record(
            "scope", body={"title": "Empty wf005", "moves": MOVES[:1] if moves is None else moves, "simulated": []}
        )
        run.record(
            "host_observed",
            body={"name": "wf001", "address": "192.0.2.11", "ssh_key_fingerprint": "SHA256:x", "error": ""},
        )
        return run

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=self.step_s)
        return self.now

    def row(
        self, verdict: str = "PASSED", text: str = "ok", service: str | None = "redis", key: str = "stop", **more: Any
    ) -> None:
        """Record a step."""
        body: dict[str, Any] = {
            "phase": "migrate",
            "sentence": "The service stops cleanly.",
            "subject": service or "wf001",
            "service": service,
            "host": None,
            "wave": None,
            "effect": "changes_state",
            "severity": "blocker",
            "verdict": verdict,
            "text": text,
            "measured": {},
            "details": [],
            "duration_s": 1.5,
        }
        self.run.record("result", service=service, key=key, body={**body, **more})

    def page(self, *, finished: bool = True) -> Page:
        """Return the page."""
        if finished:
            self.run.finish({}, ExitCode.OK)
        return view_of(self.journal, self.run.id)

    def tamper(self, statement: str) -> None:
        """Change the journal's file behind its back, in SQL."""
        with self.journal.engine.begin() as connection:
            connection.execute(text(statement))
