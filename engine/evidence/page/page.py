"""What the page shows, computed from the journal's records: values only, no markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from engine.command_line import ANY, typed_command
from engine.contracts.move_state import MoveState
from engine.contracts.phase import DIFF_FIRST, WRITING_PHASES
from engine.errors import InputError
from engine.evidence.facts.action_log import Bar, Course, bars_of, courses_of
from engine.evidence.facts.move_summary import MoveSummary, standing_of
from engine.evidence.facts.record_reader import Reader
from engine.evidence.facts.run_diff import Since, previous_run, since_of
from engine.evidence.facts.signoffs import Approved, Paper, approved_of, papers_of
from engine.evidence.headline import FINE, altered_sentence, sentence_of, verdict_of, warns
from engine.evidence.next_steps import following_command, next_command
from engine.evidence.seal.tampering import BACKUP, altered_in, drawable
from engine.finding import Finding, finding_of, lines_of, say
from engine.i18n.language import ENGLISH, ORIGINAL, Language, language_of
from engine.journal.journal import Record, chain_problems
from engine.journal.kinds import RecordKind
from engine.sharding.merged_run import counted
from engine.verdict import Verdict

__all__ = ["BACKUP", "Group", "Page", "drawable", "view_of"]

TALLY: Final = tuple(verdict.value for verdict in Verdict)


@dataclass(frozen=True)
class Group:
    """The rows of one subject: a host, a service, or the run as a whole."""

    subject: str
    kind: str  # host | service | all
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
    graphs: tuple[Mapping[str, Any], ...]
    not_applicable: tuple[str, ...]
    notices: tuple[str, ...]
    chain_head: str
    redacted: int
    rows: int = field(default=0)
    language: Language = ENGLISH
    approved: Approved | None = None
    since: Since | None = None
    papers: tuple[Paper, ...] = ()

    @property
    def causes(self) -> tuple[Mapping[str, Any], ...]:
        """Return what needs a decision; steps that did not run because of others only when there are no others."""
        return tuple(row for row in self.decisions if row["verdict"] != Verdict.NOT_RUN.value) or self.decisions

    @property
    def consequences(self) -> int:
        """Return how many steps did not run because of others."""
        return len(self.decisions) - len(self.causes)

    @property
    def warnings(self) -> int:
        """Return how many steps did not pass and only warn."""
        return sum(map(warns, self.decisions))

    @property
    def diff_first(self) -> bool:
        """Return whether the page shows first what changed since the last run."""
        return self.command in DIFF_FIRST

    @property
    def duration_s(self) -> float:
        """Return how long the run took."""
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def courses(self) -> tuple[Course, ...]:
        """Return how each move went."""
        return courses_of(self.bars)


def view_of(
    journal: Reader, run_id: str, language: Language | None = None, others_altered: tuple[str, ...] | None = None
) -> Page:
    """Return the page of a run in `language`, else in the one that the run was started in.

    A run without its end record is shown as not finished, an altered one as altered; `others_altered` is what was wrong
    with the chains of the other runs that it shows, None where they are whole and are looked at here. Raises InputError
    for a run that is not in the journal, and for one altered so far that there is no page to draw.
    """
    records = journal.records(run_id=run_id)
    if not records:
        raise InputError(
            say(
                "run {run_id}: not in the journal. Expected: a run's id. Try: {command}",
                run_id=run_id,
                command=typed_command("report", "latest", environment=ANY),
            )
        )
    own = tuple(chain_problems(records))
    with drawable(own):
        earlier, approved = previous_run(journal, records), approved_of(journal, records)
        moves = _first(records, RecordKind.SCOPE).get("moves") or ()
        standing = {str(move["service"]): standing_of(journal, str(move["service"]), records[-1].seq) for move in moves}
        others = set[str]().union(*(one.runs for one in standing.values()))
    others |= {earlier} if earlier else set()
    others |= {approved.run_id} if approved else set()
    altered = own + (tuple(altered_in(journal, others - {run_id})) if others_altered is None else others_altered)
    with drawable(altered):
        chosen = language or language_of(str(records[0].body.get("lang") or ORIGINAL))
        page = _page(
            counted([record for record in records if "unreadable" not in record.body]), standing, altered, chosen
        )
        page = replace(page, chain_head=records[-1].hash)
        return replace(
            page, approved=approved, since=since_of(journal.records(run_id=earlier), records) if earlier else None
        )


def _page(
    records: Sequence[Record], standing: Mapping[str, MoveSummary], altered: tuple[str, ...], language: Language
) -> Page:
    about = records[0].body
    command = str(about["command"])
    rows = [_row(record, language) for record in records if record.kind == RecordKind.RESULT]
    ended = next((r for r in records if r.kind == RecordKind.RUN_ENDED), None)
    scope = _first(records, RecordKind.SCOPE)
    dry_run = _is_dry_run(records, rows)
    verdict = Verdict.FAILED.value if altered else verdict_of(rows, finished=ended is not None)
    whole = sentence_of(command, rows, scope, finished=ended is not None, dry_run=dry_run, language=language)
    return Page(
        run_id=records[0].run_id,
        command=command,
        environment=str(about["environment"]),
        sentence=altered_sentence(command, scope, language) if altered else whole,
        verdict=verdict,
        following=following_command(about, verdict),
        finished=ended is not None,
        dry_run=dry_run,
        altered=altered,
        about=about,
        scope=scope,
        started_at=datetime.fromisoformat(records[0].at),
        ended_at=datetime.fromisoformat(max(record.at for record in records)),
        started_offset_s=about.get("utc_offset_s"),
        ended_offset_s=(ended.body if ended else about).get("utc_offset_s", about.get("utc_offset_s")),
        tally={word: count for word in TALLY if (count := sum(row["verdict"] == word for row in rows))},
        decisions=_decisions(rows, about, standing, dry_run=dry_run),
        groups=_groups(
            rows, scope, {str(r.body["name"]) for r in records if r.kind == RecordKind.HOST_OBSERVED}, language
        ),
        services=_services(rows, scope, standing),
        hosts=tuple(r.body for r in records if r.kind == RecordKind.HOST_OBSERVED),
        bars=bars_of(records),
        outages={service: one.outage for service, one in standing.items() if one.outage},
        fingerprints=_fingerprints(records),
        logs=tuple(
            {**r.body, "title": language.text_of(r.body) or r.body["title"]}
            for r in records
            if r.kind == RecordKind.CONTAINER_LOG
        ),
        tables=tuple(_table(r.body, language) for r in records if r.kind == RecordKind.REPORT_TABLE),
        graphs=tuple(_graph(r.body, language) for r in records if r.kind == RecordKind.REPORT_GRAPH),
        not_applicable=tuple(
            language.text_of(r.body) for r in records if r.kind == RecordKind.STEP_SKIPPED and r.body["text"]
        ),
        notices=tuple(_notices(records, language)),
        chain_head=records[-1].hash,
        redacted=int(ended.body.get("redacted", 0)) if ended else 0,
        rows=len(rows),
        language=language,
        papers=tuple(papers_of(records)),
    )


def _row(record: Record, language: Language) -> dict[str, Any]:
    """Return a result as the page shows it; `foreign` where its text is in English in any language."""
    body, text, lines = record.body, finding_of(record.body), lines_of(record.body)
    return {
        **body,
        "key": record.key,
        "at": record.at,
        "number": record.number,
        "text": language.translate(text),
        "details": list(map(language.translate, lines)),
        "foreign": not isinstance(text, Finding),
        "foreign_details": not any(isinstance(line, Finding) for line in lines),
    }


def _table(body: Mapping[str, Any], language: Language) -> dict[str, Any]:
    rows = [[_cell(cell, language) for cell in row] for row in body["rows"]]
    return {**body, "title": _cell(body["title"], language), "rows": rows}


def _graph(body: Mapping[str, Any], language: Language) -> dict[str, Any]:
    lines = [{**line, "words": _cell(line["words"], language)} for line in body["lines"]]
    return {**body, "title": _cell(body["title"], language), "lines": lines}


def _cell(cell: Any, language: Language) -> Any:
    """Return a text of a table or graph in this language."""
    return language.text_of(cell) if isinstance(cell, Mapping) else cell


def _first(records: Sequence[Record], kind: str) -> Mapping[str, Any]:
    return next((record.body for record in records if record.kind == kind), {})


def _groups(
    rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any], hosts: set[str], language: Language
) -> tuple[Group, ...]:
    moves = {move["service"]: move for move in scope.get("moves") or ()}
    mine: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        mine.setdefault(str(row["subject"]), []).append(row)
    groups = []
    for subject, own in mine.items():
        move = moves.get(subject)
        about = f"{move['source']} → {move['target']}, {language.say(move['wave'])}" if move else ""
        kind = "service" if move else "host" if subject in hosts else "all"
        groups.append(Group(subject, kind, about, tuple(own), verdict_of(own, finished=True)))
    return tuple(groups)


def _is_dry_run(records: Sequence[Record], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether nothing could be changed: a changing phase without --apply that began no action."""
    about = records[0].body
    asked = about["command"] in WRITING_PHASES and not about.get("apply", "--apply" in about.get("argv", ()))
    planned = any(row["verdict"] == Verdict.PLANNED.value for row in rows)
    return (asked or planned) and not any(record.kind == RecordKind.INTENT for record in records)


