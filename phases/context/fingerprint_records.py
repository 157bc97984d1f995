"""Fingerprint records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.contracts.fingerprint import FingerprintPart, Validity
from engine.redaction.redactor import Redactor


def without_secret_names(part: FingerprintPart, redactor: Redactor) -> FingerprintPart:
    """Return a part that can be written down: one whose names look like secrets (Redis keys of sessions) goes without
    them.

    It then holds at the cutover only: without its names nobody can see later which of its things were there before.
    """
    if not redactor.hides(part.names):
        return part
    return FingerprintPart(part.count, part.digest, Validity.AT_CUTOVER, part.bound)


def part_body(part: FingerprintPart) -> dict[str, object]:
    """Return a part as the journal keeps it."""
    names = {"names": dict(part.names)} if part.names else {}
    return {"count": part.count, "digest": part.digest, "holds": part.holds.value, "bound": dict(part.bound), **names}


def part_of(body: Mapping[str, Any]) -> FingerprintPart:
    """Return the part that the journal kept."""
    return FingerprintPart(
        int(body["count"]),
        str(body["digest"]),
        Validity(body["holds"]),
        body.get("bound") or {},
        body.get("names") or {},
    )
