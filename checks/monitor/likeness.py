"""What a comparison with the time before says, with every figure that its verdict rests on."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from checks.monitor.comparison import LARGEST_P, LEAST_DELTA, Change, Comparison
from checks.monitor.units import value_of
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown
from engine.watch.model import Metric

ANY_CHANGE: Final = frozenset({Change.HIGHER, Change.LOWER})
WORDS: Final = {Change.HIGHER: say("higher"), Change.LOWER: say("lower"), Change.SAME: say("as before")}


def judge_likeness(
    subject: str,
    what: str,
    metric: Metric,
    found: Comparison,
    *,
    wrong: AbstractSet[Change] = ANY_CHANGE,
    note: str = "",
) -> Judgement:
    """Judge whether a metric is as before; `what` is a noun ("CPU", "memory"), `wrong` the changes that fail.

    `note` is a sentence about the circumstances, such as another processor model on the new host.
    """
    if found.change is Change.NOT_ENOUGH_DATA:
        return unknown(
            say(
                "{subject}: not enough data to compare {what}: {missing}",
                subject=subject,
                what=what,
                missing=joined("; ", found.missing),
            ),
            (),
            **found.figures,
        )
    seen = say(
        "{subject}: {what} is {change}: median {after} after, {before} before, shift {shift}; {figures}",
        subject=subject,
        what=what,
        change=WORDS[found.change],
        after=value_of(metric, found.after),
        before=value_of(metric, found.before),
        shift=value_of(metric, found.shift),
        figures=figures_text(metric, found),
    )
    text = say("{seen}. {note}", seen=seen, note=note) if note else seen
    if found.change in wrong:
        return failed(
            say(
                "{text}. Expected: as before, or a reason. Compare the service's own metrics and its log",
                text=text,
            ),
            (),
            **found.figures,
        )
    return passed(text, (), **found.figures)


def figures_text(metric: Metric, found: Comparison) -> str:
    """Return every figure behind a comparison, with the limits that it was compared with."""
    return say(
        "p {p:.4f} (a change: below {least_p:g}), Z {z:.2f}, delta {delta:.3f} (at least {least_delta:g}), A {a:.3f}, "
        "a shift of at least {needed}; {after} hours against {before} in {strata} strata{by_weekend}, "
        "autocorrelation {rho:.2f}, factor {f:.1f}",
        p=found.p,
        least_p=LARGEST_P,
        z=found.z,
        delta=found.delta,
        least_delta=LEAST_DELTA,
        a=found.a,
        needed=value_of(metric, found.needed),
        after=found.hours_after,
        before=found.hours_before,
        strata=found.strata,
        by_weekend=say(" (weekends apart)") if found.is_by_weekend else "",
        rho=found.rho,
        f=found.f,
    )
