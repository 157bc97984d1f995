"""One run written by many shards: joined by its name, closed by the last of them, and counted only by what each did
last.

Each attempt of a shard is a writer with a chain of its own in the run's journal; the run's own chain begins it, and
ends it whenever all shards have ended. A shard that is run again replaces its earlier attempts; these stay on record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from engine.constants import NAME
from engine.contracts.step import StepResult
from engine.errors import ChainConflictError, InputError
from engine.finding import say
from engine.i18n.language import term
from engine.journal.journal import Journal, Run
from engine.journal.kinds import RecordKind
from engine.journal.record import Record
from engine.report_sections import Table
from engine.sharding.shard import Shard
from engine.verdict import Effect, ExitCode, Severity, Verdict, exit_code_of, unknown

SAME: Final = {
    "plan_digest": say("plan"),
    "asked": say("selection, inventory and waivers"),
    "version": say("version"),
    "commit": say("commit"),
}
"""What all shards of a run must have in common, and what each is called."""
OWN: Final = ("operator", "argv")
STEP: Final = "shard-ended"
SHOWN: Final = 12


@dataclass(frozen=True)
class Attempt:
    """One try of one shard: its chain's first and last record, its end, and how many rows it left."""

    shard: int
    number: int
    started: Record
    ended: Record | None
    last_at: str
    rows: int


@dataclass(frozen=True)
class Joined:
    """The state of a run of shards; `attempts` holds the newest of each shard that began."""

    first: Record
    attempts: Mapping[int, Attempt]

    @property
    def of(self) -> int:
        """Return how many shards the run has."""
        return int(self.first.body["shards"])

    @property
    def name(self) -> str:
        """Return the run's name."""
        return str(self.first.body["run_name"])

    @property
    def missing(self) -> tuple[int, ...]:
        """Return the shards that have no end on record."""
        return tuple(
            number
            for number in range(1, self.of + 1)
            if (one := self.attempts.get(number)) is None or one.ended is None
        )

    def why_missing(self, number: int) -> str:
        """Return what is known of a shard that has no end on record."""
        one = self.attempts.get(number)
        if one is None:
            return f"shard {number}/{self.of} never began"
        return (
            f"shard {number}/{self.of} never ended: it last wrote at {one.last_at[:19].replace('T', ' ')} UTC, "
            f"after {one.rows} rows"
        )


def is_joined(records: Sequence[Record]) -> bool:
    """Return whether these are the records of a run of shards."""
    return bool(records) and records[0].kind == RecordKind.RUN_STARTED and "shards" in records[0].body


def joined_of(records: Sequence[Record]) -> Joined:
    """Return the state of the run of shards that these records belong to."""
    ends = {record.writer: record for record in records if record.kind == RecordKind.SHARD_ENDED}
    last = {record.writer: record.at for record in records}
    rows = Counter(record.writer for record in records if record.kind == RecordKind.RESULT)
    newest: dict[int, Attempt] = {}
    for record in records:
        if record.kind == RecordKind.SHARD_STARTED:
            shard, number = int(record.body["shard"]), int(record.body["attempt"])
            if shard not in newest or newest[shard].number < number:
                newest[shard] = Attempt(
                    shard, number, record, ends.get(record.writer), last[record.writer], rows[record.writer]
                )
    return Joined(records[0], newest)


def run_id_of(environment: str, command: str, name: str) -> str:
    """Return the id of the run of a name: the same on every machine."""
    return str(uuid5(NAMESPACE_URL, f"{NAME}/{environment}/{command}/{name}"))


