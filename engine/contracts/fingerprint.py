"""Fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Validity(str, Enum):
    """How long a part of a fingerprint stays comparable."""

    AT_CUTOVER = "at_cutover"  # equal only while no client writes; judged once, before commit
    SINCE_CUTOVER = "since_cutover"  # must be true permanently


@dataclass(frozen=True)
class FingerprintPart:
    """One named part of a fingerprint: how many things, and a digest over them in a defined order.

    `bound` is the JSON-able limit within which count and digest were taken (`{"id_max": 5021}`): the same
    bound is applied when the part is read again, so rows written since do not count as a difference.
    """

    count: int
    digest: str
    holds: Validity = Validity.SINCE_CUTOVER
    bound: Mapping[str, float | int | str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Fingerprint:
    """What must be the same before and after a move: parts by name, as the message will call them.

    A name reads like a place: `shop: table public.orders`, `db 0: key cart:17`, `block 01HX…`.
    """

    service: str
    parts: Mapping[str, FingerprintPart]
