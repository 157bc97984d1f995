"""The actions of strategy replicate: the same keys as the copy's, so that a move is told, resumed and undone alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from actions.common.base_action import BaseAction
from actions.copy.precopy import Precopy
from actions.copy.verification import VerifyVolumes
from actions.copy.volumes import CopyVolumes
from actions.replication.replica import Replica
from engine.contracts.action import Note
from engine.errors import ActionError, NotObservedError
from engine.verdict import Judgement, failed, passed


@dataclass(frozen=True)
class StartReplica(BaseAction):
    """Start a replica on the target while the store runs; where its conditions do not hold, copy live instead and say
    why.
    """

    replica: Replica
    others: Precopy  # the places beside the store's own data
    instead: Precopy
    key = "precopy"

    def describe(self) -> str:
        """Return the dry run's line."""
        route = self.replica.route
        return (
            f"replicate {route.service} from {route.source} to {route.target} while it runs; if that can't be "
            "done, copy it while it runs"
        )

    def estimate_s(self) -> float | None:
        """Return seconds, None when the size is not known."""
        return self.instead.estimate_s()

    def do(self, note: Note) -> None:
        """Replicate, or note why not and copy."""
        started = time.monotonic()
        note.pop("fallback", None)
        note["created"] = [place.text() for place in self.instead.last.places]
        reason = self._try(note)
        if reason:
            note["fallback"] = reason
            self.replica.remove()
            self.instead.last.undo(note)
            self.instead.do(note)
            return
        note.update(replica=True, predicted_s=self.instead.others_s, seconds=round(time.monotonic() - started, 1))

    def _try(self, note: Note) -> str:
        """Return why replication is not possible, empty when the replica follows."""
        try:
            self.replica.remove()  # one of an earlier run would be a replica of the source like any other
            reason = self.replica.why_not()
            if not reason:
                self.others.do(note)
                self.replica.start()
        except (ActionError, NotObservedError) as error:
            return str(error)
        return reason

    def verify(self, note: Note) -> Judgement:
        """Judge whether the replica follows, or the copy instead of it came to its end."""
        route = self.replica.route
        if note.get("fallback"):
            judgement = self.instead.verify(note)
            return Judgement(
                judgement.verdict,
                f"replicate was not possible: {note['fallback']}. Instead: {judgement.text}",
                judgement.measured,
                judgement.details,
            )
        if not note.get("replica") or not self.replica.runs():
            return failed(
                f"{route.target}: no replica of {route.service} runs. Expected: one that follows "
                f"{route.source}. Run the move again"
            )
        reason = self.replica.kind.why_not_following(self.replica.status())
        if reason:
            return failed(
                f"{route.target}: the replica of {route.service} does not follow closely: {reason}. Expected: "
                "caught up. Run the move again"
            )
        return passed(
            f"{route.target}: a replica of {route.service} follows {route.source} closely",
            predicted_outage_s=note["predicted_s"],
        )

    def undo(self, note: Note) -> None:
        """Remove replica, tunnel and key, and what this attempt created."""
        self.replica.remove()
        self.instead.undo(note)


@dataclass(frozen=True)
class FinishReplica(BaseAction):
    """Once the source has stopped: prove that the replica holds everything, and make its data a primary's."""

    replica: Replica
    others: CopyVolumes
    instead: CopyVolumes
    replicates: Callable[[], bool] = field(repr=False, compare=False)
    key = "copy-volumes"
    seconds = 5.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return (
            f"let the replica on {self.replica.route.target} take over all that {self.replica.route.service} "
            f"held; else {self.instead.describe()}"
        )

    def do(self, note: Note) -> None:
        """Take over, or copy the rest."""
        if not self.replicates():
            self.instead.do(note)
            return
        started = time.monotonic()
        self.others.do(note)
        note["end"] = self.replica.take_over()
        note["seconds"] = round(time.monotonic() - started, 3)

    def verify(self, note: Note) -> Judgement:
        """Judge whether it took over, or whether all was copied."""
        if not self.replicates():
            return self.instead.verify(note)
        route = self.replica.route
        if not note.get("end"):
            return failed(
                f"{route.target}: the replica of {route.service} has not taken over; {self.replica.standing()}. "
                "Expected: it holds everything. "
                f"Run the move again: {route.command('migrate')}"
            )
        return passed(
            (
                f"{route.target}: the replica held everything that {route.service} held when it stopped "
                f"({note['end']}) and is a primary now"
            ),
            seconds=note.get("seconds", 0.0),
        )

    def undo(self, note: Note) -> None:
        """Remove replica, tunnel and key, and what this attempt created."""
        self.replica.remove()
        self.instead.undo(note)


@dataclass(frozen=True)
class ProveReplica(BaseAction):
    """What was copied as files is compared as files; what was replicated is complete by its end position, and no file
    of it is compared.
    """

    others: VerifyVolumes
    instead: VerifyVolumes
    replicates: Callable[[], bool] = field(repr=False, compare=False)
    key = "verify-volumes"

    def describe(self) -> str:
        """Return the dry run's line."""
        return self.instead.describe()

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return self.instead.estimate_s()

    def do(self, note: Note) -> None:
        """Compare, and copy once more what differs."""
        self._chosen().do(note)

    def verify(self, note: Note) -> Judgement:
        """Judge the comparison of what was copied."""
        judgement = self._chosen().verify(note)
        if not self.replicates() or not judgement.passed:
            return judgement
        text = (
            "replicated data: complete up to the position at which the source ended; none of its files was "
            "compared, its fingerprint is read next"
        )
        return Judgement(
            judgement.verdict, f"{text}. Other mounts: {judgement.text}", judgement.measured, judgement.details
        )

    def _chosen(self) -> VerifyVolumes:
        return self.others if self.replicates() else self.instead
