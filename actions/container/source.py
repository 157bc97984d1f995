"""Actions on the source's container: it can't start automatically, is stopped, and is kept under another name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from actions.common.base_action import RouteAction
from actions.common.route import Route, docker_api, inspect_container
from actions.container_spec.identity import (
    STOPPED_STATES,
    another_run,
    find_source,
    is_running,
    name_of,
    need_source,
    policy_of,
    policy_word,
    same_policy,
    save_run,
    see_moved_down,
    started_at,
    which_serves,
)
from actions.container_spec.saved_spec import Recorded, need_recorded
from engine.container_names import kept_name
from engine.contracts.action import Note
from engine.contracts.container import ContainerCommand
from engine.errors import ActionError, ManualInterventionError, RefusedError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed
from hosts.coordination.fencing import change_inside
from hosts.docker.exec import begun

__all__ = [
    "STOPPED_STATES",
    "DisableRestart",
    "RenameSource",
    "StopSource",
    "need_container",
    "need_source",
    "see_target_down",
]

KILLED: Final = 137
"""128 + SIGKILL: the grace was over, or the kernel killed it; never a clean stop (services.md 0.4)."""

SAVED_BYTES_PER_S: Final = 50e6
"""What a store writes out at its stop, on a slow disk: so much time more before it is killed."""


def need_container(route: Route, host: str, name: str) -> dict[str, Any]:
    """Return the inspect answer of a container that must be there."""
    inspect = inspect_container(route.fleet, host, name)
    if inspect is None:
        raise ActionError(
            say("{host}: no container {name}. Expected: there. Try: ssh {host} docker ps -a", host=host, name=name)
        )
    return inspect


see_target_down = see_moved_down


def grace_of(product_s: int, inspect: Mapping[str, Any], held_bytes: float = 0.0) -> int:
    """Return how long a container may take to stop: the longest of what its product, its operator (`--stop-timeout`)
    and its size ask for.
    """
    own = (inspect.get("Config") or {}).get("StopTimeout")
    return max(product_s, int(own or 0), round(held_bytes / SAVED_BYTES_PER_S))


def ran_again(route: Route, host: str, inspect: Mapping[str, Any], note: Note) -> str:
    """Return what shows that a container has run again since it was stopped, "" when nothing does."""
    again, noted = another_run(route, host, inspect), note.get("started_at")
    if not again and noted is not None and noted != started_at(inspect):
        return say(
            "it was started again at {started_at} (the run that was stopped began {noted})",
            started_at=started_at(inspect),
            noted=noted,
        )
    return again


def judge_stop(
    where: str, inspect: Mapping[str, Any], clean: Collection[int], read: str, grace_s: int | None = None
) -> Judgement:
    """Judge whether a container is stopped, and by a clean end of its process."""
    state = inspect["State"]
    code = int(state.get("ExitCode", -1))
    if state.get("Running") or is_running(inspect):
        return failed(
            say(
                "{where} is {status}. Expected: stopped. Read: {read}",
                where=where,
                status=state.get("Status"),
                read=read,
            )
        )
    if code in clean and code != KILLED and not state.get("OOMKilled"):
        return passed(say("{where} stopped with exit code {code}", where=where, code=code), exit_code=code)
    why = say(", killed for lack of memory") if state.get("OOMKilled") else ""
    why = why or (say(", killed after {grace_s} s", grace_s=grace_s) if code == KILLED and grace_s else "")
    return failed(
        say(
            "{where} stopped with exit code {code}{why}. Expected: one of {codes}: files of a killed process are not "
            "copied. Read: {read}",
            where=where,
            code=code,
            why=why,
            codes=_codes(clean),
            read=read,
        ),
        exit_code=code,
    )


def start_again(route: Route, inspect: Mapping[str, Any], key: str) -> None:
    """Start the source's container if it ran when it was recorded, only after the target's has been seen stopped or
    absent.

    Without a record it is taken for granted that it ran, as what is moved runs.
    """
    recorded = _recorded(route)
    if recorded is not None and not recorded.inspect["State"].get("Running"):
        return
    see_moved_down(route)
    doing = say("{source}: start {container} again", source=route.source, container=route.container)
    route.audit(route.source, key, doing)
    with docker_api(route.fleet, route.source, doing) as api:
        api.start(str(inspect["Id"]))


def run_before_stop(
    route: Route, host: str, inspect: Mapping[str, Any], commands: Iterable[ContainerCommand], key: str
) -> None:
    """Run a product's commands that write out what it holds while it still serves; one that fails is found before
    anything is stopped.
    """
    for command in commands:
        doing = say("{text} in {container} before its stop", text=command.text, container=route.container)
        route.audit(host, key, doing)
        answer = begun(partial(change_inside, route.fleet, host, str(inspect["Id"]), command))
        if answer.exit_code:
            raise ActionError(
                say(
                    "{host}: {doing} ended with {exit_code}: {error_text}. Expected: 0, so that the stop loses "
                    "nothing. Read: ssh {host} docker logs --tail 50 {container}",
                    host=host,
                    doing=doing,
                    exit_code=answer.exit_code,
                    error_text=(answer.error_text or answer.text.strip())[-300:],
                    container=route.container,
                )
            )


@dataclass(frozen=True)
class DisableRestart(RouteAction):
    """Set the source's restart policy to `no`, so that no reboot during the move starts it again."""

    key = "disable-restart"
    seconds = 1.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "{source}: set the restart policy of {container} to no",
            source=self.route.source,
            container=self.route.container,
        )

    def observe(self, note: Note) -> None:
        """Note which container it is and the policy that save-source-spec saved."""
        recorded = need_recorded(self.route)
        note["container_id"], note["restart_policy"] = str(recorded.inspect["Id"]), recorded.restart_policy

    def do(self, note: Note) -> None:
        """Change it; the old value is what save-source-spec saved."""
        self.observe(note)
        self._set(str(note["container_id"]), {"Name": "no"}, self.describe())

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002 the hosts are asked
        """Judge whether it is `no`."""
        route = self.route
        seen = policy_word(policy_of(need_source(route)))
        if seen != "no":
            return failed(
                say(
                    "{source}: restart policy of {container} is {seen}. Expected: no. Try: ssh {source} docker update "
                    "--restart no {container}",
                    source=route.source,
                    container=route.container,
                    seen=seen,
                )
            )
        before = policy_word(need_recorded(route).restart_policy)
        return passed(
            say(
                "{source}: {container} will not start automatically (was: {before})",
                source=route.source,
                container=route.container,
                before=before,
            )
        )

    def undo(self, note: Note) -> None:
        """Give it the policy that was recorded on its host; the note counts only where the record is gone."""
        route = self.route
        inspect = find_source(route)
        if inspect is None:
            raise ManualInterventionError(
                say(
                    "{source}: {container} is not there, so its restart policy could not be put back. Expected: the "
                    "container to move. Look: ssh {source} docker ps -a",
                    source=route.source,
                    container=route.container,
                )
            )
        policy = _recorded_policy(route) or note.get("restart_policy")
        if policy is None:
            raise ManualInterventionError(
                say(
                    "{source}: the restart policy that {container} had is on record neither there nor in the journal; "
                    "it is {policy_of} now. Give it the right one: ssh {source} docker update --restart POLICY "
                    "{container}",
                    source=route.source,
                    container=route.container,
                    policy_of=policy_word(policy_of(inspect)),
                )
            )
        if not same_policy(policy_of(inspect), policy):
            self._set(
                str(inspect["Id"]),
                policy,
                say(
                    "{source}: put back the restart policy of {container}",
                    source=route.source,
                    container=route.container,
                ),
            )
        if policy_word(policy) != "no" and not is_running(inspect):
            start_again(
                route, inspect, self.key
            )  # a reboot in between left it stopped: with its own policy it would run

    def _set(self, container: str, policy: Mapping[str, Any], doing: str) -> None:
        route = self.route
        route.audit(route.source, self.key, doing)
        with docker_api(route.fleet, route.source, doing) as api:
            api.update_container(container, restart_policy=policy)


