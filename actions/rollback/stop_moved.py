"""Stopping the moved container on its new host, so that it can be brought back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from actions.common.base_action import RouteAction
from actions.common.route import docker_api
from actions.container.source import grace_of, judge_stop, ran_again, run_before_stop
from actions.container_spec.identity import (
    find_moved,
    find_source,
    is_running,
    need_moved,
    policy_of,
    policy_word,
    read_run,
    same_policy,
    save_run,
    see_source_down,
    started_at,
    why_not_at_rest,
)
from actions.container_spec.saved_spec import read_recorded
from engine.contracts.action import Note
from engine.contracts.container import ContainerCommand
from engine.errors import ManualInterventionError
from engine.finding import say
from engine.verdict import Judgement, failed


@dataclass(frozen=True)
class StopMoved(RouteAction):
    """Stop the moved container on its target, so that it can't start automatically either.

    With `keep` what it wrote stays there, and it does not matter whether it ran in between.
    """

    grace_s: int
    clean_exit_codes: Collection[int]
    before: tuple[ContainerCommand, ...] = ()
    held_bytes: float = 0.0
    keep: bool = False
    key = "stop-moved"
    seconds = 5.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "{target}: set the restart policy of {container} to no and stop it, with up to {grace} s to finish",
            target=self.route.target,
            container=self.route.container,
            grace=self._grace({}),
        )

    def observe(self, note: Note) -> None:
        """Note which container it is, in which run, and its restart policy as long as it is its own."""
        inspect = need_moved(self.route)
        note["container_id"], note["started_at"] = str(inspect["Id"]), started_at(inspect)
        if policy_word(policy_of(inspect)) != "no":
            note["restart_policy"] = policy_of(inspect)

    def do(self, note: Note) -> None:
        """Save on its host which run is stopped and its policy; let it save what it holds; disable it, stop it."""
        route = self.route
        self.observe(note)
        inspect = need_moved(route)
        save_run(route, route.target, inspect, policy_of(inspect))
        if is_running(inspect):
            run_before_stop(route, route.target, inspect, self.before, self.key)
        route.audit(route.target, self.key, self.describe())
        with docker_api(route.fleet, route.target, self.describe()) as api:
            api.update_container(str(inspect["Id"]), restart_policy={"Name": "no"})
            api.stop(str(inspect["Id"]), timeout=self._grace(inspect))
        note["finished_at"] = str(need_moved(route)["State"].get("FinishedAt") or "")

    def _grace(self, inspect: Mapping[str, Any]) -> int:
        return grace_of(self.grace_s, inspect, self.held_bytes)

    def verify(self, note: Note) -> Judgement:
        """Judge whether it is stopped, cleanly, stays so, and is still in the run that was stopped: one that ran since
        holds newer writes.
        """
        route = self.route
        inspect = need_moved(route)
        where, policy = f"{route.target}: {route.container}", policy_word(policy_of(inspect))
        if is_running(inspect) or policy != "no":
            return failed(
                say(
                    "{where} is {status} with restart policy {policy}. Expected: stopped, no",
                    where=where,
                    status=inspect["State"].get("Status"),
                    policy=policy,
                )
            )
        read = f"ssh {route.target} docker logs --tail 50 {route.container}"
        stopped = judge_stop(where, inspect, self.clean_exit_codes, read, self._grace(inspect))
        if not stopped.passed or self.keep:
            return stopped
        again = ran_again(route, route.target, inspect, note)
        if again:
            return failed(
                say(
                    "{where}: {again}. Expected: stopped since this rollback stopped it: what was brought back may "
                    "lack newer writes. Find out who started it: ssh {target} docker events --since 24h --until 0s",
                    where=where,
                    again=again,
                    target=route.target,
                )
            )
        return stopped

    def undo(self, note: Note) -> None:
        """Give it its policy back and start it again, only after the source's container has been seen stopped."""
        route = self.route
        see_source_down(route)
        source = find_source(route)
        newer = why_not_at_rest(route, route.source, source) if source else ""
        if newer:
            raise ManualInterventionError(
                say(
                    "{newer}. It may hold writes that {target} lacks, so nothing was started. Expected: stopped since "
                    "the move. Look at both before you start one: ssh {source} docker ps -a; ssh {target} docker ps -a",
                    newer=newer,
                    target=route.target,
                    source=route.source,
                )
            )
        inspect = find_moved(route)
        if inspect is None:
            raise ManualInterventionError(
                say(
                    "{target}: the moved {container} is not there any more, so it could not be started. Expected: "
                    "stopped, as it was left. Find out who removed it: ssh {target} docker events --since 24h --until "
                    "0s",
                    target=route.target,
                    container=route.container,
                )
            )
        doing = say("{target}: start {container} again", target=route.target, container=route.container)
        policy = self._policy(note)
        route.audit(route.target, self.key, doing)
        with docker_api(route.fleet, route.target, doing) as api:
            if policy is not None and not same_policy(policy, policy_of(inspect)):
                api.update_container(str(inspect["Id"]), restart_policy=dict(policy))
            if not is_running(inspect):
                api.start(str(inspect["Id"]))
        if policy is None:
            raise ManualInterventionError(
                say(
                    "{target}: {container} runs again, but the restart policy that it had is on record nowhere. Give "
                    "it the right one: ssh {target} docker update --restart POLICY {container}",
                    target=route.target,
                    container=route.container,
                )
            )

    def _policy(self, note: Note) -> Mapping[str, Any] | None:
        """Return the policy that it had: as it was saved before the stop, else as its source had it, else as noted."""
        route = self.route
        known = read_run(route, route.target)
        if known is not None and policy_word(known.restart_policy) != "no":
            return known.restart_policy
        recorded = read_recorded(route.fleet, route.source, route.service)
        if recorded is not None and recorded.move_label == route.move_label:
            return recorded.restart_policy
        noted: Mapping[str, Any] | None = note.get("restart_policy")
        return noted or (known.restart_policy if known else None)
