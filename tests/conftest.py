"""What all tests have in common."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of each later garbage collection: it stays until the end."""
    gc.collect()
    gc.freeze()
