"""What preflight begins with, and reports later."""

from __future__ import annotations

import pytest

from phases.session.prefetch import Prefetch


@pytest.fixture(scope="session", autouse=True)
def _asked_from_the_first_row_on(ahead: Prefetch) -> Prefetch:
    """Let the services answer while the rows about hosts are reported."""
    return ahead
