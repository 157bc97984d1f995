"""What of Redis is pure: one order for what has none, digests of keys, keys that were set to expire."""

from __future__ import annotations

import pytest

from services.redis.product import GONE, SOON_MS, _name_digest, _reader, _was_to_expire, canonical, shown


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (b"set", [b"b", b"a", b"\xff"], [b"\xff", b"a", b"b"]),
        (b"set", {b"a", b"b"}, [b"b", b"a"]),
        (b"hash", {b"f": b"1", b"g": b"2"}, {b"g": b"2", b"f": b"1"}),
    ],
)
def test_what_has_no_order_is_given_one(kind: bytes, one: object, other: object) -> None:
    """Two servers may list the members of a set or hash differently."""
    assert canonical(kind, one) == canonical(kind, other)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (b"list", [b"a", b"b"], [b"b", b"a"]),
        (b"stream", [(b"1-0", {b"f": b"1"})], [(b"1-1", {b"f": b"1"})]),
        (b"string", b"1", b"1 "),
        (b"string", b"1", 1),
        (b"hash", {b"f": b"1"}, {b"f": b"2"}),
        (b"zset", [b"a", b"1"], [b"a", b"1.5"]),
        (b"set", [b"ab", b"c"], [b"a", b"bc"]),
    ],
)
def test_what_differs_stays_different(kind: bytes, one: object, other: object) -> None:
    """Order of lists and streams, bytes, scores and types count."""
    assert canonical(kind, one) != canonical(kind, other)


def test_a_digest_is_of_key_type_expiry_and_value() -> None:
    """Each of the four alone changes it."""
    base = (b"cart:1", b"string", -1, b"x")
    others = [  # the same, but for one
        (b"cart:2", b"string", -1, b"x"),
        (b"cart:1", b"list", -1, b"x"),
        (b"cart:1", b"string", 2_000_000, b"x"),
        (b"cart:1", b"string", -1, b"y"),
    ]

    assert len({_name_digest(*given) for given in [base, *others, base]}) == 5
    assert "@" not in _name_digest(*base)


@pytest.mark.parametrize(("before_now_ms", "expected"), [(1, True), (0, True), (-SOON_MS, True), (-SOON_MS - 1, False)])
def test_a_key_that_was_set_to_expire_may_be_gone(before_now_ms: int, expected: bool) -> None:
    """Its expiry, with the ten minutes of grace in which we do not look, stands in its digest."""
    now_ms = 1_767_225_600_000

    assert _was_to_expire(_name_digest(b"k", b"string", now_ms - before_now_ms, b"v"), now_ms) is expected


def test_a_key_without_expiry_may_not_be_gone() -> None:
    """-1 is "for ever": missing means lost."""
    assert not _was_to_expire(_name_digest(b"k", b"string", -1, b"v"), 2**53)


def test_keys_are_shown_as_text_or_escapes() -> None:
    """Keys are bytes; a message shows each in one way."""
    assert [shown(key) for key in ("café".encode(), b"\xff\x00k")] == ["café", "\\xff\x00k"]


def test_each_type_has_its_reader_and_an_unknown_one_is_dumped() -> None:
    """A module's type is compared by its dump; a key that is gone is no value."""
    assert _reader(b"list", b"k") == ("LRANGE", b"k", 0, -1)
    assert _reader("hash", b"k") == ("HGETALL", b"k")
    assert _reader(b"ReJSON-RL", b"k") == ("DUMP", b"k")
    assert GONE == -2
