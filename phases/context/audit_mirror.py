"""The second copy of the journal: what concerns a move is written into the audit logs of its two hosts as well.

A lost laptop must not lose the migration. An action's intent is on disk on both hosts before the action, and with it
all that was recorded since the last one; if either can't be written the action does not follow. What comes after an
action never blocks an undo: a host that does not answer gets it later, with the next record or at the end
of the run.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from engine.errors import (
    ActionError,
    ChainConflictError,
    DeadlineError,
    JournalError,
    LockLostError,
    LongshoreError,
    NotObservedError,
    UnreachableError,
)
from engine.journal.journal import Record, Run
from engine.journal.kinds import RecordKind
from engine.saga.patience import Patience
from engine.verdict import Effect

MIRRORED: Final = frozenset(
    {
        RecordKind.INTENT,
        RecordKind.NOTE,
        RecordKind.OUTCOME,
        RecordKind.UNDO_INTENT,
        RecordKind.UNDO_OUTCOME,
        RecordKind.MOVE_STATE,
        RecordKind.FINGERPRINT,
        RecordKind.OUTAGE,
        RecordKind.SOURCE_VERIFIED,
        RecordKind.PLAN_FROZEN,
        RecordKind.REPOINTED,
        RecordKind.REPOINT_STARTED,
    }
)
SENT_FIRST: Final = frozenset({RecordKind.INTENT, RecordKind.NOTE})
"""What is on disk on the hosts before the next change of one."""
SENT_SOON: Final = frozenset({RecordKind.UNDO_INTENT, RecordKind.MOVE_STATE})
LARGEST: Final = 1 << 20
"""A fingerprint beyond this many bytes goes without the names of single things: parts, counts and digests are enough to
compare.
"""

Line = Mapping[str, Any]
Append = Callable[[str, Sequence[Line]], None]


@dataclass
class AuditMirror:
    """A run that writes records of a move to its hosts too. `append` writes lines durably into a host's audit log."""

    run: Run
    about: Mapping[str, str]
    hosts_of: Mapping[str, tuple[str, ...]]
    append: Append
    patience: Patience = field(default_factory=Patience)
    _waiting: dict[str, list[Line]] = field(default_factory=dict, init=False)
    _silent: set[str] = field(default_factory=set, init=False)
    _one: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)
    """Actions side by side write to the same hosts: what waits for one is sent once."""

    @property
    def id(self) -> str:
        """Return the run's id."""
        return self.run.id

    def record(
        self,
        kind: str,
        *,
        service: str | None = None,
        key: str | None = None,
        body: Mapping[str, Any],
        at: datetime | None = None,
    ) -> Record:
        """Append one record to the journal, then to the hosts of its move; raises what keeps an action from
        being done.
        """
        with self._one:
            if kind == RecordKind.MOVE_STATE:
                # A run that lost its lock learns of it before it writes the state of a move, in a journal that both may
                # share
                self._try_to_send([host for host in self.hosts_of.get(service or "", ()) if host not in self._silent])
            try:
                record = self.run.record(kind, service=service, key=key, body=body, at=at)
            except ChainConflictError:
                raise
            except JournalError:
                self._keep_on_hosts(self.run.draft(kind, service=service, key=key, body=body, at=at))
                raise
            self._pass_on(record)
        return record

    def _keep_on_hosts(self, record: Record) -> None:
        """Let the hosts have what the journal did not take: their audit logs are then the record. No intent: nothing
        follows it.
        """
        if record.kind not in SENT_FIRST:
            self._pass_on(record)
            self._try_to_send(self.hosts_of.get(record.service or "", ()) if record.kind in MIRRORED else ())

    def _pass_on(self, record: Record) -> None:
        kind = record.kind
        hosts = self.hosts_of.get(record.service or "", ()) if kind in MIRRORED else ()
        for host in hosts:
            self._waiting.setdefault(host, []).append(line_of(record, self.about))
        if kind in SENT_FIRST and record.body.get("effect") != Effect.READ_ONLY.value:
            self._send(hosts)
        elif kind in SENT_SOON:
            self._try_to_send([host for host in hosts if host not in self._silent])

    def close(self) -> None:
        """Write what is left, and the heads of the run's chains, to all hosts; say which did not take it."""
        try:
            heads = {**self.about, "run_id": self.id, "heads": self.run.journal.heads(self.id)}
        except LongshoreError as silent:
            print(f"the end of this run is missing in the audit logs of its hosts: {silent}", file=sys.stderr)
            return
        hosts = dict.fromkeys(host for pair in self.hosts_of.values() for host in pair)
        for host in hosts:
            self._waiting.setdefault(host, []).append(heads)
        for host, error in self._attempt(hosts).items():
            print(f"the end of this run is missing in the audit log of {host}: {error}", file=sys.stderr)

    def _send(self, hosts: Iterable[str]) -> None:
        """Write to all hosts, again for a while to those that do not answer: an action must not fail for the moment of
        a cut.
        """
        self.patience.repeat(partial(self._send_once, tuple(hosts)))

    def _send_once(self, hosts: Iterable[str]) -> None:
        failed = self._attempt(hosts)
        for error in sorted(failed.values(), key=lambda one: not isinstance(one, LockLostError)):
            answered = isinstance(error, NotObservedError) and not isinstance(error, UnreachableError | DeadlineError)
            if answered:  # a full disk is seen: the action fails, and is undone
                raise ActionError(str(error)) from None
            raise error

    def _try_to_send(self, hosts: Iterable[str]) -> None:
        failed = self._attempt(hosts)
        self._silent |= set(failed)
        for error in failed.values():
            if not isinstance(error, NotObservedError):
                raise error

    def _attempt(self, hosts: Iterable[str]) -> dict[str, LongshoreError]:
        """Write what waits to each host, at the same time; return the error of each that did not take it."""
        wanted = [host for host in hosts if self._waiting.get(host)]
        with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
            answers = dict(zip(wanted, pool.map(self._append, wanted), strict=True))
        return {host: error for host, error in answers.items() if error}

    def _append(self, host: str) -> LongshoreError | None:
        try:
            self.append(host, self._waiting[host])
        except LongshoreError as error:
            return error
        self._waiting[host] = []
        self._silent.discard(host)
        return None


def line_of(record: Record, about: Mapping[str, str]) -> Line:
    """Return a record as a line of an audit log; it has passed the redactor, as everything in the journal."""
    content = record.as_json()
    if record.kind == RecordKind.FINGERPRINT and len(json.dumps(content)) > LARGEST:
        parts = {
            name: {key: value for key, value in part.items() if key != "names"}
            for name, part in record.body["parts"].items()
        }
        return {**about, "record": {**content, "body": {**record.body, "parts": parts}}, "shortened": True}
    return {**about, "record": content}