@dataclass(frozen=True)
class StopSource(RouteAction):
    """Stop the service on its source with its own grace; a killed process is not a clean stop.

    `before` are its product's commands that write out what it holds in memory while it still serves; `held_bytes` is
    how much it may write at its stop. `unshared` is asked before it is started again: another container that runs over
    its data would write to the same files.
    """

    grace_s: int
    clean_exit_codes: Collection[int] = frozenset({0, 143})
    before: tuple[ContainerCommand, ...] = ()
    held_bytes: float = 0.0
    unshared: Callable[[], Judgement] | None = field(default=None, repr=False, compare=False)
    key = "stop-source"
    seconds = 5.0

    def describe(self) -> str:
        """Return the dry run's line."""
        saving = (
            say("{before} in it, then ", before=joined("; ", (command.text for command in self.before)))
            if self.before
            else ""
        )
        return say(
            "{source}: {saving}stop {container}, with up to {grace} s to finish, or its own stop timeout",
            source=self.route.source,
            saving=saving,
            container=self.route.container,
            grace=self._grace({}),
        )

    def observe(self, note: Note) -> None:
        """Note which container it is, in which run, and whether it ran."""
        inspect = need_source(self.route)
        note["container_id"], note["started_at"] = str(inspect["Id"]), started_at(inspect)
        note["was_running"] = bool(need_recorded(self.route).inspect["State"].get("Running"))

    def do(self, note: Note) -> None:
        """Let it save what it holds, save on its host which run is stopped, stop it."""
        route = self.route
        self.observe(note)
        inspect = need_source(route)
        if is_running(inspect):
            run_before_stop(route, route.source, inspect, self.before, self.key)
        route.audit(route.source, self.key, self.describe())
        save_run(route, route.source, inspect, need_recorded(route).restart_policy)
        with docker_api(route.fleet, route.source, self.describe()) as api:
            api.stop(str(inspect["Id"]), timeout=self._grace(inspect))
        note["finished_at"] = str(need_source(route)["State"].get("FinishedAt") or "")

    def _grace(self, inspect: Mapping[str, Any]) -> int:
        return grace_of(self.grace_s, inspect, self.held_bytes)

    def verify(self, note: Note) -> Judgement:
        """Judge whether it is stopped, cleanly, and still in the run that was stopped: one that ran since may hold
        newer writes.
        """
        route = self.route
        inspect = need_source(route)
        where, read = (
            f"{route.source}: {route.container}",
            f"ssh {route.source} docker logs --tail 50 {route.container}",
        )
        stopped = judge_stop(where, inspect, self.clean_exit_codes, read, self._grace(inspect))
        if not stopped.passed:
            return stopped
        again = ran_again(route, route.source, inspect, note)
        if again:
            return failed(
                say(
                    "{where}: {again}. Expected: stopped since this move stopped it: what was copied and proven "
                    "before may lack newer writes. Find out who started it: ssh {source} docker events --since 24h "
                    "--until 0s",
                    where=where,
                    again=again,
                    source=route.source,
                )
            )
        return stopped

    def undo(self, note: Note) -> None:  # noqa: ARG002 the hosts are asked
        """Start it again, only after the target's container has been seen stopped or absent."""
        route = self.route
        inspect = find_source(route)
        if inspect is None:
            raise ManualInterventionError(
                say(
                    "{source}: {container} is not there any more, so it could not be started. Expected: stopped, as "
                    "it was left. Find out who removed it: ssh {source} docker events --since 24h --until 0s",
                    source=route.source,
                    container=route.container,
                )
            )
        if not is_running(inspect):
            seen = self.unshared() if self.unshared else None
            if seen is not None and not seen.passed:
                raise ManualInterventionError(
                    say(
                        "{seen}. It runs, so {container} was not started in parallel: both would write to the same "
                        "files. Once only one of them is to run: {command}",
                        seen=seen.text,
                        container=route.container,
                        command=route.command("rollback"),
                    )
                )
            start_again(route, inspect, self.key)


