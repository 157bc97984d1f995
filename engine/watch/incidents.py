"""Incidents of a watch as the journal holds them: opened, noted, closed; never edited."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from engine.journal.kinds import RecordKind
from engine.journal.record import Record

KINDS: Final = (RecordKind.INCIDENT_OPENED, RecordKind.INCIDENT_NOTED, RecordKind.INCIDENT_CLOSED)


class IncidentSeverity(StrEnum):
    """How bad an incident is; critical and major ones restart the clock of the watch when they close."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"

    @property
    def restarts_clock(self) -> bool:
        """Return whether the watched hours begin again when it closes."""
        return self is not IncidentSeverity.MINOR


@dataclass(frozen=True)
class IncidentNote:
    """What one person added to an incident, and when."""

    at: datetime
    by: str
    text: str


@dataclass(frozen=True)
class Incident:
    """One incident. `at` is when it began, `closed` the note that closed it; times have a zone."""

    id: str
    at: datetime
    severity: IncidentSeverity
    service: str
    text: str
    by: str
    ticket: str = ""
    reporter: str = ""
    notes: tuple[IncidentNote, ...] = ()
    closed: IncidentNote | None = None

    @property
    def is_open(self) -> bool:
        """Return whether nobody has closed it."""
        return self.closed is None


class Records(Protocol):
    """Where records come from: the journal, or the folder of a run."""

    def records(
        self,
        *,
        run_id: str | None = None,
        kind: str | Collection[str] | None = None,
        service: str | None = None,
        until: int | None = None,
    ) -> list[Record]:
        """Return records in the order in which they were written."""


def read_incidents(journal: Records, until: datetime | None = None) -> tuple[Incident, ...]:
    """Return all incidents in the order in which they began; `until` leaves out what was recorded after that moment."""
    found: dict[str, Incident] = {}
    for record in journal.records(kind=KINDS):
        if until is not None and datetime.fromisoformat(record.at) > until:
            continue
        key = str(record.key)
        if record.kind == RecordKind.INCIDENT_OPENED:
            found[key] = _opened(key, record)
        elif key in found:
            found[key] = _continued(found[key], record)
    return tuple(sorted(found.values(), key=lambda one: (one.at, one.id)))


def _opened(key: str, record: Record) -> Incident:
    body = record.body
    return Incident(
        key,
        datetime.fromisoformat(body["at"]),
        IncidentSeverity(body["severity"]),
        str(record.service),
        body["text"],
        body["by"],
        body["ticket"],
        body["reporter"],
    )


def _continued(incident: Incident, record: Record) -> Incident:
    note = IncidentNote(datetime.fromisoformat(record.at), record.body["by"], record.body["text"])
    if record.kind == RecordKind.INCIDENT_CLOSED:
        return replace(incident, closed=note)
    return replace(incident, notes=(*incident.notes, note))
