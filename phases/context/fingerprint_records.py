"""Fingerprint records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.contracts.fingerprint import Holds, Part
from engine.redaction.redactor import Redactor


def speakable(part: Part, redactor: Redactor) -> Part:
    """Return a part that can be written down: one whose names look like secrets (Redis keys of sessions) goes without them.

    It then holds at the cutover only: without its names nobody can tell later which of its things were there before.
    """
    if not redactor.hides(part.names):
        return part
    return Part(part.count, part.digest, Holds.AT_CUTOVER, part.bound)


def part_body(part: Part) -> dict[str, object]:
    """Return a part as the journal keeps it."""
    names = {"names": dict(part.names)} if part.names else {}
    return {"count": part.count, "digest": part.digest, "holds": part.holds.value, "bound": dict(part.bound), **names}


def part_of(body: Mapping[str, Any]) -> Part:
    """Return the part that the journal kept."""
    return Part(int(body["count"]), str(body["digest"]), Holds(body["holds"]), body.get("bound") or {}, body.get("names") or {})
