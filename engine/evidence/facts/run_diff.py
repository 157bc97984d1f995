"""What changed since the previous run of the same phase: new and fixed problems, slower steps, and what drifted without
a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from engine.evidence.facts.record_reader import Reader
from engine.evidence.headline import FINE
from engine.i18n.language import term
from engine.journal.journal import Record
from engine.journal.kinds import RecordKind
from engine.sharding.merged_run import counted

SLOWER_TIMES: Final = 2.0
SLOWER_S: Final = 5.0
"""A step is slower when it takes twice as long and at least five seconds more: less is noise."""

ABOUT: Final = {"plan_digest": term("plan"), "version": term("version"), "commit": term("commit")}
HOST: Final = {
    "address": term("address"),
    "ssh_key_fingerprint": term("SSH host key"),
    "os": term("system"),
    "kernel": term("kernel"),
    "docker_version": term("Docker"),
}
SHOWN: Final = 24
"""So much of a digest is shown."""


@dataclass(frozen=True)
class Drift:
    """One thing that is not what it was: whose, what, its value then and now."""

    subject: str
    what: str
    before: str
    now: str


@dataclass(frozen=True)
class Since:
    """The differences to the previous run that asked the same."""

    run_id: str
    at: datetime
    new: tuple[Mapping[str, Any], ...] = ()
    still: tuple[Mapping[str, Any], ...] = ()
    fixed: tuple[Mapping[str, Any], ...] = ()
    slower: tuple[tuple[Mapping[str, Any], float], ...] = ()
    """Each with how long it took before."""
    drift: tuple[Drift, ...] = ()

    @property
    def changed(self) -> bool:
        """Return whether the difference is worth a report: unchanged results are not."""
        return bool(self.new or self.fixed or self.slower or self.drift)


def previous_run(journal: Reader, records: Sequence[Record]) -> str | None:
    """Return the newest earlier run of the same phase that ran to its end and looked at least at one of the same
    services; None for the first.
    """
    about, until = records[0].body, records[0].seq - 1
    ended = {record.run_id for record in journal.records(kind=RecordKind.RUN_ENDED, until=until)}
    mine = _services(records)
    for run in reversed(journal.records(kind=RecordKind.RUN_STARTED, until=until)):
        alike = all(run.body.get(name) == about.get(name) for name in ("command", "environment", "apply"))
        if (
            alike
            and run.run_id in ended
            and mine & _services(journal.records(run_id=run.run_id, kind=RecordKind.SCOPE))
        ):
            return run.run_id
    return None


def _services(records: Iterable[Record]) -> set[str]:
    scope = next((record.body for record in records if record.kind == RecordKind.SCOPE), {})
    return {str(move["service"]) for move in scope.get("moves") or ()}


def since_of(before: Sequence[Record], records: Sequence[Record]) -> Since:
    """Return what changed from one run to another; a step that only one of them asked is new when it is wrong, and
    never fixed.
    """
    before, records = counted(before), counted(records)
    then, now = _rows(before), _rows(records)
    wrong = {key: row for key, row in now.items() if row["verdict"] not in FINE}
    was_wrong = {key for key, row in then.items() if row["verdict"] not in FINE}
    both = [(row, then[key]) for key, row in now.items() if key in then]
    return Since(
        run_id=before[0].run_id,
        at=datetime.fromisoformat(before[0].at),
        new=tuple(row for key, row in wrong.items() if key not in was_wrong),
        still=tuple(row for key, row in wrong.items() if key in was_wrong),
        fixed=tuple(row for key, row in now.items() if key in was_wrong and key not in wrong),
        slower=tuple(
            (row, float(old["duration_s"])) for row, old in both if _is_slower(row["duration_s"], old["duration_s"])
        ),
        drift=tuple(_drift(before, records)),
    )


def _rows(records: Iterable[Record]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {
        (str(r.body["subject"]), r.key or ""): {**r.body, "key": r.key} for r in records if r.kind == RecordKind.RESULT
    }


def _is_slower(now_s: float, then_s: float) -> bool:
    return now_s > then_s * SLOWER_TIMES and now_s - then_s >= SLOWER_S


def _drift(before: Sequence[Record], now: Sequence[Record]) -> Iterator[Drift]:
    yield from _changed("", ABOUT, before[0].body, now[0].body)
    hosts = {r.body["name"]: r.body for r in before if r.kind == RecordKind.HOST_OBSERVED and not r.body.get("error")}
    for record in now:
        if record.kind == RecordKind.HOST_OBSERVED and record.body["name"] in hosts and not record.body.get("error"):
            yield from _changed(str(record.body["name"]), HOST, hosts[record.body["name"]], record.body)
    seen = {r.service: r.body for r in before if r.kind == RecordKind.SOURCE_OBSERVED}
    for record in now:
        if record.kind == RecordKind.SOURCE_OBSERVED and record.service in seen:
            yield from _changed(
                str(record.service), {"digest": term("container's configuration")}, seen[record.service], record.body
            )
    yield from _other_parts(before, now)


def _changed(
    subject: str, names: Mapping[str, str], then: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[Drift]:
    for name, what in names.items():
        if then.get(name) != now.get(name) and then.get(name) and now.get(name):
            yield Drift(subject, what, str(then[name])[:SHOWN], str(now[name])[:SHOWN])


def _other_parts(before: Sequence[Record], now: Sequence[Record]) -> Iterator[Drift]:
    """Yield the parts of fingerprints of the same moment that do not hold the same any more."""
    then = {(r.service, r.body["moment"]): r.body["parts"] for r in before if r.kind == RecordKind.FINGERPRINT}
    for record in (r for r in now if r.kind == RecordKind.FINGERPRINT):
        old = then.get((record.service, record.body["moment"]), {})
        for name, part in record.body["parts"].items():
            if name in old and old[name]["digest"] != part["digest"]:
                counts = (str(old[name]["count"]), str(part["count"]))
                pair = counts if counts[0] != counts[1] else (old[name]["digest"][:SHOWN], part["digest"][:SHOWN])
                yield Drift(f"{record.service}: {name}", term("fingerprint"), *pair)
