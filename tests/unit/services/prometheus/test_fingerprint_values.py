"""What of Prometheus is pure: whether a scrape is old, and what a block holds."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.errors import NotObservedError, UnreachableError
from services.prometheus import product as prometheus
from services.prometheus.product import DATA, Product, _block, _blocks, _digest, _is_old

RECORDED: Final = Path(__file__).parents[3] / "recorded" / "prometheus_targets.json"
TARGETS: Final[list[dict[str, Any]]] = json.loads(RECORDED.read_text(encoding="utf-8"))["data"]["activeTargets"]
SCRAPED_AT: Final = 1767225600.0
ULID: Final = "01KDVV5H0Q4Q5N0J3YB8E1T2WX"


@pytest.mark.parametrize(
    ("target", "later_s", "old"),
    [(0, 5, False), (0, 30, False), (0, 32, True), (1, 60, False), (1, 120, False), (1, 122.6, True)],
)
def test_a_scrape_is_old_after_two_intervals(
    monkeypatch: pytest.MonkeyPatch, target: int, later_s: float, old: bool
) -> None:
    """Seconds and minutes as intervals, nanoseconds and other time zones in the answer."""
    monkeypatch.setattr(prometheus.time, "time", lambda: SCRAPED_AT + later_s)

    assert _is_old(TARGETS[target]) is old


def test_a_target_that_was_never_scraped_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus says year 1 for never."""
    monkeypatch.setattr(prometheus.time, "time", lambda: SCRAPED_AT)

    assert _is_old({**TARGETS[0], "lastScrape": "0001-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    ("interval", "later_s", "old"), [("1m30s", 0, False), ("500ms", 60, True), ("1h", 0, False), ("1d", 86_400, False)]
)
def test_intervals_of_every_form_are_read(
    monkeypatch: pytest.MonkeyPatch, interval: str, later_s: float, old: bool
) -> None:
    """Prometheus prints durations like 1m30s, 500ms and 1h."""
    monkeypatch.setattr(prometheus.time, "time", lambda: SCRAPED_AT + later_s)

    assert _is_old({**TARGETS[0], "scrapeInterval": interval}) is old


def test_an_interval_of_another_form_is_not_guessed() -> None:
    """Neither 60 seconds nor a crash."""
    with pytest.raises(NotObservedError, match='scrape interval "often" not understood'):
        _is_old({**TARGETS[0], "scrapeInterval": "often"})


def files(**more: str) -> dict[str, str]:
    """Return the digests below /prometheus."""
    return {
        f"{ULID}/meta.json": "a" * 64,
        f"{ULID}/index": "b" * 64,
        f"{ULID}/chunks/000001": "c" * 64,
        f"{ULID}/tombstones": "d" * 64,
        "wal/00000004": "e" * 64,
        "lock": "f" * 64,
        "queries.active": "0" * 64,
        "chunks_head/000001": "1" * 64,
        **more,
    }


def at(found: dict[str, str]) -> Any:
    """Return a target that has these files."""
    return SimpleNamespace(files=lambda root: found if root == DATA else {})


def test_blocks_are_described_by_their_files() -> None:
    """Index, chunks and meta count; the head, the log and the lock change all the time and do not."""
    parts = _blocks(at(files()), None)

    assert list(parts) == [f"block {ULID}"]
    assert parts[f"block {ULID}"].names == {"meta.json": "a" * 16, "index": "b" * 16, "chunks/000001": "c" * 16}
    assert parts[f"block {ULID}"].holds is Validity.SINCE_CUTOVER


def test_a_changed_chunk_changes_its_block_and_a_tombstone_does_not() -> None:
    """Chunks never change after they are written; Prometheus rewrites tombstones by itself."""
    base = _blocks(at(files()), None)[f"block {ULID}"]

    assert _blocks(at(files(**{f"{ULID}/chunks/000001": "9" * 64})), None)[f"block {ULID}"].digest != base.digest
    assert _blocks(at(files(**{f"{ULID}/tombstones": "9" * 64})), None)[f"block {ULID}"] == base


def test_a_folder_without_meta_is_no_block() -> None:
    """A block that is being written, or a folder of somebody else."""
    assert _blocks(at({f"{ULID}/index": "a" * 64, "backup/index": "b" * 64}), None) == {}


def test_a_block_that_was_compacted_away_is_reported_as_it_was() -> None:
    """Its samples are compared by queries; its absence alone is no loss."""
    since = Fingerprint("prometheus", {"block 01OLD": FingerprintPart(3, "x"), "rules": FingerprintPart(1, "y")})

    parts = _blocks(at(files()), since)

    assert parts["block 01OLD"] == FingerprintPart(3, "x")
    assert "rules" not in parts


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    """Two servers may print an object in another order."""
    assert _digest({"a": 1, "b": [2]}) == _digest({"b": [2], "a": 1}) != _digest({"a": 1, "b": [3]})
    assert (
        _block({"index": "a" * 64, "meta.json": "b" * 64}).digest
        == _block({"meta.json": "b" * 64, "index": "a" * 64}).digest
    )


def silent(at: Any, path: str, params: object = None) -> Any:
    """Answer like Prometheus over a chunk whose checksum is wrong."""
    raise UnreachableError("prometheus on wf001: GET /api/v1/query_range: checksum mismatch expected:1a, actual:2b")


def recorded() -> Fingerprint:
    """Return what was recorded at the cutover."""
    return Fingerprint("prometheus", {**_blocks(at(files()), None), "rules": FingerprintPart(1, "y")})


def test_a_damaged_block_is_named_though_no_query_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """One flipped byte: its digest shows the wrong file, and the text also names the failing query."""
    monkeypatch.setattr(prometheus, "_data", silent)
    damaged = at(files(**{f"{ULID}/chunks/000001": "9" * 64}))
    damaged.service = "prometheus"

    with pytest.raises(
        AssertionError,
        match=f"block {ULID}: changed chunks/000001.*Nothing else could be compared: .*checksum mismatch",
    ):
        Product().fingerprint(damaged, recorded())


@pytest.mark.parametrize("since", [recorded(), None])
def test_a_failing_query_over_whole_blocks_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, since: Fingerprint | None
) -> None:
    """With its files as recorded nothing is known to be wrong: could not look."""
    monkeypatch.setattr(prometheus, "_data", silent)
    whole = at(files())
    whole.service = "prometheus"

    with pytest.raises(UnreachableError, match="checksum mismatch"):
        Product().fingerprint(whole, since)


def test_whole_answers_hold_the_blocks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read twice over, in files and in answers, is in one fingerprint; blocks come first, so that messages
    name them.
    """
    monkeypatch.setattr(prometheus, "_answered", lambda at, since: {"rules": FingerprintPart(1, "y")})
    whole = at(files())
    whole.service = "prometheus"

    assert list(Product().fingerprint(whole, None).parts) == [f"block {ULID}", "rules"]
