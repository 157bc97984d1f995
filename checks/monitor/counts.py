"""Are there more errors, restarts or refused connections than before: an exact test of two counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from checks.monitor.times import HOUR_MS
from engine.finding import say
from engine.verdict import Judgement, failed, passed, unknown

LARGEST_P: Final = 0.01
LEAST_RATIO: Final = 2.0
FEWEST: Final = 5
NEGLIGIBLE: Final = 1e-18


@dataclass(frozen=True)
class Count:
    """How often something happened in how many milliseconds of watched time."""

    events: int
    time_ms: int

    def __post_init__(self) -> None:
        """Refuse what is no count."""
        if self.events < 0 or self.time_ms < 0:
            raise ValueError(f"{self.events} events in {self.time_ms} ms; expected neither below 0")


@dataclass(frozen=True)
class CountComparison:
    """Two counts and what follows; `ratio` is that of the rates, infinite when there was none before.

    `is_more` is None when one side has no time.
    """

    before: Count
    after: Count
    p: float = math.nan
    ratio: float = math.nan
    is_more: bool | None = None


def compare_counts(before: Count, after: Count) -> CountComparison:
    """Compare counts by the exact binomial test: of all events, how probable are so many in the time after.

    More: p < 0.01, at least twice the rate, and at least 5. None before is no special case.
    """
    if not before.time_ms or not after.time_ms:
        return CountComparison(before, after)
    p = upper_tail(after.events, before.events + after.events, after.time_ms / (before.time_ms + after.time_ms))
    ratio = _ratio(before, after)
    is_more = p < LARGEST_P and ratio >= LEAST_RATIO and after.events >= FEWEST
    return CountComparison(before, after, p, ratio, is_more)


def upper_tail(least: int, number: int, share: float) -> float:
    """Return the probability of `least` or more successes in `number` trials of probability `share` (0 to 1)."""
    if least <= 0:
        return 1.0
    if least > number:
        return 0.0
    if least <= number * share:
        return max(0.0, 1.0 - math.fsum(_terms(least - 1, number, share, -1)))
    return min(1.0, math.fsum(_terms(least, number, share, 1)))


def _terms(first: int, number: int, share: float, step: int) -> list[float]:
    """Return the binomial probabilities from one count on, away from the mean, until they no longer matter."""
    log_share, log_rest = math.log(share), math.log1p(-share)
    terms: list[float] = []
    at = first
    while 0 <= at <= number:
        logarithm = math.lgamma(number + 1) - math.lgamma(at + 1) - math.lgamma(number - at + 1)
        term = math.exp(logarithm + at * log_share + (number - at) * log_rest)
        terms.append(term)
        if term <= NEGLIGIBLE * terms[0]:
            break
        at += step
    return terms


def judge_counts(subject: str, what: str, found: CountComparison) -> Judgement:
    """Judge whether something happens more often than before; `what` is a plural noun ("log errors", "restarts")."""
    if found.is_more is None:
        return unknown(
            say(
                "{subject}: not enough data to compare {what}: {before:.1f} h before and {after:.1f} h after. "
                "Expected: time on both sides",
                subject=subject,
                what=what,
                before=found.before.time_ms / HOUR_MS,
                after=found.after.time_ms / HOUR_MS,
            )
        )
    seen = say(
        "{subject}: {after:,} {what} in {after_h:.1f} h, before {before:,} in {before_h:.1f} h; {ratio}, p {p:.4f} "
        "(more: p below {least_p:g}, at least {least_ratio:g} times the rate, at least {fewest})",
        subject=subject,
        what=what,
        after=found.after.events,
        after_h=found.after.time_ms / HOUR_MS,
        before=found.before.events,
        before_h=found.before.time_ms / HOUR_MS,
        ratio=_ratio_text(found.ratio),
        p=found.p,
        least_p=LARGEST_P,
        least_ratio=LEAST_RATIO,
        fewest=FEWEST,
    )
    figures: dict[str, float] = {"after": found.after.events, "before": found.before.events, "p": found.p}
    if found.is_more:
        return failed(say("{seen}. Expected: no more than before. Look at the service's log", seen=seen), (), **figures)
    return passed(seen, (), **figures)


def _ratio(before: Count, after: Count) -> float:
    if not before.events:
        return math.inf if after.events else 1.0
    return (after.events / after.time_ms) / (before.events / before.time_ms)


def _ratio_text(ratio: float) -> str:
    return say("none before") if math.isinf(ratio) else say("{ratio:.2f} times the rate", ratio=ratio)
