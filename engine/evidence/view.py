"""What the page shows, computed from the journal's records: values only, no markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from jinja2 import UndefinedError

from engine.errors import InputError
from engine.evidence.sentence import GOOD, altered_sentence, sentence_of, verdict_of
from engine.journal import Journal, Record, chain_problems
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
class Bar:
    """One deed on the timeline, in seconds since the run began."""

    service: str
    key: str
    start_s: float
    end_s: float
    ok: bool


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    run_id: str
    command: str
    environment: str
    sentence: str
    verdict: str
    finished: bool
    altered: tuple[str, ...]
    about: Mapping[str, Any]
    scope: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime
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
    chain_head: str
    redacted: int
    rows: int = field(default=0)

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
        raise InputError(f"run {run_id}: not in the journal. Expected: a run's id. Try: nox -s report -- latest")
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
    shown = {r.run_id for kind in ("outage", "move_state") for r in journal.records(kind=kind, until=records[-1].seq)} - {records[0].run_id}
    for run_id in sorted(shown):
        yield from chain_problems(journal.records(run_id=run_id))


def _page(journal: Journal, records: Sequence[Record], altered: tuple[str, ...]) -> Page:
    about = records[0].body
    command = str(about["command"])
    rows = [{**r.body, "key": r.key, "at": r.at} for r in records if r.kind == "step"]
    ended = next((r for r in records if r.kind == "run_ended"), None)
    scope = _first(records, "scope")
    until = records[-1].seq
    outages = _outages(journal, scope, until)
    return Page(
        run_id=records[0].run_id,
        command=command,
        environment=str(about["environment"]),
        sentence=altered_sentence(command, scope) if altered else sentence_of(command, rows, scope, finished=ended is not None),
        verdict=Verdict.FAILED.value if altered else verdict_of(rows, finished=ended is not None),
        finished=ended is not None,
        altered=altered,
        about=about,
        scope=scope,
        started_at=datetime.fromisoformat(records[0].at),
        ended_at=datetime.fromisoformat(records[-1].at),
        tally={word: count for word in TALLY if (count := sum(row["verdict"] == word for row in rows))},
        decisions=tuple(row for row in rows if row["verdict"] not in GOOD | {Verdict.PLANNED.value}),
        groups=_groups(rows, scope),
        services=_services(rows, scope, outages, journal, until),
        hosts=tuple(r.body for r in records if r.kind == "host"),
        bars=_bars(records),
        outages=outages,
        fingerprints=_fingerprints(records),
        logs=tuple(r.body for r in records if r.kind == "log"),
        tables=tuple(r.body for r in records if r.kind == "table"),
        not_applicable=tuple(str(r.body["text"]) for r in records if r.kind == "not_applicable"),
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


def _services(
    rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any], outages: Mapping[str, Any], journal: Journal, until: int
) -> tuple[Mapping[str, Any], ...]:
    services = []
    for move in scope.get("moves") or ():
        mine = [row for row in rows if row["service"] == move["service"]]
        services.append(
            {
                **move,
                "outage": outages.get(move["service"]),
                "state": journal.move_state(move["service"], until=until).replace("_", " "),
                "verdict": verdict_of(mine, finished=True),
                "passed": sum(row["verdict"] in GOOD for row in mine),
                "steps": len(mine),
                "stand_in": move["service"] in (scope.get("stand_ins") or ()),
            }
        )
    return tuple(services)


def _outages(journal: Journal, scope: Mapping[str, Any], until: int) -> dict[str, Mapping[str, Any]]:
    """Return the newest measured outage of each service, from whichever run had measured it by then."""
    wanted = {move["service"] for move in scope.get("moves") or ()}
    return {str(r.service): r.body for r in journal.records(kind="outage", until=until) if r.service in wanted}


def _bars(records: Sequence[Record]) -> tuple[Bar, ...]:
    begin = datetime.fromisoformat(records[0].at)
    begun: dict[tuple[str, str], float] = {}
    bars = []
    for record in records:
        place = (record.service or "", record.key or "")
        since = (datetime.fromisoformat(record.at) - begin).total_seconds()
        if record.kind == "intent":
            begun[place] = since
        elif record.kind == "outcome" and place in begun:
            bars.append(Bar(*place, begun.pop(place), since, bool(record.body.get("ok"))))
    return tuple(bars)


def _fingerprints(records: Sequence[Record]) -> tuple[Mapping[str, Any], ...]:
    """Return the last fingerprint of each service and moment, with parts but without single names."""
    newest = {(r.service, r.body["moment"]): r.body for r in records if r.kind == "fingerprint"}
    return tuple(newest.values())
