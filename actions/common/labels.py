"""The label that everything created on a host carries, so that only this move's own things are touched or removed."""

from __future__ import annotations

from collections.abc import Mapping

from engine.constants import LABEL_MOVE, LABEL_ROLE


def move_label(environment: str, service: str, attempt: int) -> str:
    """Return `<environment>/<service>/<attempt>`."""
    return f"{environment}/{service}/{attempt}"


def labels(move_label: str, role: str) -> dict[str, str]:
    """Return the labels of a container, volume or network that a move creates."""
    return {LABEL_MOVE: move_label, LABEL_ROLE: role}


def label_flags(labels: Mapping[str, str]) -> list[str]:
    """Return labels as flags of the docker command."""
    return [flag for name, value in labels.items() for flag in ("--label", f"{name}={value}")]
