"""What a backup of a running service must hold: what was the same just before and just after it was taken. Pure.

A service in use keeps working while it is exported. What did not change meanwhile must be in the backup exactly; what
did change must be there, about as much of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.finding import say
from engine.verdict import Judgement, unknown
from services.fingerprints.compare import compare_fingerprints

MOVED: Final = say("changed while the backup was taken")
"""Replaces the digest of a part where only the count can be judged."""
ENOUGH: Final = 0.9
"""So much of a part that changed must be there: what was deleted meanwhile is no loss, an empty table is."""


def settle(before: Fingerprint, after: Fingerprint) -> Fingerprint:
    """Return what a backup taken between two readings must hold; `after` was read within the bounds of `before`."""
    parts = {name: _settled(part, after.parts.get(name)) for name, part in before.parts.items()}
    return Fingerprint(before.service, {name: part for name, part in parts.items() if part is not None})


def _settled(before: FingerprintPart, after: FingerprintPart | None) -> FingerprintPart | None:
    """Return the part as it must come back; None when it was removed meanwhile."""
    if after is None:
        return None
    if (before.count, before.digest) == (after.count, after.digest):
        return before
    names = {name: digest for name, digest in before.names.items() if after.names.get(name) == digest}
    if names:
        return replace(before, count=len(names), digest=_digest_of(names), names=names)
    return replace(before, count=min(before.count, after.count), digest=MOVED, holds=Validity.AT_CUTOVER, names={})


def moved_parts(expected: Fingerprint) -> list[str]:
    """Return the names of the parts where only the count can be judged."""
    return [name for name, part in expected.parts.items() if part.digest == MOVED]


def judge_restored(expected: Fingerprint, restored: Fingerprint, not_kept: Collection[str] = ()) -> Judgement:
    """Judge whether a restored copy holds what `settle` said; `not_kept` are parts that its kind of backup never holds.

    Nothing but counts to compare is UNKNOWN: a copy whose content was not seen is not proven.
    """
    wanted = {name: part for name, part in expected.parts.items() if name not in not_kept}
    exact = {name for name, part in wanted.items() if part.digest != MOVED}
    seen = {name: _as_comparable(part, restored.parts[name]) for name, part in wanted.items() if name in restored.parts}
    before = Fingerprint(expected.service, {name: _as_expected(part) for name, part in wanted.items()})
    answer = compare_fingerprints(before, Fingerprint(expected.service, seen), frozenset(Validity))
    if answer.passed and not exact:
        return unknown(
            say(
                "{service}: all {count} parts {moved}: only counts could be compared. Try when it is quiet",
                service=expected.service,
                count=len(wanted),
                moved=MOVED,
            )
        )
    notes = (
        [
            say("{name}: {moved}; about as many are there", name=name, moved=MOVED)
            for name in wanted
            if name not in exact
        ]
        if answer.passed
        else []
    )
    notes += [say("{name}: such a backup does not hold it", name=name) for name in expected.parts if name in not_kept]
    return replace(answer, details=(*answer.details, *notes))


def _as_expected(part: FingerprintPart) -> FingerprintPart:
    return replace(part, digest=_digest_of(part.names)) if part.names else part


def _as_comparable(wanted: FingerprintPart, seen: FingerprintPart) -> FingerprintPart:
    """Return what was seen in the form of what is wanted: the same single things, or as many as are enough."""
    if wanted.names and seen.names:
        names = {name: digest for name, digest in seen.names.items() if name in wanted.names}
        return replace(seen, count=len(names), digest=_digest_of(names), names=names)
    if wanted.digest == MOVED and seen.count >= wanted.count * ENOUGH:
        return wanted
    return seen


def _digest_of(names: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{name} {names[name]}" for name in sorted(names)).encode()).hexdigest()
