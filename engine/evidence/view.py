"""What the page shows, computed from the journal's records: values only, no markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from engine.journal import Journal, Record
from engine.verdict import Severity, Verdict

WORDS: Final = {
    "prepare": "Preparation",
    "preflight": "Preflight",
    "migrate": "Migration",
    "validate": "Validation",
}
TALLY: Final = tuple(verdict.value for verdict in Verdict)
GOOD: Final = frozenset({Verdict.PASSED.value, Verdict.WAIVED.value})


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
    """Return the page of a run; one without its end record is shown as not finished."""
    records = journal.records(run_id=run_id)
    about = records[0].body
    rows = [{**r.body, "key": r.key, "at": r.at} for r in records if r.kind == "step"]
    ended = next((r for r in records if r.kind == "run_ended"), None)
    scope = _first(records, "scope")
    outages = _outages(journal, scope)
    verdict = _verdict(rows, finished=ended is not None)
    return Page(
        run_id=run_id,
        command=str(about["command"]),
        environment=str(about["environment"]),
        sentence=sentence_of(str(about["command"]), rows, scope, finished=ended is not None),
        verdict=verdict,
        finished=ended is not None,
        about=about,
        scope=scope,
        started_at=datetime.fromisoformat(records[0].at),
        ended_at=datetime.fromisoformat(records[-1].at),
        tally={word: count for word in TALLY if (count := sum(row["verdict"] == word for row in rows))},
        decisions=tuple(row for row in rows if row["verdict"] not in GOOD | {Verdict.PLANNED.value}),
        groups=_groups(rows, scope),
        services=_services(rows, scope, outages, journal),
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


def _verdict(rows: Sequence[Mapping[str, Any]], *, finished: bool) -> str:
    """Return the worst verdict that counts; a run that was killed is UNKNOWN at best."""
    blocking = Counter(str(row["verdict"]) for row in rows if row["severity"] == Severity.BLOCKER.value)
    for worst in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.WAITING, Verdict.NOT_RUN):
        if blocking[worst.value]:
            return str(worst.value)
    if not finished or not rows:
        return Verdict.UNKNOWN.value
    return Verdict.PLANNED.value if blocking[Verdict.PLANNED.value] else Verdict.PASSED.value


def sentence_of(command: str, rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any], *, finished: bool) -> str:
    """Return the verdict as one sentence in words."""
    services = len(scope.get("moves") or ())
    what = f"{WORDS.get(command, command.capitalize())} of {services} service{'' if services == 1 else 's'}"
    good = sum(row["verdict"] in GOOD for row in rows)
    share = f"{good} of {len(rows)} steps passed"
    if not finished:
        return f"{what} did not finish: {share} before the run was cut off"
    verdict = _verdict(rows, finished=True)
    if verdict == Verdict.PLANNED.value:
        return f"Dry run. {what} was only described: no host was changed"
    if verdict == Verdict.PASSED.value:
        warnings = len(rows) - good
        return f"{what} passed: {share}" + (f", {warnings} with a warning" if warnings else "")
    if verdict == Verdict.FAILED.value:
        bad = sum(row["verdict"] == verdict for row in rows)
        return f"{what} failed: {bad} of {len(rows)} steps failed"
    return f"{what} is incomplete: {share}; the others could not be looked at or did not run"


def _groups(rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any]) -> tuple[Group, ...]:
    moves = {move["service"]: move for move in scope.get("moves") or ()}
    groups = []
    for subject in dict.fromkeys(row["subject"] for row in rows):
        mine = tuple(row for row in rows if row["subject"] == subject)
        move = moves.get(subject)
        about = f"{move['source']} → {move['target']}, {move['wave']}" if move else "host"
        groups.append(Group(subject, "service" if move else "host", about, mine, _verdict(mine, finished=True)))
    return tuple(groups)


def _services(
    rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any], outages: Mapping[str, Any], journal: Journal
) -> tuple[Mapping[str, Any], ...]:
    services = []
    for move in scope.get("moves") or ():
        mine = [row for row in rows if row["service"] == move["service"]]
        services.append(
            {
                **move,
                "outage": outages.get(move["service"]),
                "state": journal.move_state(move["service"]).replace("_", " "),
                "verdict": _verdict(mine, finished=True),
                "passed": sum(row["verdict"] in GOOD for row in mine),
                "steps": len(mine),
                "stand_in": move["service"] in (scope.get("stand_ins") or ()),
            }
        )
    return tuple(services)


def _outages(journal: Journal, scope: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the newest measured outage of each service, from whichever run measured it."""
    wanted = {move["service"] for move in scope.get("moves") or ()}
    return {str(r.service): r.body for r in journal.records(kind="outage") if r.service in wanted}


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
