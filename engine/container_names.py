"""Container names."""

from __future__ import annotations

from typing import Final

from engine.constants import NAME

KEPT_SUFFIX: Final = "-moved"
"""What the stopped source container is renamed to: `<name>-moved`."""


def kept_name(container: str) -> str:
    """Return the name under which a moved source container is kept."""
    return f"{container}{KEPT_SUFFIX}"


def discarded_name(container: str, move_label: str) -> str:
    """Return the name under which a target's container is kept whose writes a rollback discarded."""
    return f"{container}-{NAME}-discarded-{move_label.rsplit('/', 1)[1]}"