def _decisions(
    rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any], standing: Mapping[str, MoveSummary], *, dry_run: bool
) -> tuple[Mapping[str, Any], ...]:
    """Return what is not fine, the blockers first, each with the command that follows once its cause is repaired."""
    states = {service: one.state for service, one in standing.items()}
    return tuple(
        {
            **row,
            "next": next_command(about, row, states.get(str(row["service"]), MoveState.PLANNED.value), dry_run=dry_run),
        }
        for row in sorted((row for row in rows if row["verdict"] not in FINE), key=lambda row: bool(warns(row)))
    )


def _notices(records: Sequence[Record], language: Language) -> Iterable[str]:
    """Yield what an approver should know at once: locks that were broken, what serves after an undo, and what is
    waived.
    """
    for record in records:
        body = record.body
        if record.kind == RecordKind.LOCK_BROKEN:
            about = {"host": body["host"], "holder": body["held_by"], "reason": body["reason"]}
            yield language.say("{host}: the lock owned by {holder} was broken: {reason}", **about)
        elif record.kind == RecordKind.HOST_LOST:
            yield language.say(
                "{host} was declared lost and was not contacted: {reason}", host=body["host"], reason=body["reason"]
            )
        elif record.kind == RecordKind.RECOVERED_HOST_STOPPED:
            about = {"host": body["host"], "label": body["label"], "number": body["stopped"]}
            yield language.say(
                "{host} was declared lost and is reachable again; {number} containers of {label} were stopped on it",
                **about,
            )
        elif record.kind == RecordKind.PLAN_CHANGE_IGNORED:
            services = ", ".join(map(str, body["services"]))
            yield language.say(
                "{services} continues with the plan it started with; later plan changes are ignored", services=services
            )
        elif record.kind == RecordKind.SOURCE_VERIFIED and body["ok"]:
            yield language.say("{service} after the undo: {text}", service=record.service, text=finding_of(body))
        elif record.kind == RecordKind.SOURCE_VERIFIED:
            yield language.say(
                "{service} after the undo: NOT proven to serve: {text}", service=record.service, text=finding_of(body)
            )
        elif record.kind == RecordKind.RESULT and body["verdict"] == Verdict.WAIVED.value:
            yield f"{body['subject']}, {record.key}: {language.text_of(body)}"


def _services(
    rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any], standing: Mapping[str, MoveSummary]
) -> tuple[Mapping[str, Any], ...]:
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
                "stand_in": move["service"] in (scope.get("simulated") or ()),
            }
        )
    return tuple(services)


def _fingerprints(records: Sequence[Record]) -> tuple[Mapping[str, Any], ...]:
    """Return the last fingerprint of each service and moment, with parts but without single names."""
    newest = {(r.service, r.body["moment"]): r.body for r in records if r.kind == RecordKind.FINGERPRINT}
    return tuple(newest.values())
