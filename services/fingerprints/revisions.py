"""Named things as one part of a fingerprint: which are missing, which are changed, and which a person edited since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity

SHORT: Final = 16


@dataclass(frozen=True)
class Thing:
    """What a named thing is made of, and, where the product counts its edits, which edit this is (growing)."""

    content: Any
    revision: str = ""


def canonical(value: Any, drop: Collection[str] = ()) -> str:
    """Return JSON in one defined order of keys, without the keys of `drop` at any depth."""
    return json.dumps(
        _without(value, frozenset(drop)), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    )


def digest_of(value: Any, drop: Collection[str] = ()) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value, drop).encode()).hexdigest()


def part_of(
    name: str, things: Mapping[str, Thing], since: Fingerprint | None, *, holds: Validity = Validity.SINCE_CUTOVER
) -> dict[str, FingerprintPart]:
    """Return the part of that name; with `since`, new things are left out and those with a later revision count as
    unchanged.

    A person who edits a dashboard the day after did nothing wrong; a dashboard of the same or an earlier revision with
    other content is damage, and so is one that is gone.
    """
    names = {title: _revision(thing) for title, thing in things.items()}
    before = since.parts.get(name) if since else None
    if before is not None and before.names:
        names = {
            title: _unless_edited(before.names[title], now) for title, now in names.items() if title in before.names
        }
    return {name: FingerprintPart(len(names), digest_of(names), holds, {}, names)}


def plain_part(
    name: str, content: Any, count: int = 1, *, holds: Validity = Validity.SINCE_CUTOVER
) -> dict[str, FingerprintPart]:
    """Return a part that is one value, not a set of named things."""
    return {name: FingerprintPart(count, digest_of(content), holds)}


def _revision(thing: Thing) -> str:
    digest = digest_of(thing.content)[:SHORT]
    return f"{digest}@{thing.revision}" if thing.revision else digest


def _unless_edited(before: str, now: str) -> str:
    revision, newer = before.partition("@")[2], now.partition("@")[2]
    return before if _is_later(newer, revision) else now


def _is_later(newer: str, older: str) -> bool:
    if newer.isdigit() and older.isdigit():
        return int(newer) > int(older)
    return newer > older


def _without(value: Any, drop: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(item, drop) for key, item in value.items() if key not in drop}
    if isinstance(value, (list, tuple)):
        return [_without(item, drop) for item in value]
    return value
