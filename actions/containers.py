"""Deeds on the source's container: it can't start by itself, is stopped, and is kept under another name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from actions.recorded import need_recorded
from actions.route import Route, docker_api, inspect_container
from checks.source import kept_name
from engine.errors import ActionError, BuriedError, CouldNotLookError, NeedsPersonError, RefusedError
from engine.model import Note
from engine.verdict import Effect, Judgement, failed, passed

KILLED: Final = 137
"""128 + SIGKILL: the grace was over, or the kernel killed it; never a clean stop (services.md 0.4)."""

STOPPED_STATES: Final = frozenset({"exited", "created", "dead"})


def need_container(route: Route, host: str, name: str) -> dict[str, Any]:
    """Return the inspect answer of a container that must be there."""
    inspect = inspect_container(route.fleet, host, name)
    if inspect is None:
        raise ActionError(f"{host}: no container {name}. Expected: there. Try: ssh {host} docker ps -a")
    return inspect


def need_source(route: Route) -> dict[str, Any]:
    """Return the inspect answer of the source's container; at the end of its move it is renamed, and known by what was recorded."""
    found = inspect_container(route.fleet, route.source, route.container)
    return found or need_container(route, route.source, str(need_recorded(route).inspect["Id"]))


@dataclass(frozen=True)
class DisableRestart:
    """Set the source's restart policy to `no`, so that no reboot during the move starts it again (review 3)."""

    route: Route
    key: str = field(default="disable-restart", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return f"{self.route.source}: set the restart policy of {self.route.container} to no"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 1.0

    def do(self, note: Note) -> None:
        """Change it; the old value is what record-source saved."""
        note["restart_policy"] = need_recorded(self.route).restart_policy
        self._set({"Name": "no"}, self.describe())

    def verify(self, note: Note) -> Judgement:
        """Judge whether it is `no`."""
        route = self.route
        seen = need_source(route)["HostConfig"]["RestartPolicy"].get("Name") or "no"
        if seen != "no":
            return failed(
                f"{route.source}: restart policy of {route.container} is {seen}. Expected: no. "
                f"Try: ssh {route.source} docker update --restart no {route.container}"
            )
        before = note.get("restart_policy", {}).get("Name", "not noted")
        return passed(f"{route.source}: {route.container} will not start by itself (was: {before})")

    def undo(self, note: Note) -> None:
        """Put the old policy back."""
        policy = note.get("restart_policy")
        if policy:
            self._set(policy, f"{self.route.source}: put back the restart policy of {self.route.container}")

    def _set(self, policy: dict[str, Any], doing: str) -> None:
        route = self.route
        route.audit(route.source, self.key, doing)
        with docker_api(route.fleet, route.source, doing) as api:
            api.update_container(route.container, restart_policy=policy)


@dataclass(frozen=True)
class StopSource:
    """Stop the service on its source with its own grace; a killed process is not a clean stop."""

    route: Route
    grace_s: int
    clean_exit_codes: Collection[int] = frozenset({0, 143})
    key: str = field(default="stop-source", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return f"{self.route.source}: stop {self.route.container}, with up to {self.grace_s} s to finish"

    def estimate_s(self) -> float | None:
        """Return seconds, without knowing how much of the grace it needs."""
        return 5.0

    def do(self, note: Note) -> None:
        """Stop it."""
        route = self.route
        note["was_running"] = bool(need_recorded(route).inspect["State"].get("Running"))
        route.audit(route.source, self.key, self.describe())
        with docker_api(route.fleet, route.source, self.describe()) as api:
            api.stop(route.container, timeout=self.grace_s)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002 the container itself is asked
        """Judge whether it is stopped, and stopped cleanly; also when an earlier, interrupted run stopped it."""
        route = self.route
        state = need_source(route)["State"]
        where, code = f"{route.source}: {route.container}", int(state.get("ExitCode", -1))
        if state.get("Running") or state.get("Status") not in STOPPED_STATES:
            return failed(f"{where} is {state.get('Status')}. Expected: stopped. Try: ssh {route.source} docker logs --tail 20 {route.container}")
        clean = code in self.clean_exit_codes and code != KILLED and not state.get("OOMKilled")
        if not clean:
            why = ", killed for lack of memory" if state.get("OOMKilled") else ""
            why = why or (f", killed after {self.grace_s} s" if code == KILLED else "")
            return failed(
                f"{where} stopped with exit code {code}{why}. Expected: one of {_codes(self.clean_exit_codes)}: files of "
                f"a killed process are not copied. Read: ssh {route.source} docker logs --tail 50 {route.container}",
                exit_code=code,
            )
        return passed(f"{where} stopped with exit code {code}", exit_code=code)

    def undo(self, note: Note) -> None:
        """Start it again, only after the target's container has been seen stopped or absent (review 8)."""
        route = self.route
        inspect = need_source(route)
        if inspect["State"].get("Running") or not note.get("was_running", True):
            return
        see_target_down(route)
        doing = f"{route.source}: start {route.container} again"
        route.audit(route.source, self.key, doing)
        with docker_api(route.fleet, route.source, doing) as api:
            api.start(route.container)


def see_target_down(route: Route) -> None:
    """Return when the target's container is seen stopped or absent, or a person said that its host is dead; never two writers."""
    by_hand = (
        f"Make sure by hand that it is stopped, then start the old one: ssh {route.target} docker stop {route.container} "
        f"&& ssh {route.source} docker start {route.container}"
    )
    try:
        inspect = inspect_container(route.fleet, route.target, route.container)
    except BuriedError:
        return
    except (CouldNotLookError, ActionError) as error:
        raise NeedsPersonError(
            f"{route.target}: {route.container} could not be seen stopped ({error}), so {route.source}'s was not started: "
            f"two at once would lose data. {by_hand}"
        ) from error
    if inspect is not None and inspect["State"].get("Status") not in STOPPED_STATES:
        raise NeedsPersonError(
            f"{route.target}: {route.container} is {inspect['State'].get('Status')}, so {route.source}'s was not started: "
            f"two at once would lose data. {by_hand}"
        )


@dataclass(frozen=True)
class KeepSource:
    """Rename the stopped source container, so that nobody takes it for the live one."""

    route: Route
    key: str = field(default="keep-source", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return f"{self.route.source}: keep the stopped {self.route.container} as {kept_name(self.route.container)}"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 1.0

    def do(self, note: Note) -> None:
        """Rename it; refuses when another container has the kept name."""
        route, kept = self.route, kept_name(self.route.container)
        source_id = need_recorded(route).inspect["Id"]
        holder = inspect_container(route.fleet, route.source, kept)
        if holder is not None and holder["Id"] == source_id:
            return
        if holder is not None:
            raise RefusedError(
                f"{route.source}: {kept} is another container ({holder['Id'][:12]}). Expected: free. "
                f"Rename it first: ssh {route.source} docker rename {kept} {kept}-older"
            )
        route.audit(route.source, self.key, self.describe())
        with docker_api(route.fleet, route.source, self.describe()) as api:
            api.rename(source_id, kept)
        note["kept_as"] = kept

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it is there under its kept name, stopped, and can't start by itself."""
        route, kept = self.route, kept_name(self.route.container)
        inspect = inspect_container(route.fleet, route.source, kept)
        if inspect is None:
            return failed(f"{route.source}: no container {kept}. Expected: the stopped source. Look: docker ps -a")
        status = inspect["State"].get("Status")
        policy = inspect["HostConfig"]["RestartPolicy"].get("Name") or "no"
        if status not in STOPPED_STATES or policy != "no":
            return failed(
                f"{route.source}: {kept} is {status} with restart policy {policy}. Expected: stopped, no. "
                f"Look who started it, and whether clients use it, before you stop it: ssh {route.source} docker logs --since 1h {kept}"
            )
        return passed(f"{route.source}: {kept} is kept, stopped, restart policy no")

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Give it its name back."""
        route, kept = self.route, kept_name(self.route.container)
        if inspect_container(route.fleet, route.source, kept) is None:
            return
        doing = f"{route.source}: rename {kept} back to {route.container}"
        route.audit(route.source, self.key, doing)
        with docker_api(route.fleet, route.source, doing) as api:
            api.rename(kept, route.container)


def _codes(codes: Collection[int]) -> str:
    return ", ".join(str(code) for code in sorted(codes))
