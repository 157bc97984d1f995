"""A row of PostgreSQL is digested whole, whatever its columns are called."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contracts.fingerprint import Validity
from services.postgres import fingerprint as prints


class Connection:
    """Remembers what it is asked."""

    def __init__(self) -> None:
        """Start."""
        self.asked = ""

    def execute(self, query: Any) -> Any:
        """Note it, answer with no row."""
        self.asked = query.as_string(None)
        return self

    def fetchone(self) -> tuple[int, str, str, None]:
        """Return an empty table."""
        return 0, "0", "0", None


@pytest.mark.parametrize("key", [None, "t", "longshore: the whole row"])
def test_a_column_named_like_the_row_does_not_take_its_place(key: str | None) -> None:
    """A bare name would be the column of that name, a time or a payload; `ROW(name.*)` can only be the row."""
    connection: Any = Connection()
    prints._table(connection, ("public", "samples"), key, None, Validity.SINCE_CUTOVER)

    assert 'convert_to(ROW("longshore: the whole row".*)::text' in connection.asked
    assert 'FROM ONLY "public"."samples" AS "longshore: the whole row"' in connection.asked
    assert 'row"::text' not in connection.asked
