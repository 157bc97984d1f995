"""Measure the outage from outside: a container on the source asks the service ten times a second and continues without
us.

It asks at the product's own level: a relay accepts TCP connections even while the service behind it is dead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from actions.common.base_action import RouteAction
from actions.common.labels import label_flags, labels
from actions.common.route import Route, inspect_container, look, run_checked
from actions.common.toolbox import remove_helpers
from actions.outage.measurement import Outage, measure_outage
from actions.outage.probe_program import PROBE_PROGRAM
from actions.outage.vantage_point import ProbeTarget
from engine.constants import TOOLBOX_IMAGE
from engine.contracts.action import Note
from engine.errors import ActionError
from engine.finding import say
from engine.polling import Polling
from engine.verdict import Judgement, failed, passed, unknown

ROLE: Final = "probe"
PERIOD_S: Final = 0.1
FIRST_ANSWER_S: Final = 15.0
LAST_ANSWER_S: Final = 60.0


@dataclass(frozen=True)
class StartProbe(RouteAction):
    """Start the probe and see its first good answer: a probe that never saw the service can't measure an outage."""

    aim: ProbeTarget
    key = "start-probe"
    seconds = 2.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "{source}: start the outage probe: {viewpoint}, every {period_s:.0f} ms",
            source=self.route.source,
            viewpoint=self.aim.viewpoint(self.route.source),
            period_s=PERIOD_S * 1000,
        )

    def do(self, note: Note) -> None:
        """Start it, unless this attempt's probe runs already: it has seen what we have not."""
        route, name = self.route, self.route.slug(ROLE)
        note["viewpoint"] = self.aim.viewpoint(route.source)
        running = inspect_container(route.fleet, route.source, name)
        if running is not None and running["State"]["Running"]:
            return
        remove_helpers(route.fleet, route.source, route.move_label, ROLE)
        route.audit(route.source, self.key, self.describe())
        argv = [
            "docker", "run", "--detach", "--name", name, "--network", self.aim.network, "--restart", "unless-stopped",
            "--log-driver", "json-file", "--log-opt", "max-size=20m", "--env", "RES_OPTIONS=timeout:1 attempts:1",
            *label_flags(labels(route.move_label, ROLE)), TOOLBOX_IMAGE, "python3", "-u", "-c", PROBE_PROGRAM,
            self.aim.name, str(self.aim.port), str(PERIOD_S), *self.aim.words(),
        ]  # fmt: skip
        run_checked(route.fleet, route.source, argv, doing=say("start the probe"), timeout_s=60.0)
        wait_for_good(route, FIRST_ANSWER_S)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it runs and has had a good answer."""
        route, name = self.route, self.route.slug(ROLE)
        running = inspect_container(route.fleet, route.source, name)
        if running is None or not running["State"]["Running"]:
            return failed(
                say(
                    "{source}: probe {name} does not run. Expected: running. Run the move again",
                    source=route.source,
                    name=name,
                )
            )
        lines = read_probe(route)
        if not any(json.loads(line).get("good") for line in lines):
            return failed(
                say(
                    "{source}: {viewpoint}: no good answer in {count} lines (last: {line}). Expected: the service "
                    "answers before its move",
                    source=route.source,
                    viewpoint=self.aim.viewpoint(route.source),
                    count=len(lines),
                    line=lines[-1] if lines else say("none"),
                )
            )
        return passed(
            say("{source}: probe runs: {viewpoint}", source=route.source, viewpoint=self.aim.viewpoint(route.source)),
            period_s=PERIOD_S,
        )

    def undo(self, note: Note) -> None:
        """Note what it saw, once the source answers again or can't be waited for any longer, then remove it."""
        if inspect_container(self.route.fleet, self.route.source, self.route.slug(ROLE)) is not None:
            try:
                lines = wait_for_good(self.route, FIRST_ANSWER_S)
            except ActionError:
                lines = read_probe(self.route)
            seen = measure_outage(lines, self.aim.viewpoint(self.route.source), PERIOD_S)
            note["outage"] = seen.record() if seen else None
        remove_helpers(self.route.fleet, self.route.source, self.route.move_label, ROLE)


