"""Whether a sealed folder is what was sealed: every file, the chain of records, what was drawn from them, approvals,
signature.

Nothing but the folder is asked: no state, no network. What is found is reported by the file's name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import rfc8785

from engine.constants import NAME
from engine.evidence.facts.other_runs import read_others
from engine.evidence.formats.journal_jsonl import read_records
from engine.evidence.seal.checksums import sum_problems
from engine.evidence.seal.cross_check import differences, junit_problems, page_problems
from engine.evidence.seal.in_toto import FORMAT, statement_of, steps_of
from engine.evidence.seal.redraw import drawing, drawn_by, drawn_problems
from engine.evidence.seal.required_approvals import approval_problems, left_out, plan_problems
from engine.evidence.seal.seal import NAMESPACE, statement_text
from engine.evidence.seal.sealed_folder import (
    JUNIT,
    OTHERS,
    PAGE,
    PLAN,
    RECORDS,
    SEALS,
    SIGNATURE,
    STATEMENT,
    SUMMARY,
    SUMS,
    Sealed,
    digest_of,
)
from engine.evidence.seal.signed_files import SignatureReader, text_problems
from engine.finding import misfits
from engine.journal.journal import Record, chain_problems
from engine.journal.kinds import RecordKind

LISTED: Final = 8
DRAWN: Final = (RECORDS, STATEMENT, JUNIT, PAGE, SUMMARY)


@dataclass
class Findings:
    """What verify found: problems by the file that they are about, what it could not compare, and what is worth
    knowing.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)


def verify(sealed: Sealed, signatures: SignatureReader) -> Findings:
    """Judge a sealed folder."""
    found = Findings(
        [
            *sum_problems(sealed),
            *(f"{name}: not there. Expected: in every run's folder" for name in DRAWN if name not in sealed.files),
        ]
    )
    records, unread = read_records(sealed.text(RECORDS)) if RECORDS in sealed.files else ([], [])
    found.problems += unread
    if records and not unread:
        try:
            _judge_records(sealed, records, found)
            _judge_drawn(sealed, records, found)
            kept, _, _ = read_others(sealed.text(OTHERS), records)
            found.problems += approval_problems(sealed, records, kept, signatures)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            found.problems.append(
                f"{RECORDS}: holds what no run writes ({type(error).__name__}: {error}). Expected: as it was written"
            )
        found.problems += text_problems(sealed, records, signatures, found.notes)
    _judge_signature(sealed, signatures, found)
    return found


def _judge_records(sealed: Sealed, records: Sequence[Record], found: Findings) -> None:
    found.problems += [f"{RECORDS}: {problem}. Expected: as it was written" for problem in chain_problems(records)]
    found.problems += [
        f'{RECORDS}: record {record.number} ({record.kind}): template and fields do not give its text: "{text[:80]}". '
        "Expected: they do"
        for record in records
        for text in misfits(record.body)
    ]
    found.problems += _statement_problems(sealed, records)
    if JUNIT in sealed.files:
        found.problems += junit_problems(sealed.text(JUNIT), records)
    if PAGE in sealed.files:
        found.problems += page_problems(sealed.text(PAGE), records)
    found.problems += _plan_problems(sealed, records)
    totals = Counter(str(row["verdict"]) for row in steps_of(records))
    counted = ", ".join(f"{count} {word}" for word, count in sorted(totals.items())) or "no row"
    missing = steps_without_a_row(records)
    if missing:
        found.not_compared.append(
            f"{RECORDS}: {len(missing)} of {len(records[0].body['steps'])} steps of this phase left no row, and no "
            "record says that they do not apply. Nothing is shown about them: "
            f"{', '.join(missing[:LISTED])}{' and others' if len(missing) > LISTED else ''}"
        )
    found.notes.append(
        f"{len(sealed.files)} files, {len(records)} records, {counted}; plan "
        f"{str(records[0].body.get('plan_digest'))[:12]}"
    )


def steps_without_a_row(records: Sequence[Record]) -> list[str]:
    """Return the keys of steps that the run's code has and that left no result, where no record says that they do not
    apply to what it was about: nobody looked.
    """
    demanded = records[0].body.get("steps") or ()
    left_out = {str(record.body.get("step")) for record in records if record.kind == RecordKind.STEP_SKIPPED}
    return sorted({str(key) for key in demanded} - {str(row["key"]) for row in steps_of(records)} - left_out)


