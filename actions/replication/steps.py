"""The actions of strategy replicate: the same keys as the copy's, so that a move is reported, resumed and undone
alike.
"""

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
from engine.finding import say
from engine.verdict import Judgement, failed, passed


@dataclass(frozen=True)
class StartReplica(BaseAction):
    """Start a replica on the target while the store runs; where its conditions do not hold, copy live instead and say
    why.
    """

    replica: Replica
    others: Precopy  # the places other than the store's own data
    instead: Precopy
    key = "precopy"

    def describe(self) -> str:
        """Return the dry run's line."""
        route = self.replica.route
        return say(
            "replicate {service} from {source} to {target} while it runs; if that can't be done, copy it while it runs",
            service=route.service,
            source=route.source,
            target=route.target,
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
                say(
                    "replicate was not possible: {fallback}. Instead: {text}",
                    fallback=note["fallback"],
                    text=judgement.text,
                ),
                judgement.measured,
                judgement.details,
            )
        if not note.get("replica") or not self.replica.runs():
            return failed(
                say(
                    "{target}: no replica of {service} runs. Expected: one that follows {source}. Run the move again",
                    target=route.target,
                    service=route.service,
                    source=route.source,
                )
            )
        reason = self.replica.kind.why_not_following(self.replica.status())
        if reason:
            return failed(
                say(
                    "{target}: the replica of {service} does not follow closely: {reason}. Expected: caught up. Run "
                    "the move again",
                    target=route.target,
                    service=route.service,
                    reason=reason,
                )
            )
        return passed(
            say(
                "{target}: a replica of {service} follows {source} closely",
                target=route.target,
                service=route.service,
                source=route.source,
            ),
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
        return say(
            "let the replica on {target} take over all that {service} held; else {describe}",
            target=self.replica.route.target,
            service=self.replica.route.service,
            describe=self.instead.describe(),
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
                say(
                    "{target}: the replica of {service} has not taken over; {standing}. Expected: it holds "
                    "everything. Run the move again: {command}",
                    target=route.target,
                    service=route.service,
                    standing=self.replica.standing(),
                    command=route.command("migrate"),
                )
            )
        return passed(
            say(
                "{target}: the replica held everything that {service} held when it stopped ({end}) and is a primary "
                "now",
                target=route.target,
                service=route.service,
                end=note["end"],
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
        text = say(
            "replicated data: complete up to the position at which the source ended; none of its files was compared, "
            "its fingerprint is read next"
        )
        return Judgement(
            judgement.verdict,
            say("{text}. Other mounts: {judgement_text}", text=text, judgement_text=judgement.text),
            judgement.measured,
            judgement.details,
        )

    def _chosen(self) -> VerifyVolumes:
        return self.others if self.replicates() else self.instead
