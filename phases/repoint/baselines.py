"""What a moved dependant held at its cutover, before and after its own references are rewritten: nothing else may
change with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from actions.common.base_action import BaseAction
from engine.contracts.action import Note
from engine.contracts.fingerprint import Fingerprint, Validity
from engine.finding import say
from engine.journal.kinds import RecordKind
from engine.verdict import Judgement, failed, passed
from phases.repoint.subject import Pointing
from services.fingerprints.compare import compare_fingerprints


@dataclass(frozen=True)
class BaselineHeld(BaseAction):
    """Before anything is rewritten, what each moved dependant held at its cutover still holds; undone last, and read
    again then.
    """

    pointing: Pointing
    key = "baseline-unchanged"
    seconds = 5.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "compare what {dependants} hold with what they held at their cutover",
            dependants=", ".join(self.pointing.dependants),
        )

    def do(self, note: Note) -> None:
        """Compare."""
        note.pop("held", None)  # of an earlier attempt, which was undone
        held = []
        for dependant, before in _baselines(self.pointing).items():
            now = _read(self.pointing, dependant, before)
            answer = compare_fingerprints(before, now, frozenset({Validity.SINCE_CUTOVER}))
            if not answer.passed:
                note["wrong"] = answer.text
                return
            held.append(answer.text)
        note.pop("wrong", None)
        note["held"] = "; ".join(held) or "no dependant has a baseline that lasts"

    def verify(self, note: Note) -> Judgement:
        """Judge by what was compared then: afterwards the references differ on purpose."""
        return (
            passed(str(note["held"])) if "held" in note else failed(str(note.get("wrong") or say("not compared yet")))
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Read again the parts that became others with the references, now that these are put back; nothing else."""
        journal, service = self.pointing.context.journal, self.pointing.move.service
        record, begun = (
            journal.last(RecordKind.BASELINE_UPDATED, service=service),
            journal.last(RecordKind.REPOINT_STARTED, service=service),
        )
        if record is not None and begun is not None and record.seq > begun.seq:
            _read_anew(self.pointing, frozenset(map(str, record.body["parts"])))


@dataclass(frozen=True)
class BaselineRead(BaseAction):
    """What the new references changed in a dependant's own configuration is what every later night is compared with."""

    pointing: Pointing
    key = "references-baseline"
    seconds = 5.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "read again what {dependants} hold, for the nights to come", dependants=", ".join(self.pointing.dependants)
        )

    def do(self, note: Note) -> None:
        """Read, and note what became another."""
        note["parts"] = _read_anew(self.pointing)
        note["read"] = True

    def verify(self, note: Note) -> Judgement:
        """Judge whether it was read; the parts that changed are listed."""
        parts = tuple(note.get("parts") or ())
        if not note.get("read"):
            return failed(say("not read again yet"))
        return passed(
            say(
                "{count} parts became others with the references: {parts}",
                count=len(parts),
                parts=", ".join(parts) or say("none"),
            ),
            parts=len(parts),
        )


def _baselines(pointing: Pointing) -> dict[str, Fingerprint]:
    """Return what each dependant that moved held at its cutover, where something of that lasts."""
    found = {
        dependant: pointing.context.recorded_fingerprint(dependant, "cutover") for dependant in pointing.dependants
    }
    return {
        name: seen
        for name, seen in found.items()
        if seen and any(part.holds is Validity.SINCE_CUTOVER for part in seen.parts.values())
    }


def _read(pointing: Pointing, dependant: str, before: Fingerprint) -> Fingerprint:
    context, host = pointing.context, pointing.host_of(dependant)
    return context.product(dependant).fingerprint(context.target(dependant, host), since=before)


def _read_anew(pointing: Pointing, only: frozenset[str] | None = None) -> list[str]:
    """Record the parts of each baseline that are others now (of `only` some, where given) and return their names.

    What is gone stays in the baseline, so that it is missed. Which parts became others is on record before they do.
    """
    context, changed = pointing.context, {}
    for dependant, before in _baselines(pointing).items():
        seen = others(before, _read(pointing, dependant, before))
        parts = {name: part for name, part in seen.parts.items() if only is None or f"{dependant}: {name}" in only}
        if parts:
            changed[dependant] = (before, parts)
    named = [f"{dependant}: {name}" for dependant, (_, parts) in changed.items() for name in parts]
    if only is None:
        earlier = context.journal.last(RecordKind.BASELINE_UPDATED, service=pointing.move.service)
        context.run.record(
            RecordKind.BASELINE_UPDATED,
            service=pointing.move.service,
            body={"parts": named or (earlier.body["parts"] if earlier else [])},
        )
    for dependant, (before, parts) in changed.items():
        merged = Fingerprint(dependant, {**before.parts, **parts})
        context.record_fingerprint(dependant, pointing.host_of(dependant), "cutover", merged)
    return named


def others(before: Fingerprint, now: Fingerprint) -> Fingerprint:
    """Return the lasting parts that were there before and have other content now."""
    lasting = {
        name: part for name, part in before.parts.items() if part.holds is Validity.SINCE_CUTOVER and name in now.parts
    }
    changed = {
        name: now.parts[name]
        for name, part in lasting.items()
        if (part.count, part.digest) != (now.parts[name].count, now.parts[name].digest)
    }
    return Fingerprint(before.service, changed)
