"""Two fingerprints of one service, compared: pure, names what differs, states what was compared."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from engine.model import Fingerprint, Holds, Part
from engine.verdict import Judgement, failed, passed, unknown

SHOWN: Final = 10


def compare_fingerprints(before: Fingerprint, after: Fingerprint, holds: Collection[Holds] = frozenset({Holds.SINCE_CUTOVER})) -> Judgement:
    """Judge whether the parts of `before` that hold that long are the same in `after`.

    Parts that are only in `after` are new and no difference; an empty side is UNKNOWN: nothing compared is not a pass.
    """
    judged = {name: part for name, part in before.parts.items() if part.holds in holds}
    if not judged or not after.parts:
        return unknown(f"{before.service}: nothing to compare: {len(judged)} parts before, {len(after.parts)} now")
    wrong = [text for name, part in judged.items() if (text := _difference(name, part, after.parts.get(name)))]
    things = sum(part.count for part in judged.values())
    left = len(before.parts) - len(judged)
    told = f"{len(judged)} parts ({things:,} things) compared" + (f", {left} parts hold at the cutover only" if left else "")
    if wrong:
        return failed(
            f"{before.service}: {len(wrong)} of {len(judged)} parts differ: {'; '.join(wrong[:3])}. Expected: all equal; {told}",
            tuple(wrong[:SHOWN]),
            parts=len(judged),
            differing=len(wrong),
        )
    return passed(f"{before.service}: all equal; {told}", parts=len(judged), things=things)


def _difference(name: str, before: Part, after: Part | None) -> str:
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


def _named(before: Part, after: Part) -> str:
    """Return which single things differ, where both sides kept their names."""
    if not before.names or (after.count and not after.names):
        return ""
    missing = [name for name in before.names if name not in after.names]
    changed = [name for name in before.names if after.names.get(name, before.names[name]) != before.names[name]]
    words = [f"{kind} {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004
             for kind, names in (("missing", missing), ("changed", changed)) if names]  # fmt: skip
    return "; ".join(words)
