"""What the page shows, computed from the journal's records: values only, no markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from jinja2 import UndefinedError

from engine.errors import InputError
from engine.evidence.advice import following_command, next_command
from engine.evidence.deeds import Bar, bars_of
from engine.evidence.sentence import FINE, altered_sentence, sentence_of, verdict_of, warns
from engine.evidence.standing import Standing, standing_of
from engine.journal import Journal, Record, chain_problems
from engine.phases import WRITING_PHASES
from engine.verdict import Verdict

TALLY: Final = tuple(verdict.value for verdict in Verdict)
BACKUP: Final = "keep the file as it is, and compare it with a copy taken earlier (a backup, or the journal.jsonl of that run's folder)"


@dataclass(frozen=True)
class Group:
    """The rows of one subject: a host or a service."""

    subject: str
    kind: str  # host | service
    about: str
    rows: tuple[Mapping[str, Any], ...]
    verdict: str


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    run_id: str
    command: str
    environment: str
    sentence: str
    verdict: str
    following: str
    finished: bool
    dry_run: bool
    altered: tuple[str, ...]
    about: Mapping[str, Any]
    scope: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime
    started_offset_s: int | None
    ended_offset_s: int | None
    tally: Mapping[str, int]
    decisions: tuple[Mapping[str, Any], ...]
    groups: tuple[Group, ...]
    services: tuple[Mapping[str, Any], ...]
    hosts: tuple[Mapping[str, Any], ...]
    bars: tuple[Bar, ...]
    outages: Mapping[str, Mapping[str, Any]]
    fingerprints: tuple[Mapping[str, Any], ...]
    logs: tuple[Mapping[str, Any], ...]
    tables: tuple[Mapping[str, Any], ...]
    not_applicable: tuple[str, ...]
    notices: tuple[str, ...]
    chain_head: str
    redacted: int
    rows: int = field(default=0)

    @property
    def warnings(self) -> int:
        """Return how many steps did not pass and only warn."""
        return sum(map(warns, self.decisions))

    @property
    def duration_s(self) -> float:
        """Return how long the run took."""
        return (self.ended_at - self.started_at).total_seconds()


def view_of(journal: Journal, run_id: str) -> Page:
    """Return the page of a run; one without its end record is shown as not finished, an altered one as altered.

    Raises InputError for a run that is not in the journal, and for one altered so far that there is no page to draw.
    """
    records = journal.records(run_id=run_id)
    if not records:
        raise InputError(f"run {run_id}: not in the journal. Expected: a run's id. Try: nox -s report -- latest --environment NAME")
    altered = tuple(_altered(journal, records))
    with drawable(altered):
        return _page(journal, [record for record in records if "unreadable" not in record.body], altered)


@contextmanager
def drawable(altered: Sequence[str]) -> Iterator[None]:
    """Turn what goes wrong while an altered run is drawn into one InputError; in a whole one it is a defect of ours."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, UndefinedError) as error:
        if not altered:
            raise
        raise InputError(f"{'; '.join(altered)}. Expected: what longshore wrote. No page can be drawn: {BACKUP}") from error


def _altered(journal: Journal, records: Sequence[Record]) -> Iterable[str]:
    """Yield what is wrong with the chain of a run, and with those of earlier runs whose records its page shows."""
    yield from chain_problems(records)
    moves = _first(records, "scope").get("moves") or ()
    standing = [standing_of(journal, str(move["service"]), records[-1].seq) for move in moves]
    for run_id in sorted({run for one in standing for run in one.runs} - {records[0].run_id}):
        yield from chain_problems(journal.records(run_id=run_id))


