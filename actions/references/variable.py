"""References in the environment of a dependant: its container is made anew on its host with everything else
as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import docker.errors

from actions.common.route import Route, docker_api, inspect_container, run_checked
from actions.container.source import STOPPED_STATES, grace_of
from actions.container.target import first_network_only
from actions.container_spec.create_body import Specification, specification_of
from actions.container_spec.saved_spec import read_privately, save_privately
from actions.references.text_edit import ReferenceState, variables_of, with_variables
from checks.containers.recreated import judge_fidelity
from engine.constants import NAME
from engine.errors import ActionError, ManualInterventionError
from engine.finding import joined, say

SPARE: Final = f"{NAME}-replaced"


@dataclass(frozen=True)
class VariableReference:
    """Some variables of one dependant; `secret` gets each value before it can appear in any text.

    The old values, and the restart policy, are kept on the host until they are put back (root, 0600): they may be
    secret.
    """

    route: Route
    values: Mapping[str, str]
    kept: str
    grace_s: int = 30
    secret: Callable[[Mapping[str, str]], None] = field(default=lambda _env: None, repr=False)

    @property
    def name(self) -> str:
        """Return how messages call it."""
        return say(
            "{service} on {source}: {values}",
            service=self.route.service,
            source=self.route.source,
            values=joined(", ", (say("variable {name}", name=name) for name in self.values)),
        )

    def describe(self) -> str:
        """Return the dry run's words."""
        values = ", ".join(f"{name}={value}" for name, value in self.values.items())
        return say(
            "{service} on {source}: stop container {container} and make it anew with {values}, everything else as it "
            "is: an outage of it; its log until then goes with it",
            service=self.route.service,
            source=self.route.source,
            container=self.route.container,
            values=values,
        )

    def foresee(self) -> tuple[str, ...]:
        """Return what would change, as lines; raises ActionError for a container that can't be made anew as it is."""
        container = self._need()
        if container["HostConfig"].get("Links") or container["HostConfig"].get("AutoRemove"):
            raise ActionError(
                say(
                    "{name}: has legacy links or --rm. Expected: neither, or it can't be made anew as it is. Rewrite "
                    "by hand",
                    name=self.name,
                )
            )
        if not container["State"].get("Running"):
            raise ActionError(
                say(
                    "{name}: container {container} is {status}. Expected: running",
                    name=self.name,
                    container=self.route.container,
                    status=container["State"].get("Status"),
                )
            )
        return self._lines(self._before(container))

    def standing(self) -> ReferenceState:
        """Return what the container's environment says now."""
        seen = variables_of(self._need()["Config"].get("Env") or [], self.values)
        if seen == dict(self.values):
            return ReferenceState.NEW
        kept = self._kept()
        return ReferenceState.OLD if kept is None or seen == kept["variables"] else ReferenceState.OTHER

    def is_done(self) -> bool:
        """Return whether the container has the new values, runs, and nothing is left of making it."""
        return self.standing() is ReferenceState.NEW and self._is_settled()

    def is_undone(self) -> bool:
        """Return whether nothing of ours is left to put back: what was kept goes only once the container has it again
        and runs.
        """
        return self._kept() is None and self._is_settled()

    def write(self) -> tuple[str, ...]:
        """Make the container anew with the new values; return the difference as lines."""
        kept = self._kept()
        if kept is None:
            container = self._need()
            before = variables_of(container["Config"].get("Env") or [], self.values)
            if before == dict(self.values):
                return self._lines(before)
            kept = {
                "variables": before,
                "restart_policy": container["HostConfig"].get("RestartPolicy") or {"Name": "no"},
            }
            text = json.dumps(kept).encode()
            save_privately(
                self.route.fleet,
                self.route.source,
                self.kept,
                text,
                doing=say("keep the variables of {container}", container=self.route.container),
            )
        self._make_anew(dict(self.values), kept["restart_policy"])
        return self._lines(kept["variables"])

    def put_back(self) -> None:
        """Make the container anew with its old values."""
        kept = self._kept()
        if kept is None:
            return
        self._make_anew(kept["variables"], kept["restart_policy"])
        if self.standing() is not ReferenceState.OLD or not self._is_settled():
            raise ManualInterventionError(
                say(
                    "{name}: container {container} is not as it was. What it had: {kept} on {source}",
                    name=self.name,
                    container=self.route.container,
                    kept=self.kept,
                    source=self.route.source,
                )
            )
        run_checked(
            self.route.fleet,
            self.route.source,
            ["rm", "-f", "--", self.kept],
            doing=say("remove {kept}", kept=self.kept),
        )

    def _lines(self, before: Mapping[str, str | None]) -> tuple[str, ...]:
        known = {name: value for name, value in before.items() if value is not None}
        self.secret(known)
        lines = [
            line
            for name, value in self.values.items()
            for line in (*([f"- {name}={known[name]}"] if name in known else []), f"+ {name}={value}")
        ]
        return (f"environment of {self.route.container}", *lines)

    def _before(self, container: Mapping[str, Any]) -> Mapping[str, str | None]:
        kept = self._kept()
        found: Mapping[str, str | None] = (
            kept["variables"] if kept else variables_of(container["Config"].get("Env") or [], self.values)
        )
        return found

    def _need(self) -> dict[str, Any]:
        found = self._inspect(self.route.container) or self._inspect(self._spare)
        if found is None:
            raise ActionError(
                say(
                    "{source}: no container {container}. Expected: there. Try: ssh {source} docker ps -a",
                    source=self.route.source,
                    container=self.route.container,
                )
            )
        return found

    def _is_settled(self) -> bool:
        container = self._inspect(self.route.container)
        return container is not None and bool(container["State"].get("Running")) and self._inspect(self._spare) is None

    @property
    def _spare(self) -> str:
        return f"{self.route.container}-{SPARE}"

    def _inspect(self, name: str) -> dict[str, Any] | None:
        return inspect_container(self.route.fleet, self.route.source, name)

    def _kept(self) -> dict[str, Any] | None:
        expected = say("the old variables of {container}", container=self.route.container)
        found: dict[str, Any] | None = read_privately(self.route.fleet, self.route.source, self.kept, expected=expected)
        return found

    def _make_anew(self, wanted: Mapping[str, str | None], policy: Mapping[str, Any]) -> None:
        """Let the container have these variables, wherever an earlier try was cut off; the old one goes once the new
        one equals it and runs.
        """
        name, spare = self.route.container, self._spare
        with docker_api(self.route.fleet, self.route.source, say("make {name} anew", name=name)) as api:
            current, old = self._inspect(name), self._inspect(spare)
            if current is not None and not _has(current, wanted):
                if (
                    old is not None
                ):  # the one of the two that was not made last: it was left when an earlier try was cut off
                    back = _has(old, wanted)
                    self._stop(api, name)
                    self._rest(api, spare)
                    api.remove_container(name if back else spare)
                    if back:
                        api.rename(spare, name)
                        current, old = self._inspect(name), None
                if current is not None and not _has(current, wanted):
                    self._stop(api, name)
                    api.rename(name, spare)
                    current, old = None, self._inspect(spare)
            if current is None and old is not None and _has(old, wanted):
                api.rename(spare, name)
                current, old = self._inspect(name), None
            if current is None:
                self._create(api, old, wanted)
            api.update_container(name, restart_policy=dict(policy))
            if old is not None:
                self._rest(api, spare)
            api.start(name)
            if old is not None:
                self._see_equal(old, wanted, policy)
                api.remove_container(spare)

    def _rest(self, api: Any, spare: str) -> None:
        """Stop the spare when somebody started it as well as the one that takes its place: both have the same data and
        ports.
        """
        found = self._inspect(spare)
        if found is not None and found["State"].get("Status") not in STOPPED_STATES:
            self._stop(api, spare)

    def _stop(self, api: Any, name: str) -> None:
        api.update_container(name, restart_policy={"Name": "no"})
        api.stop(name, timeout=grace_of(self.grace_s, self._inspect(name) or {}))
        state = (self._inspect(name) or {"State": {}})["State"].get("Status")
        if state not in STOPPED_STATES:
            raise ActionError(
                say(
                    "{source}: {name} is {state} after stop. Expected: exited. Read: ssh {source} docker logs --tail "
                    "50 {name}",
                    source=self.route.source,
                    name=name,
                    state=state,
                )
            )

    def _create(self, api: Any, old: dict[str, Any] | None, wanted: Mapping[str, str | None]) -> None:
        if old is None:
            raise ActionError(
                say(
                    "{source}: neither {container} nor {spare} is there. Expected: one of them",
                    source=self.route.source,
                    container=self.route.container,
                    spare=self._spare,
                )
            )
        body = body_with(old, wanted, _image_id(api, old))
        api.create_container_from_config(first_network_only(body), self.route.container)
        connected = api.inspect_container(self.route.container)["NetworkSettings"]["Networks"]
        for network, endpoint in body["NetworkingConfig"]["EndpointsConfig"].items():
            if network not in connected:
                fixed = endpoint.get("IPAMConfig") or {}
                api.connect_container_to_network(
                    self.route.container,
                    network,
                    aliases=endpoint["Aliases"] or None,
                    driver_opt=endpoint.get("DriverOpts"),
                    ipv4_address=fixed.get("IPv4Address"),
                    ipv6_address=fixed.get("IPv6Address"),
                )

    def _see_equal(self, old: dict[str, Any], wanted: Mapping[str, str | None], policy: Mapping[str, Any]) -> None:
        new = self._inspect(self.route.container)
        expected = {
            **old,
            "Name": f"/{self.route.container}",
            "Config": {**old["Config"], "Env": with_variables(old["Config"].get("Env") or [], wanted)},
            "HostConfig": {**old["HostConfig"], "RestartPolicy": dict(policy)},
        }
        judged = judge_fidelity(
            say("{container} on {source}", container=self.route.container, source=self.route.source),
            expected,
            new or {},
            committed=True,
        )
        if not judged.passed:
            raise ActionError(
                say("{text} The one that was there is kept as {spare}", text=judged.text, spare=self._spare)
            )


def body_with(inspect: Mapping[str, Any], wanted: Mapping[str, str | None], image_id: str) -> Specification:
    """Return the create body of a container on the host where it is, with some variables changed; its fixed addresses
    stay.
    """
    body = specification_of(inspect)
    body["Env"] = with_variables(body.get("Env") or [], wanted)
    reference = str(inspect["Config"].get("Image") or "")
    body["Image"] = reference if image_id == inspect["Image"] else inspect["Image"]
    for name, endpoint in body["NetworkingConfig"]["EndpointsConfig"].items():
        fixed = (inspect["NetworkSettings"]["Networks"][name] or {}).get("IPAMConfig")
        if fixed:
            endpoint["IPAMConfig"] = fixed
    return body


def _has(inspect: Mapping[str, Any], wanted: Mapping[str, str | None]) -> bool:
    return variables_of(inspect["Config"].get("Env") or [], wanted) == dict(wanted)


def _image_id(api: Any, inspect: Mapping[str, Any]) -> str:
    """Return the id of the image that the container's reference names now: a tag may have moved on since."""
    try:
        return str(api.inspect_image(inspect["Config"].get("Image") or inspect["Image"])["Id"])
    except docker.errors.ImageNotFound:
        return ""