def _judge_drawn(sealed: Sealed, records: Sequence[Record], found: Findings) -> None:
    """Draw page, summary and junit.xml again and compare each byte; a page of another drawing can't be compared, and
    that is said.
    """
    found.problems += plan_problems(sealed, records)
    found.not_compared += [
        (
            f"{PLAN}/{name}: was not kept, for it held what looks like a secret. Compare the file itself with the "
            f"digest in {RECORDS}"
        )
        for name in left_out(records)
    ]
    theirs = drawn_by(sealed.text(PAGE))
    if chain_problems(records):
        return  # what is wrong with the records is reported, and nothing follows from them
    if theirs == drawing():
        found.problems += drawn_problems(sealed, records)
    elif PAGE in sealed.files:
        commit = records[0].body.get("commit")
        found.not_compared.append(
            f"{PAGE}, {SUMMARY}, {JUNIT}: were drawn by another version of {NAME} "
            f"({theirs or 'it does not say which'}; this is {drawing()}), "
            "so they can't be compared with the records here: only totals were. Verify with the version that drew "
            f"them: commit {commit}"
        )


def _statement_problems(sealed: Sealed, records: Sequence[Record]) -> Iterable[str]:
    """Yield how evidence.json differs from the statement that follows from records and files."""
    text = sealed.text(STATEMENT)
    try:
        statement: Any = json.loads(text)
        own = statement["predicate"][NAME]
        written, signed_with = own["format"], own["signed_with"]
    except (ValueError, LookupError, TypeError, RecursionError):
        if text:
            yield f"{STATEMENT}: is no statement of ours. Expected: JSON as it was written"
        return
    if written != FORMAT:
        yield (
            f"{STATEMENT}: is of format {written}. Expected: {FORMAT}. Verify it with longshore "
            f"{own.get('version')}, which wrote it"
        )
        return
    expected = statement_of(records, sealed.digests(without=SEALS), signed_with)
    differing = [f"{STATEMENT}: {line}" for line in differences(statement, json.loads(json.dumps(expected)))]
    if not differing and text != statement_text(expected):
        differing = [f"{STATEMENT}: says the same in other bytes. Expected: as it was written"]
    yield from differing


def _plan_problems(sealed: Sealed, records: Sequence[Record]) -> Iterable[str]:
    """Yield whether the files of the plan are those whose digest the run was made with, and was approved."""
    plan = next((record.body for record in records if record.kind == RecordKind.PLAN), None)
    kept = {
        name.removeprefix(f"{PLAN}/"): content for name, content in sealed.files.items() if name.startswith(f"{PLAN}/")
    }
    parts: dict[str, str] = dict(plan["parts"]) if plan else {}
    for name, content in kept.items():
        if parts.get(name) != digest_of(content):
            yield (
                f"{PLAN}/{name}: SHA-256 {digest_of(content)}. Expected: {parts.get(name)}, with which the run was made"
            )
    if parts and digest_of(rfc8785.dumps(dict(parts))) != records[0].body.get("plan_digest"):
        yield (
            f"{RECORDS}: the digests of the plan's files don't give the plan digest "
            f"{records[0].body.get('plan_digest')}. Expected: they do"
        )


def _judge_signature(sealed: Sealed, signatures: SignatureReader, found: Findings) -> None:
    """Judge the signature over SHA256SUMS, and whether evidence.json names the key that made it."""
    try:
        named = json.loads(sealed.text(STATEMENT))["predicate"][NAME]["signed_with"]
    except (ValueError, LookupError, TypeError, RecursionError):
        named = None
    signature = sealed.files.get(SIGNATURE)
    if signature is None:
        if named or signatures.knows_people:
            found.problems.append(
                f"{SIGNATURE}: not there. Expected: a signature{f' with key {named}' if named else ''}. Ask "
                "who ran it for it"
            )
        else:
            found.notes.append(
                "not signed: this shows accidents and careless hands; who may write all files could have "
                "written all of them anew"
            )
        return
    signed = signatures.read(sealed.files.get(SUMS, b""), signature, NAMESPACE)
    if signed.problem:
        found.problems.append(f"{SIGNATURE}: {signed.problem}. Expected: a signature over {SUMS}")
    elif signed.fingerprint != named:
        found.problems.append(
            f"{SIGNATURE}: was made with key {signed.fingerprint}. Expected: {named}, which {STATEMENT} names"
        )
    else:
        whose = (
            f"by {signed.person}"
            if signed.person
            else "by whoever holds this key: nobody was asked whose it is (--allowed-signers FILE)"
        )
        found.notes.append(f"signed {whose}, key {signed.fingerprint}")