def join_run(journal: Journal, shard: Shard, about: Mapping[str, Any]) -> Run:
    """Return the chain of a new attempt of a shard; the shard that comes first starts the run.

    Raises InputError when the run of that name is another one, or is whole and has nothing left to run again.
    """
    run_id = run_id_of(str(about["environment"]), str(about["command"]), shard.run_name)
    records = journal.records(run_id=run_id) or _start(journal, run_id, shard, about)
    _refuse_other(records[0], shard, about)
    joined = joined_of(records)
    if _end_of(records, joined) and exit_code(records) is ExitCode.OK:
        raise InputError(
            f"--run-name {shard.run_name}: run of {records[0].at[:16].replace('T', ' ')} UTC is whole: all {shard.of} "
            "shards ended, and it passed. "
            "Expected: another name for another run"
        )
    attempt = joined.attempts[shard.number].number + 1 if shard.number in joined.attempts else 1
    body = {"shard": shard.number, **{name: about[name] for name in OWN}}
    while True:
        again = f", attempt {attempt}" if attempt > 1 else ""
        run = Run(journal, run_id, writer=f"shard {shard.text}{again}")
        try:
            run.record(RecordKind.SHARD_STARTED, body={**body, "attempt": attempt})
        except ChainConflictError:  # another process began the same attempt a moment ago
            attempt += 1
            continue
        return run


def _start(journal: Journal, run_id: str, shard: Shard, about: Mapping[str, Any]) -> list[Record]:
    with suppress(ChainConflictError):  # another shard was faster
        journal.start_run(run_id=run_id, **about, run_name=shard.run_name, shards=shard.of)
    return journal.records(run_id=run_id)


def _refuse_other(first: Record, shard: Shard, about: Mapping[str, Any]) -> None:
    other = [
        say(
            "{what} {body}, here {about}",
            what=what,
            body=str(first.body.get(name))[:SHOWN],
            about=str(about[name])[:SHOWN],
        )
        for name, what in SAME.items()
        if first.body.get(name) != about[name]
    ]
    if first.body.get("shards") != shard.of:
        other.append(say("{shards} shards, here {of}", shards=first.body.get("shards"), of=shard.of))
    if other:
        raise InputError(
            f"--run-name {shard.run_name}: the run of that name, begun {first.at[:16].replace('T', ' ')} UTC, is "
            f"another one: {'; '.join(other)}. "
            "Expected: the same files, flags and checkout in all shards. Give a new run another name"
        )


def end_shard(run: Run, verdict_counts: Mapping[str, int], code: ExitCode) -> Joined:
    """Record the end of a shard, and that of the run when no other shard is missing; return the state of the run."""
    body = {
        "verdict_counts": dict(verdict_counts), "exit_code": code.value, "exit_name": code.name,
        "chain_head": run.head, "redacted": run.journal.redactor.removed,
    }  # fmt: skip
    run.record(RecordKind.SHARD_ENDED, body=body)
    records = run.journal.records(run_id=run.id)
    joined = joined_of(records)
    if not joined.missing and _end_of(records, joined) is None:
        _close(run.journal, records, joined)
    return joined


def _close(journal: Journal, records: Sequence[Record], joined: Joined) -> None:
    """Write the end of a run into its own chain, unless another shard that ended at this moment has."""
    own = [record for record in records if not record.writer]
    whole = Run(journal, own[-1].run_id, head=own[-1].hash)
    whole.count = own[-1].number
    rows = [record for record in _of_newest(records, joined) if record.kind == RecordKind.RESULT]
    counts = Counter(str(record.body["verdict"]) for record in rows)
    redacted = sum(int(one.ended.body["redacted"]) for one in joined.attempts.values() if one.ended)
    with suppress(ChainConflictError):
        whole.finish(counts, _code_of(rows), redacted=redacted)


def _end_of(records: Sequence[Record], joined: Joined) -> Record | None:
    """Return the end of the run, written when all shards had ended; None when one is missing, or wrote after it."""
    newest = {one.started.writer for one in joined.attempts.values()}
    end = next((record for record in reversed(records) if record.kind == RecordKind.RUN_ENDED), None)
    last = max((record.seq for record in records if record.writer in newest), default=0)
    return end if end and not joined.missing and end.seq > last else None


def exit_code(records: Sequence[Record]) -> ExitCode:
    """Return the exit status of a run of shards: OK only when all have ended and what they saw is good."""
    return _code_of(record for record in counted(records) if record.kind == RecordKind.RESULT)


def _code_of(rows: Iterable[Record]) -> ExitCode:
    return exit_code_of((Verdict(row.body["verdict"]), Severity(row.body["severity"])) for row in rows)


