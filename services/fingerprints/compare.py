"""Two fingerprints of one service, compared: pure, names what differs, states what was compared."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown

SHOWN: Final = 10
NAMED: Final = 5
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
        return unknown(
            say(
                "{service}: nothing to compare: {judged_count} parts before, {parts_count} now",
                service=before.service,
                judged_count=len(judged),
                parts_count=len(after.parts),
            )
        )
    wrong = [text for name, part in judged.items() if (text := _difference(name, part, after.parts.get(name)))]
    things = sum(part.count for part in judged.values())
    left = len(before.parts) - len(judged)
    compared = say(
        "{count} parts ({things:,} things) compared{left}",
        count=len(judged),
        things=things,
        left=say(", {left} parts {instead}", left=left, instead=instead) if left else "",
    )
    if wrong:
        return failed(
            say(
                "{service}: {wrong_count} of {judged_count} parts differ: {wrong}. Expected: all equal; {compared}",
                service=before.service,
                wrong_count=len(wrong),
                judged_count=len(judged),
                wrong=joined("; ", wrong[:3]),
                compared=compared,
            ),
            tuple(wrong[:SHOWN]),
            parts=len(judged),
            differing=len(wrong),
        )
    return passed(
        say("{service}: all equal; {compared}", service=before.service, compared=compared),
        parts=len(judged),
        things=things,
    )


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
        say("{name}: {part_count:,} → {count:,}", name=name, part_count=part.count, count=now.count if now else 0)
        for name, part in moved.items()
        if (now := after.parts.get(name)) is None or now.count < ENOUGH * part.count
    ]
    if lost:
        return failed(
            say(
                "{service}: {lost_count} of {parts_count} parts lost more than {enough:.0%} of what they held when "
                "they were read on the source: {lost}. Expected: at most what clients removed until the stop. Run the "
                "move again with strategy precopy",
                service=before.service,
                lost_count=len(lost),
                parts_count=len(before.parts),
                enough=1 - ENOUGH,
                lost=joined("; ", lost[:3]),
            ),
            tuple(lost[:SHOWN]),
            differing=len(lost),
        )
    judged = compare_fingerprints(kept, after, frozenset(Validity))
    if not moved:
        return judged
    names = tuple(
        say(
            "not compared: {name}: {count:,} when it was read, {now:,} now",
            name=name,
            count=part.count,
            now=after.parts[name].count,
        )
        for name, part in moved.items()
    )
    return Judgement(
        judged.verdict,
        say(
            "{text}; NOT compared: {count} parts that clients could write to until the stop: {moved}",
            text=judged.text,
            count=len(moved),
            moved=", ".join(list(moved)[:3]),
        ),
        {**judged.measured, "not_compared": len(moved)},
        (*judged.details, *names[:NAMED]),
    )


def _difference(name: str, before: FingerprintPart, after: FingerprintPart | None) -> str:
    if after is None:
        return say("{name}: missing", name=name)
    if (before.count, before.digest) == (after.count, after.digest):
        return ""
    named = _named(before, after)
    if named:
        return f"{name}: {named}"
    if before.count != after.count:
        return say(
            "{name}: {before_count:,} → {after_count:,}", name=name, before_count=before.count, after_count=after.count
        )
    return say("{name}: content differs ({count:,} things)", name=name, count=before.count)


def _more(count: int) -> str:
    return say(" and {count} more", count=count) if count > 0 else ""


def _named(before: FingerprintPart, after: FingerprintPart) -> str:
    """Return which single things differ, where both sides kept their names."""
    if not before.names or (after.count and not after.names):
        return ""
    missing = [name for name in before.names if name not in after.names]
    changed = [name for name in before.names if after.names.get(name, before.names[name]) != before.names[name]]
    words = [
        say("{kind} {names}{more}", kind=kind, names=", ".join(names[:NAMED]), more=_more(len(names) - NAMED))
        for kind, names in ((say("missing"), missing), (say("changed"), changed))
        if names
    ]
    return joined("; ", words)
