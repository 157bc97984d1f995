"""What a moved dependant holds is compared before its references are rewritten, and only what they changed is compared
with later.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.contracts.action import Note
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.redaction.redactor import Redactor
from phases.repoint.baselines import BaselineHeld, BaselineRead

CUTOVER = {
    "configuration": FingerprintPart(1, "old"),
    "samples": FingerprintPart(9, "s"),
    "wal": FingerprintPart(1, "w", Validity.AT_CUTOVER),
}


class Prometheus:
    """A moved dependant; `now` is what it holds, `baseline` what nights are compared with."""

    def __init__(self, path: Path) -> None:
        """Start as at the cutover."""
        self.now = dict(CUTOVER)
        self.baseline = Fingerprint("prometheus", dict(CUTOVER))
        self.journal = Journal.open(path / "p.sqlite", redactor=Redactor())
        self.run = self.journal.start_run(command="repoint", environment="production")
        self.run.record(RecordKind.REPOINT_STARTED, service="orders", body={"links": []})
        context = SimpleNamespace(
            journal=self.journal,
            run=self.run,
            recorded_fingerprint=lambda _service, _moment: self.baseline,
            record_fingerprint=self._record,
            product=lambda _service: SimpleNamespace(
                fingerprint=lambda _at, since: Fingerprint(since.service, dict(self.now))
            ),
            target=lambda _service, _host: None,
        )
        move = SimpleNamespace(service="orders")
        self.pointing: Any = SimpleNamespace(
            context=context, move=move, dependants=("prometheus",), host_of=lambda _dependant: "wf001"
        )

    def _record(self, _service: str, _host: str, moment: str, fingerprint: Fingerprint) -> None:
        assert moment == "cutover"
        self.baseline = fingerprint


@pytest.fixture
def prometheus(tmp_path: Path) -> Prometheus:
    """Return it."""
    return Prometheus(tmp_path)


def test_what_the_references_changed_is_the_baseline_until_they_are_put_back(prometheus: Prometheus) -> None:
    """The text names one part; after the undo the old baseline holds again."""
    held, note = BaselineHeld(prometheus.pointing), Note()
    held.do(note)
    assert held.verify(note).passed
    prometheus.now["configuration"] = FingerprintPart(1, "new")

    reading, read = BaselineRead(prometheus.pointing), Note()
    reading.do(read)

    assert reading.verify(read).text == "1 parts became others with the references: prometheus: configuration"
    assert prometheus.baseline.parts["configuration"] == FingerprintPart(1, "new")
    prometheus.now["configuration"] = FingerprintPart(1, "old")
    held.undo(note)
    assert dict(prometheus.baseline.parts) == CUTOVER


def test_damage_that_is_there_before_stops_it_and_never_becomes_the_baseline(prometheus: Prometheus) -> None:
    """Neither by the next action nor by the undo."""
    prometheus.now["samples"] = FingerprintPart(8, "lost")
    held, note = BaselineHeld(prometheus.pointing), Note(held="of an earlier attempt")

    held.do(note)
    judged = held.verify(note)
    held.undo(note)

    assert not judged.passed
    assert "samples: 9 → 8" in judged.text
    assert prometheus.baseline.parts["samples"] == FingerprintPart(9, "s")


def test_damage_that_comes_later_is_not_taken_over_by_the_undo(prometheus: Prometheus) -> None:
    """Only the parts that became others with the references are read again."""
    held, note = BaselineHeld(prometheus.pointing), Note()
    held.do(note)
    prometheus.now["configuration"] = FingerprintPart(1, "new")
    BaselineRead(prometheus.pointing).do({})
    prometheus.now |= {"configuration": FingerprintPart(1, "old"), "samples": FingerprintPart(8, "lost")}

    held.undo(note)

    assert dict(prometheus.baseline.parts) == CUTOVER


def test_what_was_read_again_is_known_after_a_cut(prometheus: Prometheus) -> None:
    """Killed once the parts were recorded: done again, it finds no difference and still knows them."""
    held, note = BaselineHeld(prometheus.pointing), Note()
    held.do(note)
    prometheus.now["configuration"] = FingerprintPart(1, "new")
    BaselineRead(prometheus.pointing).do({})
    BaselineRead(prometheus.pointing).do({})
    prometheus.now["configuration"] = FingerprintPart(1, "old")

    held.undo(note)

    assert dict(prometheus.baseline.parts) == CUTOVER


def test_what_is_gone_is_missed(prometheus: Prometheus) -> None:
    """It stays in the baseline."""
    del prometheus.now["samples"]
    BaselineRead(prometheus.pointing).do({})

    assert prometheus.baseline.parts["samples"] == FingerprintPart(9, "s")


def test_a_dependant_of_which_nothing_lasts_is_not_compared(prometheus: Prometheus) -> None:
    """Its files were, at the cutover."""
    prometheus.baseline = Fingerprint("prometheus", {"wal": FingerprintPart(1, "w", Validity.AT_CUTOVER)})
    held, note = BaselineHeld(prometheus.pointing), Note()
    held.do(note)

    assert held.verify(note).text == "no dependant has a baseline that lasts"
