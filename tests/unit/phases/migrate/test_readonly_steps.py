"""What the comparison on the target says was compared: no more than what was looked at, and of replicated data every
part.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actions.copy.verification import VerifyVolumes
from actions.replication.steps import ProveReplica
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.verdict import Verdict, passed
from phases.context.service_move import ServiceMove, service_move
from phases.migrate import readonly_steps as migrate
from phases.migrate.recipe import _hold_and_read

SETTINGS = FingerprintPart(8, "s")
KEYS = FingerprintPart(1_200_000, "aaaa", Validity.AT_CUTOVER)
FEW = FingerprintPart(7, "bbbb", Validity.AT_CUTOVER)


def context(
    before: dict[str, FingerprintPart] | None,
    after: dict[str, FingerprintPart],
    *,
    replica: bool = False,
    hook: bool = False,
) -> Any:
    """Return a run in which the service held that before, and holds this now."""
    note = {"note": {"replica": replica}}
    return SimpleNamespace(
        product=lambda _service: SimpleNamespace(fingerprint=lambda _at, since: Fingerprint("redis", after)),
        target=lambda _service, _host, **_: None,
        recorded_fingerprint=lambda _service, _moment: None if before is None else Fingerprint("redis", before),
        record_fingerprint=lambda *_: None,
        journal=SimpleNamespace(records=lambda **_: [SimpleNamespace(key="precopy", body=note)]),
        entry=lambda _service: SimpleNamespace(hooks=SimpleNamespace(before_hold="hold" if hook else None)),
    )


def ask(context: Any, strategy: str, monkeypatch: pytest.MonkeyPatch, *, places: int = 1, verify: str = "full") -> Any:
    """Return the answer of fingerprint-target."""
    monkeypatch.setattr(ServiceMove, "places", lambda _self: ("place",) * places)
    planned: Any = SimpleNamespace(service="redis", source="wf005", target="wf001", strategy=strategy, verify=verify)
    context.move_of = lambda _service: planned
    return migrate.fingerprint_target(service_move(context, "redis")).verify({})


@pytest.mark.parametrize("hook", [True, False])
def test_a_replicated_store_that_lost_its_keys_fails(monkeypatch: pytest.MonkeyPatch, hook: bool) -> None:
    """1,200,000 keys became 7: with no file compared, the parts that hold at the cutover only are judged here or by
    nobody.
    """
    answer = ask(
        context(
            {"db 0: keys": KEYS, "settings": SETTINGS},
            {"db 0: keys": FEW, "settings": SETTINGS},
            replica=True,
            hook=hook,
        ),
        "replicate",
        monkeypatch,
    )

    assert answer.verdict is Verdict.FAILED
    assert "db 0: keys: 1,200,000 → 7" in answer.text


def test_replicated_data_without_a_reading_of_its_source_is_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither files nor a fingerprint: nothing was compared."""
    answer = ask(context(None, {}, replica=True), "replicate", monkeypatch)

    assert answer.verdict is Verdict.UNKNOWN
    assert "nothing was compared" in answer.text


def test_what_was_copied_as_files_says_which_parts_were_not_compared_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof's level stands in the row: what was read of the files is what was compared of these parts."""
    seen = context({"db 0: keys": KEYS, "settings": SETTINGS}, {"db 0: keys": FEW, "settings": SETTINGS})

    answer = ask(seen, "precopy", monkeypatch, verify="sampled")

    assert answer.passed
    assert answer.text == (
        "redis: all equal; 1 parts (8 things) compared, 1 parts not compared here: they hold only while no client "
        "writes; "
        "the files of 1 mounts were compared (three parts of each file's content)"
    )


@pytest.mark.parametrize(
    ("places", "text"),
    [(2, "the files of 2 mounts were compared (all content)"), (0, "so no file was compared either")],
)
def test_a_product_without_a_fingerprint_is_not_called_proven_when_no_file_was(
    monkeypatch: pytest.MonkeyPatch, places: int, text: str
) -> None:
    """A service whose mounts all have rule same_on_target: nothing of it was compared, and the row says that."""
    answer = ask(context(None, {}), "stop_copy", monkeypatch, places=places)

    assert answer.passed
    assert answer.text.endswith(text)
    assert "identical" not in answer.text


def test_the_proof_of_replicated_data_calls_nothing_compared() -> None:
    """Complete up to the source's end; its files were not compared, and there is no other mount either."""
    route: Any = SimpleNamespace(service="redis", source="wf005", target="wf001", container="redis")
    looks: Any = None
    others = VerifyVolumes(route, (), None, looks, looks)

    text = ProveReplica(others, others, lambda: True).verify({}).text

    assert "none of its files was compared" in text
    assert "nothing to compare" not in text
    assert "no mount is copied, so no file was compared" in text


@pytest.mark.parametrize(("strategy", "hook", "keys"), [
    ("replicate", True, ["hook-before-hold", "fingerprint-source"]),
    ("precopy", True, ["fingerprint-source", "hook-before-hold"]),
    ("replicate", False, ["fingerprint-source"]),
])  # fmt: skip
def test_what_replicates_is_read_once_its_writers_are_held(strategy: str, hook: bool, keys: list[str]) -> None:
    """Only then every part can be compared; whatever is copied as files is read before, outside of the outage."""
    held = SimpleNamespace(argv=("true",), timeout_s=1, undo_argv=())
    entry: Any = SimpleNamespace(hooks=SimpleNamespace(before_hold=held if hook else None))
    planned: Any = SimpleNamespace(service="redis", source="wf005", target="wf001", strategy=strategy)
    nothing: Any = None
    move = ServiceMove(nothing, planned, entry, nothing)
    route: Any = SimpleNamespace(move_label="lab/redis/1")

    assert [action.key for action in _hold_and_read(move, route)] == keys
    assert passed("").passed
