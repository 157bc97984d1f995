"""Two fingerprints of one service, compared: pure, names what differs, states what was compared."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.verdict import Judgement, failed, passed, unknown

SHOWN: Final = 10
ENOUGH: Final = 0.9
"""So much of a part that clients could write to must still be there; what they removed meanwhile is no loss."""


def compare_fingerprints(
    before: Fingerprint,
    after: Fingerprint,
    holds: Collection[Validity] = frozenset({Validity.SINCE_CUTOVER}),
    *,
    instead: str = "hold at the cutover only",
) -> Judgement:
    """Judge whether the parts of `before` that hold that long are the same in `after`.

    Parts that are only in `after` are new and no difference; an empty side is UNKNOWN: nothing compared is not a pass.
    `instead` ends the sentence about the parts that are not compared.
    """
    judged = {name: part for name, part in before.parts.items() if part.holds in holds}
    if not judged or not after.parts:
        return unknown(f"{before.service}: nothing to compare: {len(judged)} parts before, {len(after.parts)} now")
    wrong = [text for name, part in judged.items() if (text := _difference(name, part, after.parts.get(name)))]
    things = sum(part.count for part in judged.values())
    left = len(before.parts) - len(judged)
    told = f"{len(judged)} parts ({things:,} things) compared" + (f", {left} parts {instead}" if left else "")
    if wrong:
        return failed(
            (
                f"{before.service}: {len(wrong)} of {len(judged)} parts differ: {'; '.join(wrong[:3])}. Expected: "
                f"all equal; {told}"
            ),
            tuple(wrong[:SHOWN]),
            parts=len(judged),
            differing=len(wrong),
        )
    return passed(f"{before.service}: all equal; {told}", parts=len(judged), things=things)


def compare_replicated(before: Fingerprint, after: Fingerprint, *, held: bool) -> Judgement:
    """Judge what a replica holds against its source's reading; nothing of it was compared as files, so every part
    counts here.

    With `held` nobody wrote to the source from its reading to its stop: all parts must be the same. Without, a part
    that holds only while no client writes may differ: it is named as not compared, and is a loss when much of it is
    missing.
    """
    if held or not any(part.holds is Validity.AT_CUTOVER for part in before.parts.values()):
        return compare_fingerprints(before, after, frozenset(Validity))
    moved = {
        name: part
        for name, part in before.parts.items()
        if part.holds is Validity.AT_CUTOVER and _difference(name, part, after.parts.get(name))
    }
    kept = Fingerprint(before.service, {name: part for name, part in before.parts.items() if name not in moved})
    lost = [
        f"{name}: {part.count:,} → {now.count if now else 0:,}"
        for name, part in moved.items()
        if (now := after.parts.get(name)) is None or now.count < ENOUGH * part.count
    ]
    if lost:
        return failed(
            f"{before.service}: {len(lost)} of {len(before.parts)} parts lost more than {1 - ENOUGH:.0%} of what they "
            "held when they were read on "
            f"the source: {'; '.join(lost[:3])}. Expected: at most what clients removed until the stop. Run the move "
            "again with strategy precopy",
            tuple(lost[:SHOWN]),
            differing=len(lost),
        )
    judged = compare_fingerprints(kept, after, frozenset(Validity))
    if not moved:
        return judged
    names = tuple(
        f"not compared: {name}: {part.count:,} when it was read, {after.parts[name].count:,} now"
        for name, part in moved.items()
    )
    return Judgement(
        judged.verdict,
        (
            f"{judged.text}; NOT compared: {len(moved)} parts that clients could write to until the stop: "
            f"{', '.join(list(moved)[:3])}"
        ),
        {**judged.measured, "not_compared": len(moved)},
        (*judged.details, *names[:SHOWN]),
    )


def _difference(name: str, before: FingerprintPart, after: FingerprintPart | None) -> str:
    if after is None:
        return f"{name}: missing"
    if (before.count, before.digest) == (after.count, after.digest):
        return ""
    named = _named(before, after)
    if named:
        return f"{name}: {named}"
    if before.count != after.count:
        return f"{name}: {before.count:,} → {after.count:,}"
    return f"{name}: content differs ({before.count:,} things)"


def _named(before: FingerprintPart, after: FingerprintPart) -> str:
    """Return which single things differ, where both sides kept their names."""
    if not before.names or (after.count and not after.names):
        return ""
    missing = [name for name in before.names if name not in after.names]
    changed = [name for name in before.names if after.names.get(name, before.names[name]) != before.names[name]]
    words = [f"{kind} {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004
             for kind, names in (("missing", missing), ("changed", changed)) if names]  # fmt: skip
    return "; ".join(words)
