"""Parts of a fingerprint that keep names: what came since is none of their business, what is gone or changed is."""

from __future__ import annotations

import pytest

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.verdict import Verdict
from services.fingerprints.compare import compare_fingerprints
from services.fingerprints.named_parts import at_least, named_part, short_digest


def _judged(before: FingerprintPart, now: FingerprintPart) -> tuple[Verdict, tuple[str, ...]]:
    judgement = compare_fingerprints(Fingerprint("s", {"things": before}), Fingerprint("s", {"things": now}))
    return judgement.verdict, judgement.details


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"a": "1", "b": "2"}, ()),
        ({"a": "1", "b": "2", "c": "3"}, ()),
        ({"a": "1"}, ("things: missing b",)),
        ({"a": "1", "b": "3"}, ("things: changed b",)),
        ({"c": "1"}, ("things: missing a, b",)),
    ],
)
def test_named_things_are_compared_with_those_of_before(now: dict[str, str], expected: tuple[str, ...]) -> None:
    """New things are no difference; a lost and a changed one are named, also when none is left."""
    before = named_part({"a": "1", "b": "2"})
    assert _judged(before, named_part(now, before))[1] == expected


def test_what_was_empty_stays_equal_when_it_fills() -> None:
    """A kind of which there was nothing is not different because there is something now."""
    before = named_part({})
    assert _judged(before, named_part({"a": "1"}, before)) == (Verdict.PASSED, ())


@pytest.mark.parametrize(
    ("now", "expected"), [(100, ()), (120, ()), (99, ("things: 100 → 99",)), (0, ("things: 100 → 0",))]
)
def test_fewer_is_a_difference_and_more_is_none(now: int, expected: tuple[str, ...]) -> None:
    """A queue that nobody empties may grow."""
    before = at_least(100)
    assert _judged(before, at_least(now, before))[1] == expected


def test_how_long_a_part_holds_is_decided_once() -> None:
    """The reading after the move keeps what the one before it said, whatever it sees itself."""
    before = at_least(5, holds=Validity.AT_CUTOVER)
    assert at_least(9, before, Validity.SINCE_CUTOVER).holds is Validity.AT_CUTOVER
    assert named_part({"a": "1"}, named_part({"a": "1"}, holds=Validity.AT_CUTOVER)).holds is Validity.AT_CUTOVER


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    """Two servers may give an object's keys in another order; lists have theirs."""
    assert short_digest({"a": 1, "b": [1, 2]}) == short_digest({"b": [1, 2], "a": 1})
    assert short_digest([1, 2]) != short_digest([2, 1])
