"""Outage record."""

from __future__ import annotations

from dataclasses import dataclass

from actions.common.base_action import WrappedAction
from engine.contracts.action import Note
from engine.finding import say
from engine.journal.kinds import RecordKind
from engine.verdict import Judgement, unknown
from phases.context.service_move import ServiceMove


@dataclass(frozen=True)
class RecordedOutage(WrappedAction):
    """The measurement of the outage, written into the journal as a record of its own."""

    move: ServiceMove
    key = "measure-outage"

    def do(self, note: Note) -> None:
        """Measure, and record."""
        super().do(note)
        outage = note.get("outage")
        on_record = [
            one.body for one in self.move.context.journal.records(kind=RecordKind.OUTAGE, service=self.move.service)
        ]
        if outage and outage["from_at"] not in {one.get("from_at") for one in on_record}:
            move = self.move
            body = {
                **outage,
                "service": move.service,
                "source": move.source,
                "target": move.target,
                "predicted_s": self._predicted(),
            }
            self.move.context.run.record(RecordKind.OUTAGE, service=move.service, body=body)

    def _predicted(self) -> float | None:
        """Return what the copy while it ran predicted, None when there was none."""
        outcomes = self.move.context.journal.records(kind=RecordKind.OUTCOME, service=self.move.service)
        notes = [
            record.body.get("note") or {} for record in outcomes if record.key == "precopy" and record.body.get("ok")
        ]
        return notes[-1].get("predicted_s") if notes else None

    def verify(self, note: Note) -> Judgement:
        """Judge whether it was measured and is over; the prediction is shown next to it."""
        judgement = super().verify(note) if note else unknown(say("the outage was not measured"))
        predicted = self._predicted()
        if predicted is None or not judgement.passed:
            return judgement
        return Judgement(
            judgement.verdict,
            say("{text}; predicted: {predicted:.1f} s", text=judgement.text, predicted=predicted),
            judgement.measured,
            judgement.details,
        )
