"""Sending clients back to the old host, and starting the source there: the commit of a rollback."""

from __future__ import annotations

from dataclasses import dataclass

from actions.common.base_action import RouteAction
from actions.common.route import docker_api
from actions.container_spec.identity import (
    find_moved,
    find_source,
    is_running,
    name_of,
    need_source,
    policy_of,
    policy_word,
    see_moved_down,
    started_at,
    why_not_at_rest,
)
from actions.container_spec.saved_spec import need_recorded
from actions.relays.planning import Relay
from actions.relays.reconcile import apply_forwarders, judge_forwarders
from engine.container_names import kept_name
from engine.contracts.action import Note
from engine.errors import HostLostError, ManualInterventionError, RefusedError
from engine.verdict import Judgement, failed, passed


@dataclass(frozen=True)
class SwitchClientsBack(RouteAction):
    """Make the relays those that are wanted with the service on its source; it holds its old names itself."""

    wanted: frozenset[Relay]
    before: frozenset[Relay]
    hosts: tuple[str, ...]
    key = "switch-back"

    def describe(self) -> str:
        """Return the dry run's line."""
        new, gone = (
            sorted(one.text() for one in some) for some in (self.wanted - self.before, self.before - self.wanted)
        )
        switched = (
            "; ".join([*(f"add {text}" for text in new), *(f"remove {text}" for text in gone)]) or "no relay changes"
        )
        return f"switch the clients of {self.route.service} back to {self.route.source}: {switched}"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 1.0 + len(self.wanted ^ self.before)

    def do(self, note: Note) -> None:
        """Reconcile."""
        done = apply_forwarders(self.route.fleet, self.route.environment, self.hosts, self.wanted)
        note["created"], note["removed"], note["kept"] = list(done.created), list(done.removed), list(done.kept)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether exactly the wanted relays run."""
        return judge_forwarders(self.route.fleet, self.route.environment, self.hosts, self.wanted)

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Put the relays back."""
        apply_forwarders(self.route.fleet, self.route.environment, self.hosts, self.before)


@dataclass(frozen=True)
class StartReturned(RouteAction):
    """Give the source's container its name back and start it: from now on clients reach it, so this commits the
    rollback.

    With `keep` what the moved container wrote stays on the target, also what it wrote after it was stopped.
    """

    keep: bool = False
    key = "start-returned"
    seconds = 2.0
    commits = True

    def describe(self) -> str:
        """Return the dry run's line."""
        return f"{self.route.source}: name {kept_name(self.route.container)} {self.route.container} again and start it"

    def observe(self, note: Note) -> None:
        """Note which container it is, under which name, and in which run it was last."""
        inspect = need_source(self.route)
        note["container_id"], note["was_named"], note["ran_before"] = (
            str(inspect["Id"]),
            name_of(inspect),
            started_at(inspect),
        )

    def do(self, note: Note) -> None:
        """See the target's container down, rename, start, and give back the restart policy that was recorded."""
        route = self.route
        see_moved_down(route)
        self._see_nothing_newer()
        self.observe(note)
        inspect = need_source(route)
        route.audit(route.source, self.key, self.describe())
        with docker_api(route.fleet, route.source, self.describe()) as api:
            if name_of(inspect) != route.container:
                api.rename(str(inspect["Id"]), route.container)
            if not is_running(inspect):
                api.start(str(inspect["Id"]))
            api.update_container(str(inspect["Id"]), restart_policy=need_recorded(route).restart_policy)

    def _why_moved_is_newer(self) -> str:
        """Return how the moved container runs, or ran since this rollback stopped it; empty when it is at rest, gone or
        given up.
        """
        route = self.route
        if self.keep:
            return ""
        try:
            moved = find_moved(route)
        except HostLostError:
            return ""
        return why_not_at_rest(route, route.target, moved) if moved else ""

    def why_committed(self) -> str:
        """Return how the source's container runs or ran since the move; one that was never started holds
        nothing new.
        """
        route = self.route
        source = need_source(route)
        reason = why_not_at_rest(route, route.source, source)
        newer = self._why_moved_is_newer() if reason else ""
        if newer:
            name = name_of(source)
            raise ManualInterventionError(
                f"{newer}; {reason}. Expected: one of the two at rest. Each may hold writes that the other lacks, so "
                "neither was stopped or written "
                f"over. Look at both: ssh {route.source} docker logs --tail 50 {name}; ssh {route.target} docker logs "
                f"--tail 50 {route.container}. "
                f"Copy by hand what {route.source} lacks: {route.container} on {route.target} will be stopped, and "
                "kept with what it holds."
            )
        return reason

    def _see_nothing_newer(self) -> None:
        """Raise RefusedError when the moved container ran since this rollback stopped it."""
        route = self.route
        reason = self._why_moved_is_newer()
        if reason:
            raise RefusedError(
                f"{reason}. Expected: stopped since this rollback stopped it: it may hold writes that were not "
                f"brought back, so {route.source}'s was "
                f"not started. Find out who started it: ssh {route.target} docker events --since 24h --until 0s"
            )

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it runs under its own name and restarts by itself as it did before the move."""
        route = self.route
        inspect = need_source(route)
        status, policy = inspect["State"].get("Status"), policy_word(policy_of(inspect))
        wanted = policy_word(need_recorded(route).restart_policy)
        if status != "running" or policy != wanted or name_of(inspect) != route.container:
            return failed(
                f"{route.source}: {name_of(inspect)} is {status} with restart policy {policy}. Expected: "
                f"{route.container}, running, {wanted}. "
                f"Read: ssh {route.source} docker logs --tail 50 {name_of(inspect)}"
            )
        return passed(f"{route.source}: {route.container} runs again (restart policy {policy})")

    def undo(self, note: Note) -> None:  # noqa: ARG002 the host is asked
        """Give it its kept name again, unless it runs or ran: then clients may have written to it."""
        route = self.route
        inspect = find_source(route)
        if inspect is None:
            raise ManualInterventionError(
                f"{route.source}: {route.container} is not there any more. Expected: kept until decommission. "
                f"Find out who removed it: ssh {route.source} docker events --since 24h --until 0s"
            )
        reason = why_not_at_rest(route, route.source, inspect)
        if reason:
            raise ManualInterventionError(
                f"{route.service}: {reason}. It was started again, so clients may have written there; nothing was put "
                "back. "
                f"Finish: {route.command('rollback')}, or look first: ssh {route.source} docker logs --tail 50 "
                f"{name_of(inspect)}"
            )
        kept = kept_name(route.container)
        if name_of(inspect) == route.container and policy_word(policy_of(inspect)) == "no":
            doing = f"rename {route.container} to {kept}"
            route.audit(route.source, self.key, doing)
            with docker_api(route.fleet, route.source, doing) as api:
                api.rename(str(inspect["Id"]), kept)