@dataclass(frozen=True)
class MeasureOutage(RouteAction):
    """Read what the probe saw, once the service answers again, and remove it."""

    aim: ProbeTarget
    key = "measure-outage"
    seconds = 1.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say("{source}: read the outage from the probe and remove it", source=self.route.source)

    def do(self, note: Note) -> None:
        """Wait for the first good answer after the move, read the log into the note, remove the probe.

        One that is gone or does not run has not seen the end: what it saw is no measurement.
        """
        route = self.route
        if not (note.get("outage") or {}).get("to_at"):
            note["outage"] = None  # none yet, or one that was not over when it was read
        probe = None if note["outage"] else inspect_container(route.fleet, route.source, route.slug(ROLE))
        if probe is not None and probe["State"]["Running"]:
            lines = wait_for_good(route, LAST_ANSWER_S)
            seen = measure_outage(lines, self.aim.viewpoint(route.source), PERIOD_S)
            note["outage"] = seen.record() if seen else None
        route.audit(route.source, self.key, self.describe())
        remove_helpers(route.fleet, route.source, route.move_label, ROLE)

    def verify(self, note: Note) -> Judgement:
        """Judge whether the probe is removed, and an outage was measured and is over."""
        if probe_is_there(self.route):
            return unknown(say("{source}: {left_probe}", source=self.route.source, left_probe=left_probe(self.route)))
        if not note.get("outage"):
            return unknown(
                say(
                    "{service}: outage not measured: the probe is gone, did not run, or saw nothing. The service "
                    "itself is not affected",
                    service=self.route.service,
                )
            )
        outage = Outage.from_record(note["outage"])
        if outage.to_at is None:
            return failed(
                say(
                    "{service}: outage since {from_at}, not over: {viewpoint}. Expected: answers again. Look at the "
                    "forwarder: ssh {source} docker ps --filter label=longshore.role=forwarder",
                    service=self.route.service,
                    from_at=outage.from_at,
                    viewpoint=outage.viewpoint,
                    source=self.route.source,
                )
            )
        return passed(
            say(
                "{service}: outage {seconds:.1f} s (± {error_bar_s:.1f} s), {viewpoint}",
                service=self.route.service,
                seconds=outage.seconds,
                error_bar_s=outage.error_bar_s,
                viewpoint=outage.viewpoint,
            ),
            outage_s=outage.seconds,
            error_bar_s=outage.error_bar_s,
        )


def probe_is_there(route: Route) -> bool:
    """Return whether this attempt's probe is on the source, running or not."""
    return inspect_container(route.fleet, route.source, route.slug(ROLE)) is not None


def left_probe(route: Route) -> str:
    """Return what to say of a probe that is still there."""
    return say(
        "the probe {slug} is still there. Expected: removed. Try: ssh {source} docker rm -f {slug}",
        slug=route.slug(ROLE),
        source=route.source,
    )


def remove_probe(route: Route) -> None:
    """Remove this attempt's probe from the source, whatever kept its measurement from doing so."""
    remove_helpers(route.fleet, route.source, route.move_label, ROLE)


def read_probe(route: Route) -> list[str]:
    """Return the probe's lines, oldest first; empty when there is no probe."""
    result = look(route.fleet, route.source, ["docker", "logs", route.slug(ROLE)])
    if result.exit_code != 0:
        return []
    return [line for line in result.text.splitlines() if line.startswith("{")]


def wait_for_good(route: Route, deadline_s: float) -> list[str]:
    """Return the probe's lines as soon as the last of them is good; ActionError with the last line after `deadline_s`.

    The outage is measured from these lines: on a busy host a later reading may end in the next bad answer.
    """
    seen = Polling(f"the probe sees {route.service} answer", deadline_s, first_s=0.2, longest_s=2.0).until(
        lambda: read_probe(route), lambda lines: bool(lines) and bool(json.loads(lines[-1]).get("good"))
    )
    if not seen.good:
        raise ActionError(
            say(
                "{source}: probe of {service} saw no good answer within {deadline_s:.0f} s (last: {answer}). "
                "Expected: the service answers. Try: ssh {source} docker logs {slug}",
                source=route.source,
                service=route.service,
                deadline_s=deadline_s,
                answer=seen.answer[-1] if seen.answer else say("no line"),
                slug=route.slug(ROLE),
            )
        )
    return seen.answer
