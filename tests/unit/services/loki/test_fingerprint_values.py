"""What of Loki is pure: selectors of exactly one stream, and times that no question exceeds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from engine.contracts.fingerprint import Fingerprint, FingerprintPart
from engine.contracts.host import Endpoint
from engine.contracts.product import ServiceInstance
from services.loki import product as loki
from services.loki.client import NS, selector_of
from tests.fakes.facts import make_container

NOW: float = 1_795_600_000.0


def _target(**options: Any) -> ServiceInstance:
    return ServiceInstance("loki", make_container(), Endpoint("127.0.0.1", 3100), options, {})


def test_a_selector_is_of_all_labels_and_quoted() -> None:
    """Quotes and backslashes in a label's value do not end the selector."""
    assert selector_of({"job": "shop", "app": 'a "b" \\c'}) == '{app="a \\"b\\" \\\\c", job="shop"}'


def test_windows_join_and_none_is_longer_than_a_question_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The past is cut into pieces of at most thirty days; they leave nothing out and end two hours ago."""
    monkeypatch.setattr(loki.time, "time", lambda: NOW)
    windows = list(loki._windows(_target(compared_days=70), None))
    assert len(windows) == 3
    assert all(0 < end - start <= loki.WINDOW_S * NS for start, end in windows)
    assert all(earlier == later for (_, earlier), (later, _) in pairwise(reversed(windows)))
    assert windows[0][1] // NS <= NOW - loki.SETTLED_S
    assert (windows[0][1] - windows[-1][0]) // NS == 70 * 86_400


def test_the_windows_of_before_are_asked_again() -> None:
    """Nights later the same past is read, not one that moved on."""
    bound = {"start_s": 1_790_000_000, "end_s": 1_791_000_000}
    since = Fingerprint("loki", {"a": FingerprintPart(1, "d", bound=bound), "b": FingerprintPart(1, "d", bound=bound)})
    assert list(loki._windows(_target(), since)) == [(1_790_000_000 * NS, 1_791_000_000 * NS)]
