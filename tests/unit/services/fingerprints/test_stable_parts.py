"""What a backup must hold, from two readings around it, and what a restored copy is judged by: exactly, and never on
nothing.
"""

from __future__ import annotations

import pytest

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.verdict import Verdict
from services.fingerprints.stable_parts import MOVED, judge_restored, moved_parts, settle


def prints(**parts: FingerprintPart) -> Fingerprint:
    """Return a fingerprint of postgres."""
    return Fingerprint("postgres", parts)


def named(**names: str) -> FingerprintPart:
    """Return a part of which every single thing is known."""
    return FingerprintPart(len(names), "/".join(names.values()), names=names)


STILL = FingerprintPart(3, "roles")


def test_what_stayed_the_same_must_come_back_exactly() -> None:
    """The same parts pass with their denominators; one row less fails and is named."""
    expected = settle(
        prints(roles=STILL, orders=FingerprintPart(100, "o")), prints(roles=STILL, orders=FingerprintPart(100, "o"))
    )

    same = judge_restored(expected, prints(roles=STILL, orders=FingerprintPart(100, "o")))
    lost = judge_restored(expected, prints(roles=STILL, orders=FingerprintPart(99, "p")))

    assert (same.verdict, same.text) == (Verdict.PASSED, "postgres: all equal; 2 parts (103 things) compared")
    assert lost.verdict is Verdict.FAILED
    assert "orders: 100 → 99" in lost.text


def test_parts_that_hold_at_the_cutover_only_are_compared_too_when_nothing_wrote() -> None:
    """Between two equal readings nothing changed, however long a part holds otherwise."""
    keyless = FingerprintPart(7, "k", Validity.AT_CUTOVER)
    expected = settle(prints(log=keyless), prints(log=keyless))

    assert (
        judge_restored(expected, prints(log=FingerprintPart(7, "other", Validity.AT_CUTOVER))).verdict is Verdict.FAILED
    )


@pytest.mark.parametrize(
    ("count", "verdict"), [(100, Verdict.PASSED), (91, Verdict.PASSED), (80, Verdict.FAILED), (0, Verdict.FAILED)]
)
def test_what_changed_meanwhile_must_be_there_about_as_much(count: int, verdict: Verdict) -> None:
    """A table in use can't be compared row by row; an emptied one is found all the same, and the row says what was not
    compared.
    """
    expected = settle(
        prints(roles=STILL, orders=FingerprintPart(100, "a")), prints(roles=STILL, orders=FingerprintPart(101, "b"))
    )

    judged = judge_restored(expected, prints(roles=STILL, orders=FingerprintPart(count, "c")))

    assert moved_parts(expected) == ["orders"]
    assert judged.verdict is verdict
    assert any(MOVED in line for line in judged.details) is judged.passed


def test_single_things_that_stayed_are_compared_though_others_changed() -> None:
    """One key written meanwhile does not hide that another one is lost."""
    before, after = prints(keys=named(a="1", b="2", c="3")), prints(keys=named(a="1", b="9", c="3"))
    expected = settle(before, after)

    assert expected.parts["keys"].names == {"a": "1", "c": "3"}
    assert judge_restored(expected, prints(keys=named(a="1", b="5", c="3"))).passed
    lost = judge_restored(expected, prints(keys=named(a="1", b="9")))
    assert lost.verdict is Verdict.FAILED
    assert "missing c" in lost.text


def test_a_part_that_was_removed_meanwhile_is_not_wanted() -> None:
    """A table dropped during the backup is in no restore, rightly."""
    assert set(settle(prints(roles=STILL, old=FingerprintPart(1, "x")), prints(roles=STILL)).parts) == {"roles"}


def test_nothing_but_counts_is_not_a_proof() -> None:
    """When everything changed, no content was seen: UNKNOWN, never PASSED."""
    expected = settle(prints(orders=FingerprintPart(100, "a")), prints(orders=FingerprintPart(101, "b")))

    assert judge_restored(expected, prints(orders=FingerprintPart(100, "c"))).verdict is Verdict.UNKNOWN


def test_nothing_recorded_is_not_a_proof() -> None:
    """An empty side is UNKNOWN."""
    assert judge_restored(prints(), prints(roles=STILL)).verdict is Verdict.UNKNOWN
    assert judge_restored(prints(roles=STILL), prints()).verdict is Verdict.UNKNOWN


def test_what_an_export_never_holds_is_left_out_and_said() -> None:
    """A new cluster has an identity of its own."""
    expected = prints(roles=STILL, identity=FingerprintPart(1, "source"))

    judged = judge_restored(expected, prints(roles=STILL, identity=FingerprintPart(1, "scratch")), {"identity"})

    assert judged.passed
    assert judged.details == ("identity: such a backup does not hold it",)
