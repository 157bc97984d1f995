"""Copy while the service runs until little is left for its outage, and clear away what the copy needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from actions.common.base_action import BaseAction, RouteAction
from actions.common.route import refuse_under_container
from actions.copy.endpoints import PURPOSE, CopyEndpoints
from actions.copy.rsync import FEWEST_PASSES, CopyPass, predict_last_s, why_no_more
from actions.copy.ssh_channel import has_key, key_comment, list_keys
from actions.copy.verification import LITTLE_BYTES, SOON_READ_BYTES, choose_algorithm
from actions.copy.volumes import CopyVolumes
from actions.outage.probe import left_probe, probe_is_there, remove_probe
from engine.contracts.action import Note
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed


@dataclass(frozen=True)
class Precopy(BaseAction):
    """Copy while the service runs, again and again, until the rest is predicted to fit the outage that the plan allows.

    `others_s` is what the rest of the outage takes: stopping, creating, starting, becoming ready.
    """

    last: CopyVolumes
    others_s: float
    key = "precopy"

    def describe(self) -> str:
        """Return the dry run's line."""
        budget = self.last.limits.outage_budget_s
        return say(
            "{describe}, while {service} runs, until the rest fits an outage of {budget:g} s or shrinks no more",
            describe=self.last.describe(),
            service=self.last.route.service,
            budget=budget,
        )

    def estimate_s(self) -> float | None:
        """Return seconds, None when the size is not known: everything once, then changes."""
        return self.last.estimate_s()

    def do(self, note: Note) -> None:
        """Make passes; each is a copy and, for a full proof, a reading of both sides."""
        last, started = self.last, time.monotonic()
        note["created"] = [place.text() for place in last.places]
        note.pop("predicted_s", None)
        if not last.places:
            note.update(passes=[], predicted_s=round(self.others_s, 1), why="nothing to copy")
            return
        refuse_under_container(last.route)
        if last.ends.open():
            # an earlier, interrupted run's: its readings may be of a moment that it did not see the end of
            last.ends.remove()
            last.ends.open()
        last.begin(note)
        note["hash"] = choose_algorithm(last.ends, last.size_bytes)
        seconds: list[float] = []
        note["passes"] = []
        while not (why := why_no_more(seconds, last.limits.outage_budget_s - self.others_s)):
            done, took = self._one_pass(len(seconds) + 1)
            seconds.append(took)
            note["passes"].append({**done.record(), "with_reading_s": round(took, 3)})
        last.ends.renew()
        note["why"], note["predicted_last_s"] = why, round(predict_last_s(seconds) or 0.0, 2)
        note["predicted_s"] = round(note["predicted_last_s"] + self.others_s, 2)
        note["seconds"] = round(time.monotonic() - started, 1)

    def _one_pass(self, number: int) -> tuple[CopyPass, float]:
        last = self.last
        last.route.audit(last.route.source, self.key, f"pass {number} of the copy while {last.route.service} runs")
        done = last.copying(f"pass {number} of").copy(live=True, reuse_way=number > 1)
        another_comes = number < FEWEST_PASSES and done.size_bytes < SOON_READ_BYTES
        reading_s = last.proving().remember(rest=not another_comes and done.size_bytes >= LITTLE_BYTES)
        last.report(
            f"pass {number}: {done.sent_bytes / 1e6:,.1f} MB sent in {done.seconds:.1f} s, both sides read in "
            f"{reading_s:.1f} s"
        )
        return done, done.seconds + reading_s

    def verify(self, note: Note) -> Judgement:
        """Judge whether the passes came to their end and both ends of the copy are still there for the last one."""
        last = self.last
        if "predicted_s" not in note:
            return failed(
                say(
                    "{target}: the copy while {service} runs did not end. Run the move again: it resumes where it "
                    "stopped",
                    target=last.route.target,
                    service=last.route.service,
                )
            )
        passes = note["passes"]
        if passes and not all(last.ends.runs(host) for host in (last.route.source, last.route.target)):
            return failed(
                say(
                    "{target}: the copy's containers are no longer running. Expected: running until the last pass. "
                    "Run the move again",
                    target=last.route.target,
                )
            )
        sent = sum(one["sent_bytes"] for one in passes)
        return passed(
            say(
                "{service}: {count} passes while it ran, {sent:,} bytes sent; outage predicted: {predicted_s:.1f} s "
                "(the plan allows {outage_budget_s:g} s): {why}",
                service=last.route.service,
                count=len(passes),
                sent=sent,
                predicted_s=note["predicted_s"],
                outage_budget_s=last.limits.outage_budget_s,
                why=note["why"],
            ),
            tuple(
                say(
                    "pass {number}: {sent_bytes:,} bytes in {with_reading_s:.1f} s",
                    number=number,
                    sent_bytes=one["sent_bytes"],
                    with_reading_s=one["with_reading_s"],
                )
                for number, one in enumerate(passes, start=1)
            ),
            passes=len(passes),
            sent_bytes=sent,
            predicted_outage_s=note["predicted_s"],
        )

    def undo(self, note: Note) -> None:
        """Remove what this attempt created on the target."""
        self.last.undo(note)


@dataclass(frozen=True)
class RemoveCopyHelpers(RouteAction):
    """Remove what the copy needed on both hosts: its containers and its key; the data stays."""

    ends: CopyEndpoints
    more: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    more_left: Callable[[], str] = field(default=lambda: "", repr=False, compare=False)
    key = "remove-copy-helpers"
    seconds = 2.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "remove the copy's containers from {source} and {target}, and its key",
            source=self.route.source,
            target=self.route.target,
        )

    def do(self, note: Note) -> None:  # noqa: ARG002
        """Remove them; the probe too, should its measurement have left it."""
        self.ends.remove()
        remove_probe(self.route)
        self.more()

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether neither end nor the key is there, on either host, and no probe."""
        route = self.route
        left = [host for host in (route.source, route.target) if self.ends.runs(host)]
        keys = [key for key in list_keys(route.fleet, route.target) if key == key_comment(route.move_label, PURPOSE)]
        if left or keys:
            return failed(
                say(
                    "{left}: the copy's {kind} is still there. Expected: removed. Run it again",
                    left=joined(", ", left) or route.target,
                    kind=say("container") if left else say("key"),
                )
            )
        if has_key(route.fleet, route.source, move_label=route.move_label, purpose=PURPOSE):
            return failed(
                say("{source}: the copy's key is still there. Expected: removed. Run it again", source=route.source)
            )
        if probe_is_there(route):
            return failed(say("{source}: {left_probe}", source=route.source, left_probe=left_probe(route)))
        if more := self.more_left():
            return failed(say("{more}. Expected: removed. Run it again", more=more))
        return passed(
            say(
                "{source} and {target}: nothing of the copy but the data is left",
                source=route.source,
                target=route.target,
            )
        )