@dataclass(frozen=True)
class RenameSource(RouteAction):
    """Rename the stopped source container, so that nobody takes it for the live one."""

    key = "rename-source"
    seconds = 1.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "{source}: keep the stopped {container} as {kept_name}",
            source=self.route.source,
            container=self.route.container,
            kept_name=kept_name(self.route.container),
        )

    def observe(self, note: Note) -> None:
        """Note which container is kept, and under which name."""
        note["container_id"], note["kept_as"] = (
            str(need_recorded(self.route).inspect["Id"]),
            kept_name(self.route.container),
        )

    def do(self, note: Note) -> None:
        """Rename it; refuses when it runs, and when another container has the kept name."""
        route, kept = self.route, kept_name(self.route.container)
        self.observe(note)
        source_id = str(note["container_id"])
        holder = inspect_container(route.fleet, route.source, kept)
        if holder is not None and holder["Id"] == source_id:
            return
        if holder is not None:
            raise RefusedError(
                say(
                    "{source}: {kept} is another container ({id}). Expected: free. Rename it first: ssh {source} "
                    "docker rename {kept} {kept}-older",
                    source=route.source,
                    kept=kept,
                    id=holder["Id"][:12],
                )
            )
        source = need_source(route)
        if is_running(source):
            raise RefusedError(
                say(
                    "{route_source}: {source} is {status}. Expected: stopped. {which_serves}",
                    route_source=route.source,
                    source=name_of(source),
                    status=source["State"].get("Status"),
                    which_serves=which_serves(route, name_of(source)),
                )
            )
        route.audit(route.source, self.key, self.describe())
        with docker_api(route.fleet, route.source, self.describe()) as api:
            api.rename(source_id, kept)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it is there under its kept name, stopped, and can't start automatically."""
        route, kept = self.route, kept_name(self.route.container)
        inspect = find_source(route)
        if inspect is None or name_of(inspect) != kept:
            seen = say("gone") if inspect is None else say("named {inspect}", inspect=name_of(inspect))
            return failed(
                say(
                    "{source}: the stopped source is {seen}. Expected: kept as {kept}. Look: ssh {source} docker ps -a",
                    source=route.source,
                    seen=seen,
                    kept=kept,
                )
            )
        status, policy = inspect["State"].get("Status"), policy_word(policy_of(inspect))
        if is_running(inspect):
            return failed(
                say(
                    "{source}: {kept} is {status}. Expected: stopped. {which_serves}",
                    source=route.source,
                    kept=kept,
                    status=status,
                    which_serves=which_serves(route, kept),
                )
            )
        if policy != "no":
            return failed(
                say(
                    "{source}: {kept} is {status} with restart policy {policy}. Expected: no. Try: ssh {source} "
                    "docker update --restart no {kept}",
                    source=route.source,
                    kept=kept,
                    status=status,
                    policy=policy,
                )
            )
        return passed(say("{source}: {kept} is kept, stopped, restart policy no", source=route.source, kept=kept))

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Give it its name back; one that runs is left as it is, and so is somebody else's under the kept name."""
        route, kept = self.route, kept_name(self.route.container)
        inspect = find_source(route)
        if inspect is None or name_of(inspect) != kept:
            return
        if is_running(inspect):
            raise ManualInterventionError(
                say(
                    "{source}: {kept} is {status}, so it was not renamed. Expected: stopped. {which_serves}",
                    source=route.source,
                    kept=kept,
                    status=inspect["State"].get("Status"),
                    which_serves=which_serves(route, kept),
                )
            )
        doing = say(
            "{source}: rename {kept} back to {container}", source=route.source, kept=kept, container=route.container
        )
        route.audit(route.source, self.key, doing)
        with docker_api(route.fleet, route.source, doing) as api:
            api.rename(str(inspect["Id"]), route.container)


def _recorded(route: Route) -> Recorded | None:
    """Return what this move recorded of its source, None when it is not there."""
    try:
        return need_recorded(route)
    except ActionError:
        return None


def _recorded_policy(route: Route) -> dict[str, Any] | None:
    recorded = _recorded(route)
    return recorded.restart_policy if recorded else None


def _codes(codes: Collection[int]) -> str:
    return ", ".join(str(code) for code in sorted(codes))
