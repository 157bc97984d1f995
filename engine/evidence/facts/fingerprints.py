"""What each service held before and after, part by part: fingerprints side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.i18n.language import term

MOMENTS: Final = {
    "source": term("before the move"),
    "target": term("after the move"),
    "cutover": term("from the cutover on"),
    "now": term("now"),
}
HOLDS: Final = {"at_cutover": term("at the cutover"), "since_cutover": term("permanently")}


@dataclass(frozen=True)
class Part:
    """One part of what a service holds: how many things at each moment, and whether before and after are the same."""

    name: str
    holds: str
    counts: tuple[int | None, ...]
    digest: str
    same: bool | None


@dataclass(frozen=True)
class Total:
    """All things of a service at one moment, and their share of the most in percent."""

    moment: str
    host: str
    count: int
    percent: float


@dataclass(frozen=True)
class Prints:
    """One service's fingerprints: moments with their hosts, and the parts."""

    service: str
    moments: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]

    @property
    def same(self) -> int:
        """Return how many parts are proven to be the same before and after."""
        return sum(part.same is True for part in self.parts)

    @property
    def totals(self) -> tuple[Total, ...]:
        """Return all things together at each moment, next to the most that were ever there."""
        sums = [sum(part.counts[position] or 0 for part in self.parts) for position in range(len(self.moments))]
        most = max([1, *sums])
        return tuple(
            Total(moment, host, count, 100 * count / most)
            for (moment, host), count in zip(self.moments, sums, strict=True)
        )


def prints_of(fingerprints: Sequence[Mapping[str, Any]]) -> Iterator[Prints]:
    """Yield each service's fingerprints in the order of their moments."""
    by_service: dict[str, dict[str, Mapping[str, Any]]] = {}
    for body in fingerprints:
        by_service.setdefault(str(body["service"]), {})[str(body["moment"])] = body
    for service, moments in by_service.items():
        names = dict.fromkeys(name for body in moments.values() for name in body["parts"])
        columns = tuple((MOMENTS.get(moment, moment), str(body["host"])) for moment, body in moments.items())
        yield Prints(service, columns, tuple(_part(name, moments) for name in names))


def _part(name: str, moments: Mapping[str, Mapping[str, Any]]) -> Part:
    seen = {moment: body["parts"][name] for moment, body in moments.items() if name in body["parts"]}
    last = list(seen.values())[-1]
    both = "source" in moments and "target" in moments
    same = seen.get("source", {}).get("digest") == seen.get("target", {}).get("digest") if both else None
    counts = tuple(int(seen[moment]["count"]) if moment in seen else None for moment in moments)
    return Part(name, HOLDS.get(str(last["holds"]), str(last["holds"])), counts, str(last["digest"]), same)
