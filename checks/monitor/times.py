"""Moments and lengths of time in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

SECOND_MS: Final = 1000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


def moment(at_ms: int) -> str:
    """Return a moment for a message, in UTC to the minute."""
    return f"{datetime.fromtimestamp(at_ms / SECOND_MS, UTC):%Y-%m-%d %H:%M} UTC"


def milliseconds(at: datetime) -> int:
    """Return a moment with a zone in milliseconds of the Unix epoch."""
    return round(at.timestamp() * SECOND_MS)
