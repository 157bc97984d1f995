"""Open, note and close incidents; each is a record of the environment's journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from engine.config.scope import Scope
from engine.constants import VERSION
from engine.errors import InputError
from engine.finding import say
from engine.journal.journal import Journal, Run
from engine.journal.kinds import RecordKind
from engine.run.options import Options
from engine.verdict import ExitCode
from engine.watch.incidents import Incident, IncidentSeverity, read_incidents
from hosts.local.operator import operator_name

ID_LENGTH: Final = 8
SHORTEST_ID: Final = 4


@dataclass(frozen=True)
class NewIncident:
    """What a person says about an incident; without `at` it begins now."""

    severity: IncidentSeverity
    service: str
    text: str
    ticket: str = ""
    reporter: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Incidents:
    """The incidents of one environment; each change is a run of its own, with one record."""

    journal: Journal
    options: Options
    scope: Scope

    def open(self, new: NewIncident) -> str:
        """Record an incident and return its id; raises InputError, and records nothing, for what does not fit."""
        now = self.journal.clock()
        at = new.at or now
        self._check(new)
        if new.at is not None:
            _need_watched_time(self.journal, at, now)
        run = self._start()
        key = run.id[:ID_LENGTH]
        run.record(
            RecordKind.INCIDENT_OPENED,
            service=new.service,
            key=key,
            body={
                "at": at.astimezone(UTC).isoformat(timespec="seconds"),
                "severity": new.severity.value,
                "text": new.text.strip(),
                "by": operator_name(),
                "ticket": new.ticket,
                "reporter": new.reporter.strip(),
            },
        )
        run.finish({}, ExitCode.OK)
        return key

    def _check(self, new: NewIncident) -> None:
        _need_text("open", new.text)
        if new.service not in self.scope.inventory.services:
            raise InputError(
                say(
                    "incident open: --service {service}: not in the inventory. Expected: one of {services}",
                    service=new.service,
                    services=", ".join(sorted(self.scope.inventory.services)),
                )
            )
        if new.ticket and (urlsplit(new.ticket).scheme not in {"http", "https"} or not urlsplit(new.ticket).netloc):
            raise InputError(
                say(
                    "incident open: --ticket {ticket}: no web address. Expected: https://…, or no --ticket",
                    ticket=new.ticket,
                )
            )

    def note(self, id_: str, text: str) -> Incident:
        """Record a note on an incident, open or closed, and return the incident as it was before."""
        _need_text("note", text)
        return self._continue(RecordKind.INCIDENT_NOTED, self.find(id_), text)

    def close(self, id_: str, text: str) -> Incident:
        """Record that an incident is over and return it as it was before; raises InputError for one that is closed."""
        _need_text("close", text)
        incident = self.find(id_)
        if incident.closed is not None:
            raise InputError(
                say(
                    "incident close: {id} was closed by {by} at {at}. To add to it: {command}",
                    id=incident.id,
                    by=incident.closed.by,
                    at=_words(incident.closed.at),
                    command=self.scope.command("incident", "note", incident.id, "--text", "TEXT"),
                )
            )
        return self._continue(RecordKind.INCIDENT_CLOSED, incident, text)

    def find(self, id_: str) -> Incident:
        """Return the incident of an id, or of its first characters; raises InputError for none and for several."""
        found = [one for one in read_incidents(self.journal) if len(id_) >= SHORTEST_ID and one.id.startswith(id_)]
        if len(found) == 1:
            return found[0]
        raise InputError(
            say(
                "incident {id}: {count} incidents of that id. Expected: the id of one, or its first {shortest} "
                "characters or more. Look: {command}",
                id=id_,
                count=len(found),
                shortest=SHORTEST_ID,
                command=self.scope.command("incident", "list"),
            )
        )

    def _continue(self, kind: RecordKind, incident: Incident, text: str) -> Incident:
        run = self._start()
        body = {"text": text.strip(), "by": operator_name()}
        run.record(kind, service=incident.service, key=incident.id, body=body)
        run.finish({}, ExitCode.OK)
        return incident

    def _start(self) -> Run:
        return self.journal.start_run(
            command="incident",
            environment=self.options.environment,
            plan_digest=self.scope.digest,
            operator=operator_name(),
            version=VERSION,
            argv=list(self.options.argv),
            apply=False,
        )


def _need_text(word: str, text: str) -> None:
    if not text.strip():
        raise InputError(say("incident {word}: --text: empty. Expected: what happened, in words", word=word))


def _need_watched_time(journal: Journal, at: datetime, now: datetime) -> None:
    """Refuse a time in the future, and one before anything was moved."""
    if at > now:
        raise InputError(
            say(
                "incident open: --at {at}: in the future. Expected: no later than {now}",
                at=_words(at),
                now=_words(now),
            )
        )
    moved = journal.records(kind=RecordKind.MOVE_STATE)
    if not moved:
        raise InputError(say("incident open: --at: no service was moved yet. Expected: no --at before the first move"))
    first = datetime.fromisoformat(moved[0].at)
    if at < first:
        raise InputError(
            say(
                "incident open: --at {at}: before the first move. Expected: no earlier than {first}",
                at=_words(at),
                first=_words(first),
            )
        )


def _words(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
