"""Which claims can't all have what they want: conflicts now, and once all planned moves are done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from checks.ports.addresses import EVERY, overlap
from checks.ports.claims import Claim, Level
from checks.ports.planned_ports import PlannedPorts, claims_that_stay, planned_claims
from engine.finding import joined, say


@dataclass(frozen=True)
class Conflict:
    """Ports of one host and protocol that two or more want; `blocks` unless all but one are mere declarations."""

    host: str
    first: int
    last: int
    protocol: str
    claims: tuple[Claim, ...]

    @property
    def blocks(self) -> bool:
        """Return whether it will surely be a failure, and not only if somebody starts an unused project."""
        return len({claim.identity for claim in self.claims if claim.level > Level.DECLARED}) > 1

    @property
    def port_text(self) -> str:
        """Return the ports as messages have them."""
        return f"{self.first if self.first == self.last else f'{self.first}-{self.last}'}/{self.protocol}"

    def text(self) -> str:
        """Return it as one line."""
        return say(
            "{host} {port_text}: {claims}",
            host=self.host,
            port_text=self.port_text,
            claims=joined(" and ", (claim.who for claim in self.claims)),
        )


def conflicts_among(claims: Iterable[Claim]) -> list[Conflict]:
    """Return the conflicts of some claims; what listens now side by side is none, and one thing has none
    with itself.
    """
    apart: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    for claim in claims:
        apart[claim.host, claim.protocol].append(claim)
    found = [
        conflict for (host, protocol), group in sorted(apart.items()) for conflict in _conflicts(host, protocol, group)
    ]
    return list(_joined(found))


def conflicts_after(claims: Iterable[Claim], arrivals: Iterable[PlannedPorts]) -> list[Conflict]:
    """Return the conflicts that the moves make, all of them done: each has a move or a relay in it."""
    arrivals = tuple(arrivals)
    together = [*claims_that_stay(claims, arrivals), *planned_claims(arrivals)]
    return [
        conflict
        for conflict in conflicts_among(together)
        if any(claim.kind in {"move", "relay"} for claim in conflict.claims)
    ]


def collide(one: Claim, other: Claim) -> bool:
    """Return whether two claims are of two things and can't both be satisfied."""
    return (
        (one.host, one.protocol) == (other.host, other.protocol)
        and one.identity != other.identity
        and one.first <= other.last
        and other.first <= one.last
        and overlap(one.bound, other.bound)
    )


def _conflicts(host: str, protocol: str, claims: list[Claim]) -> Iterator[Conflict]:
    """Yield a conflict for each stretch of ports between two places where a claim begins or ends."""
    begins, ends = defaultdict[int, list[Claim]](list), defaultdict[int, list[Claim]](list)
    for claim in claims:
        begins[claim.first].append(claim)
        ends[claim.last + 1].append(claim)
    edges = sorted({*begins, *ends})
    covering: dict[int, Claim] = {}
    for edge, following in pairwise(edges):
        for claim in ends[edge]:
            covering.pop(id(claim), None)
        covering.update((id(claim), claim) for claim in begins[edge])
        wanted = _colliding(list(covering.values()))
        if wanted:
            yield Conflict(host, edge, following - 1, protocol, wanted)


def _colliding(claims: list[Claim]) -> tuple[Claim, ...]:
    """Return those of some claims on one port that collide with another one of them."""
    if len(claims) < 2 or all(claim.level is Level.HELD for claim in claims):  # noqa: PLR2004 it takes two
        return ()
    if all(claim.bound == (EVERY, EVERY) for claim in claims):
        return tuple(claims) if len({claim.identity for claim in claims}) > 1 else ()
    return tuple(claim for claim in claims if any(_at_odds(claim, other) for other in claims))


def _at_odds(one: Claim, other: Claim) -> bool:
    coexist = one.level is other.level is Level.HELD
    return not coexist and one.identity != other.identity and overlap(one.bound, other.bound)


def _joined(conflicts: Iterable[Conflict]) -> Iterator[Conflict]:
    """Yield neighbours with the same claims as one conflict."""
    last: Conflict | None = None
    for conflict in conflicts:
        if last and (last.host, last.protocol, last.claims, last.last + 1) == (
            conflict.host,
            conflict.protocol,
            conflict.claims,
            conflict.first,
        ):
            last = Conflict(last.host, last.first, conflict.last, last.protocol, last.claims)
            continue
        if last:
            yield last
        last = conflict
    if last:
        yield last
