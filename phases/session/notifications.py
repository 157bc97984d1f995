"""The messages to people during a run: start, each move, each failure and the end of what changes hosts; of a
validation only what changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from rich.console import Console

from engine.config.scope import Scope
from engine.constants import NAME
from engine.contracts.move_state import MoveState
from engine.contracts.phase import Notifies, notifies
from engine.evidence.facts.run_diff_text import lines_of, since_last
from engine.evidence.headline import BADGES, sentence_of
from engine.i18n.language import Language
from engine.journal.journal import Record, Run
from engine.journal.kinds import RecordKind
from engine.redaction.redactor import Redactor
from engine.verdict import Severity, Verdict
from hosts.local.notifications import VARIABLE, Messenger, open_messenger

WRONG: Final = frozenset({Verdict.FAILED.value, Verdict.UNKNOWN.value})


class Sender(Protocol):
    """Whoever carries messages."""

    def send(self, title: str, text: str) -> None:
        """Hand over a message."""


@dataclass
class Notifier:
    """Turns a run's records into messages. `watch` must not fail, so it takes nothing in a record for granted."""

    sender: Sender
    run: Run
    scope: Scope
    command: str
    language: Language
    done: int = field(default=0, init=False)
    ended: bool = field(default=False, init=False)

    @property
    def only_changes(self) -> bool:
        """Return whether people hear only of what changed since the last run."""
        return notifies(self.command) is Notifies.CHANGES

    def start(self) -> None:
        """Send that it begins; a validation begins unseen."""
        if not self.only_changes:
            services = ", ".join(move.service for move in self.scope.moves)
            self._send(self.language.say("{command} has begun", command=self.command), services)

    def watch(self, record: Record) -> None:
        """Send what a record means to people, if anything."""
        body = record.body
        if record.kind == RecordKind.RUN_ENDED:
            self._end()
        elif self.only_changes:
            return
        elif record.kind == RecordKind.MOVE_STATE and body.get("state") == MoveState.DONE.value:
            self._send_moved(str(record.service))
        elif record.kind == RecordKind.MOVE_STATE and body.get("state") == MoveState.NEEDS_OPERATOR.value:
            self._send(self.language.say("{service} needs a person", service=record.service), self._status())
        elif (
            record.kind == RecordKind.RESULT
            and body.get("verdict") in WRONG
            and body.get("severity") == Severity.BLOCKER.value
        ):
            title = f"{body.get('subject')}: {self.language.say(BADGES[str(body['verdict'])])}"
            self._send(title, f"{self.language.say(str(body.get('sentence')))}\n{self.language.text_of(body)}")

    def stop(self) -> None:
        """Send that a run ends without its last record."""
        if not self.ended and not self.only_changes:
            self._send(self.language.say("{command} stopped before its end", command=self.command), self._status())

    def _send_moved(self, service: str) -> None:
        self.done += 1
        move = next((move for move in self.scope.moves if move.service == service), None)
        outage = self.run.journal.last(RecordKind.OUTAGE, service=service)
        places = f"{move.source} → {move.target}" if move else ""
        text = self.language.say("{done} of {all} moves are done", done=self.done, all=len(self.scope.moves))
        if outage:
            seconds = self.language.number(float(outage.body.get("seconds") or 0), 1)
            text += self.language.say("; outage {seconds} s", seconds=seconds)
        self._send(self.language.say("{service} was moved {places}", service=service, places=places), text)

    def _end(self) -> None:
        self.ended = True
        records = self.run.journal.records(run_id=self.run.id)
        rows = [{**record.body, "key": record.key} for record in records if record.kind == RecordKind.RESULT]
        scope: Mapping[str, Any] = next((record.body for record in records if record.kind == RecordKind.SCOPE), {})
        sentence = sentence_of(self.command, rows, scope, finished=True, language=self.language)
        if not self.only_changes:
            self._send(sentence, self._status())
            return
        since = since_last(self.run.journal, self.run.id)
        if since and since.changed:
            self._send(sentence, "\n".join(lines_of(since, self.language)))
        elif not since and any(row["verdict"] in WRONG for row in rows):
            self._send(sentence, self._status())

    def _status(self) -> str:
        return self.language.say("state of every move: {command}", command=self.scope.command("status"))

    def _send(self, title: str, text: str) -> None:
        self.sender.send(f"[{NAME} {self.scope.environment.environment}] {title}", text)


@contextmanager
def notify(
    scope: Scope, run: Run, command: str, *, apply: bool, console: Console, language: Language,
    messenger: Callable[[Mapping[str, str], Redactor], Messenger | None] = open_messenger,
) -> Iterator[None]:  # fmt: skip
    """Send messages about a run that changes hosts, or a validation, to the addresses in LONGSHORE_NOTIFY; nothing of
    it can fail the run.
    """
    wanted = notifies(command) is (Notifies.EVERY_STEP if apply else Notifies.CHANGES)
    carrier = messenger(os.environ, run.journal.redactor) if wanted else None
    if carrier is None:
        yield
        return
    teller = Notifier(carrier, run, scope, command, language)
    teller.start()
    run.watchers.append(teller.watch)
    try:
        yield
    finally:
        teller.stop()
        lost = carrier.close()
        if lost:
            figures = {"lost": lost, "wanted": carrier.wanted, "variable": VARIABLE}
            console.print(
                language.say("{lost} of {wanted} messages did not arrive. Check the addresses in {variable}", **figures)
            )
