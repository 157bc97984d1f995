"""Two fingerprints compared: what differs is named, what was compared is counted, nothing is passed unseen."""

from __future__ import annotations

import pytest

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.errors import InputError
from engine.verdict import Verdict
from services.fingerprints.compare import compare_fingerprints, compare_replicated
from services.registry import PRODUCTS, product

BOTH = frozenset(Validity)


def prints(**parts: FingerprintPart) -> Fingerprint:
    """Return a fingerprint of postgres."""
    return Fingerprint("postgres", parts)


def test_equal_parts_pass_with_their_denominators() -> None:
    """The sentence says how many parts and things; new parts on the other side are no difference."""
    before = prints(orders=FingerprintPart(1200, "a"), roles=FingerprintPart(3, "b"))

    judged = compare_fingerprints(
        before, prints(orders=FingerprintPart(1200, "a"), roles=FingerprintPart(3, "b"), new=FingerprintPart(1, "c"))
    )

    assert (judged.verdict, judged.text) == (Verdict.PASSED, "postgres: all equal; 2 parts (1,203 things) compared")
    assert judged.measured == {"parts": 2, "things": 1203}


@pytest.mark.parametrize(
    ("after", "line"),
    [
        ({}, "orders: missing"),
        ({"orders": FingerprintPart(1199, "z")}, "orders: 1,200 → 1,199"),
        ({"orders": FingerprintPart(1200, "z")}, "orders: content differs (1,200 things)"),
        ({"orders": FingerprintPart(1199, "a")}, "orders: 1,200 → 1,199"),
    ],
)
def test_each_difference_has_its_words(after: dict[str, FingerprintPart], line: str) -> None:
    """Missing, another count, another content."""
    judged = compare_fingerprints(
        prints(orders=FingerprintPart(1200, "a")), prints(**after, roles=FingerprintPart(1, "r"))
    )

    assert judged.verdict is Verdict.FAILED
    assert judged.details == (line,)
    assert "1 of 1 parts differ" in judged.text


def test_single_things_are_named_where_their_names_are_kept() -> None:
    """Up to five of each kind, then how many more."""
    before = FingerprintPart(8, "a", names={f"key{n}": "1" for n in range(8)})
    after = FingerprintPart(2, "b", names={"key0": "2", "key1": "1"})

    judged = compare_fingerprints(prints(keys=before), prints(keys=after))

    assert judged.details == ("keys: missing key2, key3, key4, key5, key6 and 1 more; changed key0",)


def test_parts_that_hold_at_the_cutover_are_not_judged_later() -> None:
    """Every night after, only what must stay true is judged, and the sentence says how much was left out."""
    before = prints(rows=FingerprintPart(5, "a"), open_orders=FingerprintPart(7, "b", Validity.AT_CUTOVER))
    after = prints(rows=FingerprintPart(5, "a"), open_orders=FingerprintPart(9, "c", Validity.AT_CUTOVER))

    later, cutover = compare_fingerprints(before, after), compare_fingerprints(before, after, BOTH)

    assert later.text == "postgres: all equal; 1 parts (5 things) compared, 1 parts hold at the cutover only"
    assert cutover.details == ("open_orders: 7 → 9",)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"a": FingerprintPart(1, "a")}),
        ({"a": FingerprintPart(1, "a")}, {}),
        ({}, {}),
        ({"a": FingerprintPart(1, "a", Validity.AT_CUTOVER)}, {"a": FingerprintPart(1, "a")}),
    ],
)
def test_an_empty_side_is_unknown(before: dict[str, FingerprintPart], after: dict[str, FingerprintPart]) -> None:
    """Nothing compared is not a pass."""
    assert compare_fingerprints(prints(**before), prints(**after)).verdict is Verdict.UNKNOWN


