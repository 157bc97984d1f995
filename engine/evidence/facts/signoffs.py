"""What people put their names to: approvals of the plan, waivers, attestations; as the journal has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.evidence.facts.record_reader import Reader
from engine.i18n.language import term
from engine.journal.journal import Record
from engine.journal.kinds import RecordKind
from engine.verdict import Verdict

GATE: Final = "gate-approved"
APPROVED: Final = "approved by "
CLOCK: Final = " by the signer's clock"
KINDS: Final[Mapping[str, str]] = {
    RecordKind.APPROVAL: term("approval"),
    RecordKind.WAIVER: term("waiver"),
    RecordKind.ATTESTATION: term("attestation"),
}
"""Records of what a person signed, and what each is called."""

PERSON: Final = ("person", "by", "approver", "signer", "operator")
WORDS: Final = ("text", "reason", "note", "statement", "why")
UNTIL: Final = ("until", "expires_at", "valid_until", "ends_at")
SIGNED: Final = ("signed_at", "attested_at", "at")
WHAT: Final = ("step", "key", "steps")


@dataclass(frozen=True)
class Paper:
    """One thing that a person answers for."""

    kind: str
    person: str
    role: str
    what: str
    words: str
    until: str
    at: str


@dataclass(frozen=True)
class Approved:
    """Who approved the plan of a run, and the run whose gate saw that."""

    people: tuple[str, ...]
    run_id: str


def approved_of(journal: Reader, records: Sequence[Record]) -> Approved | None:
    """Return who approved exactly the plan of a run, as its own gate or that of an earlier run of the same plan saw it;
    None when none did.
    """
    signed = [_signer(record.body) for record in records if record.kind == RecordKind.APPROVAL]
    if signed:
        return Approved(tuple(signed), records[0].run_id)
    mine = next((r for r in records if r.kind == RecordKind.RESULT and r.key == GATE), None)
    asked = mine if mine and _names_people(mine) else journal.last(RecordKind.RESULT, key=GATE, until=records[0].seq)
    if asked is None or not _names_people(asked):
        return None
    theirs = journal.records(run_id=asked.run_id, kind=RecordKind.RUN_STARTED)[0].body
    same = theirs.get("plan_digest") == records[0].body.get("plan_digest")
    return Approved(_people(str(asked.body["text"])), asked.run_id) if same else None


def _signer(body: Mapping[str, Any]) -> str:
    signed_at = str(body.get("signed_at") or "")[:16].replace("T", " ")
    about = (str(body.get("role") or ""), f"{signed_at} UTC" if signed_at else "")
    return f"{body.get('person')} ({', '.join(filter(None, about))})"


def _people(text: str) -> tuple[str, ...]:
    """Return each person with role and time out of the gate's sentence; that the time is the signer's own is said in
    its row.
    """
    return tuple(one.rstrip(")") + ")" for one in text.removeprefix(APPROVED).replace(CLOCK, "").split("), "))


def _names_people(row: Record) -> bool:
    return row.body.get("verdict") == Verdict.PASSED.value and str(row.body.get("text", "")).startswith(APPROVED)


def papers_of(records: Sequence[Record]) -> Iterator[Paper]:
    """Yield what people signed, as far as this run has it on record."""
    for record in records:
        if record.kind in KINDS:
            body = record.body
            subject = record.service or str(body.get("service") or "")
            what = ", ".join(filter(None, (subject, record.key or _first(body, WHAT))))
            at = _first(body, SIGNED) or record.at
            role = str(body.get("role") or "")
            words = (
                str(body.get("file") or "") if record.kind == RecordKind.APPROVAL else _first(body, WORDS)
            )  # its text is the whole plan
            yield Paper(
                KINDS[record.kind],
                _first(body, PERSON),
                role,
                what,
                words,
                _first(body, UNTIL),
                at[:16].replace("T", " "),
            )


def _first(body: Mapping[str, Any], names: Sequence[str]) -> str:
    found = next((body[name] for name in names if body.get(name)), "")
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found)
