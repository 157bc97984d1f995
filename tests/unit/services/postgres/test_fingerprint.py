"""Definitions of PostgreSQL's objects in one spelling: a dump and its restore change some without changing what they
mean.
"""

from __future__ import annotations

import pytest

from services.postgres.fingerprint import one_spelling

BEFORE = (
    "CHECK (((status)::text = ANY ((ARRAY['connected'::character varying, 'it''s [off]'::character varying])::text[])))"
)
AFTER = (
    "CHECK (((status)::text = ANY (ARRAY[('connected'::character varying)::text, ('it''s [off]'::character "
    "varying)::text])))"
)


def test_a_restored_check_is_the_same() -> None:
    """As PostgreSQL 17 wrote n8n's checks before a dump and after its restore."""
    assert one_spelling(BEFORE) == one_spelling(AFTER)


@pytest.mark.parametrize(
    "other",
    [
        BEFORE.replace("connected", "Connected"),
        BEFORE.replace("'connected'::character varying, ", ""),
        BEFORE.replace("= ANY", "<> ALL"),
        BEFORE.replace("status", "state"),
    ],
)
def test_another_check_stays_another(other: str) -> None:
    """Values, their number, the comparison and the column still count."""
    assert one_spelling(other) != one_spelling(AFTER)


def test_what_has_no_array_is_left_alone() -> None:
    """An index, a function, a view keep their words."""
    text = "CREATE INDEX orders_state ON public.orders USING btree (state) WHERE (state = 'open'::text)"
    assert one_spelling(text) == text