def counted(records: Sequence[Record]) -> list[Record]:
    """Return what counts of a run's records, for drawing: of a run of shards the newest attempt of each, in order, with
    what is missing reported.

    The run's end is among them only when all shards have ended; then it is the last.
    """
    if not is_joined(records):
        return list(records)
    joined = joined_of(records)
    kept = [joined.first, *_of_newest(records, joined)]
    kept.sort(
        key=lambda record: record.kind == RecordKind.RESULT and bool(record.service)
    )  # what is about hosts first, as in a whole run
    kept += _missing(records, joined)
    if end := _end_of(records, joined):
        kept.append(end)
    return [replace(record, number=number) for number, record in enumerate(_merged(kept), start=1)]


def _of_newest(records: Sequence[Record], joined: Joined) -> Iterator[Record]:
    for _, attempt in sorted(joined.attempts.items()):
        yield from (record for record in records if record.writer == attempt.started.writer)


def _missing(records: Sequence[Record], joined: Joined) -> Iterator[Record]:
    """Yield a row for each shard without an end, for a run that nobody closed, and the table of the shards."""
    newest = records[-1]
    phase = str(joined.first.body["command"])
    for number in joined.missing:
        again = say(
            "Run it again: --shard {number}/{of} --run-name {name}", number=number, of=joined.of, name=joined.name
        )
        yield _made(
            newest,
            RecordKind.RESULT,
            STEP,
            _row(
                phase,
                f"shard {number}/{joined.of}",
                say("{why_missing}. {again}", why_missing=joined.why_missing(number), again=again),
            ),
        )
    if not joined.missing and _end_of(records, joined) is None:
        text = say(
            "all {of} shards ended, and none closed the run. Run any of them again: --shard 1/{of} --run-name {name}",
            of=joined.of,
            name=joined.name,
        )
        yield _made(newest, RecordKind.RESULT, STEP, _row(phase, "all", text))
    yield _made(newest, RecordKind.REPORT_TABLE, None, _table(joined).body())


def _made(like: Record, kind: str, key: str | None, body: Mapping[str, Any]) -> Record:
    """Return a record that is in no journal: what the others mean together."""
    return replace(like, kind=kind, service=None, key=key, body=body, hash="", previous="", writer="")


def _row(phase: str, subject: str, text: str) -> Mapping[str, Any]:
    sentence = term("Every shard of this run finished, so every check was run.")
    return StepResult(
        phase, STEP, sentence, subject, None, None, None, Effect.READ_ONLY, Severity.BLOCKER, unknown(text), 0.0
    ).body()


def _table(joined: Joined) -> Table:
    rows = []
    for number in range(1, joined.of + 1):
        one = joined.attempts.get(number)
        if one is None:
            rows.append((f"{number}/{joined.of}", "–", "–", "–", "–", "–", "UNKNOWN"))
            continue
        ended = one.ended.at[:19].replace("T", " ") if one.ended else "–"
        code = ExitCode[str(one.ended.body["exit_name"])] if one.ended else None
        verdict = (
            {ExitCode.OK: "PASSED", ExitCode.FAILED: "FAILED"}.get(code, "UNKNOWN") if code is not None else "UNKNOWN"
        )
        began = one.started.at[:19].replace("T", " ")
        rows.append(
            (
                f"{number}/{joined.of}",
                str(one.started.body["operator"]),
                str(one.number),
                began,
                ended,
                str(one.rows),
                verdict,
            )
        )
    return Table(
        term("Shards of this run"),
        ("shard", "run by", "attempt", "began (UTC)", "ended (UTC)", "rows", "verdict"),
        tuple(rows),
    )


def _merged(records: Sequence[Record]) -> Iterator[Record]:
    """Yield records with the parts of one table in one: each shard wrote the rows of its own hosts."""
    parts: dict[tuple[str, tuple[str, ...]], list[Record]] = {}
    for record in records:
        if record.kind == RecordKind.REPORT_TABLE:
            parts.setdefault(_name(record), []).append(record)
    for record in records:
        if record.kind != RecordKind.REPORT_TABLE:
            yield record
        elif parts[_name(record)][0] is record:
            yield replace(
                record,
                body={**record.body, "rows": [row for part in parts[_name(record)] for row in part.body["rows"]]},
            )


def _name(table: Record) -> tuple[str, tuple[str, ...]]:
    return str(table.body["title"]), tuple(table.body["columns"])