def _page(journal: Journal, records: Sequence[Record], altered: tuple[str, ...]) -> Page:
    about = records[0].body
    command = str(about["command"])
    rows = [{**r.body, "key": r.key, "at": r.at} for r in records if r.kind == "step"]
    ended = next((r for r in records if r.kind == "run_ended"), None)
    scope = _first(records, "scope")
    standing = {str(move["service"]): standing_of(journal, str(move["service"]), records[-1].seq) for move in scope.get("moves") or ()}
    dry_run = _is_dry_run(records, rows)
    verdict = Verdict.FAILED.value if altered else verdict_of(rows, finished=ended is not None)
    return Page(
        run_id=records[0].run_id,
        command=command,
        environment=str(about["environment"]),
        sentence=altered_sentence(command, scope) if altered else sentence_of(command, rows, scope, finished=ended is not None, dry_run=dry_run),
        verdict=verdict,
        following=following_command(about, verdict),
        finished=ended is not None,
        dry_run=dry_run,
        altered=altered,
        about=about,
        scope=scope,
        started_at=datetime.fromisoformat(records[0].at),
        ended_at=datetime.fromisoformat(records[-1].at),
        started_offset_s=about.get("utc_offset_s"),
        ended_offset_s=(ended.body if ended else about).get("utc_offset_s", about.get("utc_offset_s")),
        tally={word: count for word in TALLY if (count := sum(row["verdict"] == word for row in rows))},
        decisions=_decisions(rows, about, standing, dry_run=dry_run),
        groups=_groups(rows, scope),
        services=_services(rows, scope, standing),
        hosts=tuple(r.body for r in records if r.kind == "host"),
        bars=bars_of(records),
        outages={service: one.outage for service, one in standing.items() if one.outage},
        fingerprints=_fingerprints(records),
        logs=tuple(r.body for r in records if r.kind == "log"),
        tables=tuple(r.body for r in records if r.kind == "table"),
        not_applicable=tuple(str(r.body["text"]) for r in records if r.kind == "not_applicable"),
        notices=tuple(_notices(records)),
        chain_head=records[-1].hash,
        redacted=int(ended.body.get("redacted", 0)) if ended else 0,
        rows=len(rows),
    )


def _first(records: Sequence[Record], kind: str) -> Mapping[str, Any]:
    return next((record.body for record in records if record.kind == kind), {})


def _groups(rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any]) -> tuple[Group, ...]:
    moves = {move["service"]: move for move in scope.get("moves") or ()}
    groups = []
    for subject in dict.fromkeys(row["subject"] for row in rows):
        mine = tuple(row for row in rows if row["subject"] == subject)
        move = moves.get(subject)
        about = f"{move['source']} → {move['target']}, {move['wave']}" if move else "host"
        groups.append(Group(subject, "service" if move else "host", about, mine, verdict_of(mine, finished=True)))
    return tuple(groups)


def _is_dry_run(records: Sequence[Record], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether nothing could be changed: a changing phase without --apply that began no deed."""
    about = records[0].body
    asked = about["command"] in WRITING_PHASES and not about.get("apply", "--apply" in about.get("argv", ()))
    planned = any(row["verdict"] == Verdict.PLANNED.value for row in rows)
    return (asked or planned) and not any(record.kind == "intent" for record in records)


def _decisions(
    rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any], standing: Mapping[str, Standing], *, dry_run: bool
) -> tuple[Mapping[str, Any], ...]:
    """Return what is not fine, each with the command that follows once its cause is mended."""
    states = {service: one.state for service, one in standing.items()}
    return tuple(
        {**row, "next": next_command(about, row, states.get(str(row["service"]), "planned"), dry_run=dry_run)}
        for row in rows
        if row["verdict"] not in FINE
    )


def _notices(records: Sequence[Record]) -> Iterable[str]:
    """Yield what an approver should know and no step says: locks that were broken, and what serves after an undo."""
    for record in records:
        body = record.body
        if record.kind == "lock_broken":
            yield f"{body['host']}: the lock held by {body['held_by']} was broken: {body['reason']}"
        elif record.kind == "source_proof":
            yield f"{record.service} after the undo: {'' if body['ok'] else 'NOT proven to serve: '}{body['text']}"


def _services(rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any], standing: Mapping[str, Standing]) -> tuple[Mapping[str, Any], ...]:
    services = []
    for move in scope.get("moves") or ():
        mine, stood = [row for row in rows if row["service"] == move["service"]], standing[move["service"]]
        services.append(
            {
                **move,
                "outage": stood.outage,
                "copied_bytes": stood.copied_bytes,
                "state": stood.state,
                "verdict": verdict_of(mine, finished=True),
                "passed": sum(row["verdict"] == Verdict.PASSED.value for row in mine),
                "steps": len(mine),
                "stand_in": move["service"] in (scope.get("stand_ins") or ()),
            }
        )
    return tuple(services)


def _fingerprints(records: Sequence[Record]) -> tuple[Mapping[str, Any], ...]:
    """Return the last fingerprint of each service and moment, with parts but without single names."""
    newest = {(r.service, r.body["moment"]): r.body for r in records if r.kind == "fingerprint"}
    return tuple(newest.values())