def test_many_differences_are_counted_and_the_first_shown() -> None:
    """Three in the sentence, ten in the details, all in the count."""
    before = prints(**{f"t{n:02}": FingerprintPart(1, "a") for n in range(12)})

    judged = compare_fingerprints(before, prints(other=FingerprintPart(1, "a")))

    assert "12 of 12 parts differ: t00: missing; t01: missing; t02: missing. Expected" in judged.text
    assert (len(judged.details), judged.measured["differing"]) == (10, 12)


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_every_known_product_declares_itself(name: str) -> None:
    """Its name is its file's, its stop allows more than Docker's ten seconds or is deliberate, its patterns have
    reasons.
    """
    known = product(name)

    assert known.name == name
    assert known.ready_deadline_s > 0
    assert 0 in known.clean_exit_codes
    assert all(pattern.reason for pattern in (*known.trouble, *known.noise))


def test_an_unknown_product_is_refused_with_those_that_are_known() -> None:
    """The message says what to do tonight: select others."""
    with pytest.raises(
        InputError, match=r'product "oracle" has no folder in services/; known: caddy, generic, .*, temporal.*\. Select'
    ):
        product("oracle")


CUTOVER = Validity.AT_CUTOVER


def test_replicated_data_of_which_nearly_all_is_gone_never_passes() -> None:
    """No file of it was compared: only the parts that hold while no client writes can show the loss."""
    before = prints(keys=FingerprintPart(1_200_000, "aaaa", CUTOVER), settings=FingerprintPart(8, "s"))
    after = prints(keys=FingerprintPart(7, "bbbb", CUTOVER), settings=FingerprintPart(8, "s"))

    for held in (True, False):
        judged = compare_replicated(before, after, held=held)
        assert judged.verdict is Verdict.FAILED
        assert "keys: 1,200,000 → 7" in judged.text


def test_a_replicated_part_that_is_missing_never_passes() -> None:
    """A table that is not there at all."""
    judged = compare_replicated(
        prints(uuids=FingerprintPart(3, "a", CUTOVER), roles=FingerprintPart(1, "r")),
        prints(roles=FingerprintPart(1, "r")),
        held=False,
    )
    assert judged.verdict is Verdict.FAILED


def test_while_writers_are_held_every_replicated_part_must_be_the_same() -> None:
    """Rows of a table without a number as its key were overwritten: nobody wrote, so it is a difference."""
    before, after = (
        prints(uuids=FingerprintPart(1000, "a", CUTOVER), roles=FingerprintPart(1, "r")),
        prints(uuids=FingerprintPart(1000, "b"), roles=FingerprintPart(1, "r")),
    )

    assert compare_replicated(before, after, held=True).verdict is Verdict.FAILED
    assert "2 parts (1,001 things) compared" in compare_replicated(before, before, held=True).text


def test_a_replicated_part_that_clients_could_write_to_is_named_as_not_compared() -> None:
    """Clients wrote between the reading and the stop: the row says of what nothing was compared, and counts only what
    was.
    """
    before = prints(
        uuids=FingerprintPart(1000, "a", CUTOVER), same=FingerprintPart(5, "s", CUTOVER), roles=FingerprintPart(1, "r")
    )
    after = prints(
        uuids=FingerprintPart(1010, "b", CUTOVER), same=FingerprintPart(5, "s", CUTOVER), roles=FingerprintPart(1, "r")
    )

    judged = compare_replicated(before, after, held=False)

    assert judged.passed
    assert judged.text == (
        "postgres: all equal; 2 parts (6 things) compared; NOT compared: 1 parts that clients could write to "
        "until the stop: uuids"
    )
    assert judged.measured["not_compared"] == 1
    assert "not compared: uuids: 1,000 when it was read, 1,010 now" in judged.details


def test_replicated_data_of_which_nothing_could_be_compared_does_not_pass() -> None:
    """Every part changed: nothing compared is not a pass."""
    judged = compare_replicated(
        prints(uuids=FingerprintPart(10, "a", CUTOVER)), prints(uuids=FingerprintPart(10, "b", CUTOVER)), held=False
    )
    assert judged.verdict is Verdict.UNKNOWN
