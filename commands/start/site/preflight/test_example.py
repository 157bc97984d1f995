"""Your own checks of preflight: ordinary pytest-testinfra tests. A failed one closes the gate of migrate."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.target_hosts  # without it: every host of the run
@pytest.mark.warning  # without it a failure closes the gate
def test_swappiness_is_low(host: Any) -> None:
    """The target host swaps late: vm.swappiness is at most 10."""
    assert int(host.check_output("sysctl -n vm.swappiness")) <= 10
