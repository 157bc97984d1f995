"""Sending clients back to the old host, and starting the source there: the commit of a rollback."""

from __future__ import annotations

from dataclasses import dataclass

from actions.common.base_action import RouteAction
from actions.common.route import docker_api
from actions.container.source import grace_of
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
from engine.finding import joined, say
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
        switched = joined(
            "; ", [*(say("add {text}", text=text) for text in new), *(say("remove {text}", text=text) for text in gone)]
        ) or say("no relay changes")
        return say(
            "switch the clients of {service} back to {source}: {switched}",
            service=self.route.service,
            source=self.route.source,
            switched=switched,
        )

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

    With `keep` what the moved container wrote stays on the target, also what it wrote after it was stopped. A source
    that somebody started under its kept name is stopped, with up to `grace_s` to finish: no running container is
    renamed.
    """

    keep: bool = False
    grace_s: int = 30
    key = "start-returned"
    seconds = 2.0
    commits = True

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "{source}: name {kept_name} {container} again and start it",
            source=self.route.source,
            kept_name=kept_name(self.route.container),
            container=self.route.container,
        )

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
        renamed = name_of(inspect) != route.container
        with docker_api(route.fleet, route.source, self.describe()) as api:
            if renamed and is_running(inspect):
                api.stop(str(inspect["Id"]), timeout=grace_of(self.grace_s, inspect))
            if renamed:
                api.rename(str(inspect["Id"]), route.container)
            if renamed or not is_running(inspect):
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
                say(
                    "{newer}; {reason}. Expected: one of the two at rest. Each may hold writes that the other lacks, "
                    "so neither was stopped or written over. Look at both: ssh {source} docker logs --tail 50 {name}; "
                    "ssh {target} docker logs --tail 50 {container}. Copy by hand what {source} lacks: {container} on "
                    "{target} will be stopped, and kept with what it holds.",
                    newer=newer,
                    reason=reason,
                    source=route.source,
                    name=name,
                    target=route.target,
                    container=route.container,
                )
            )
        return reason

    def _see_nothing_newer(self) -> None:
        """Raise RefusedError when the moved container ran since this rollback stopped it."""
        route = self.route
        reason = self._why_moved_is_newer()
        if reason:
            raise RefusedError(
                say(
                    "{reason}. Expected: stopped since this rollback stopped it: it may hold writes that were not "
                    "brought back, so {source}'s was not started. Find out who started it: ssh {target} docker events "
                    "--since 24h --until 0s",
                    reason=reason,
                    source=route.source,
                    target=route.target,
                )
            )

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it runs under its own name and restarts by itself as it did before the move."""
        route = self.route
        inspect = need_source(route)
        status, policy = inspect["State"].get("Status"), policy_word(policy_of(inspect))
        wanted = policy_word(need_recorded(route).restart_policy)
        if status != "running" or policy != wanted or name_of(inspect) != route.container:
            return failed(
                say(
                    "{source}: {inspect} is {status} with restart policy {policy}. Expected: {container}, running, "
                    "{wanted}. Read: ssh {source} docker logs --tail 50 {inspect}",
                    source=route.source,
                    inspect=name_of(inspect),
                    status=status,
                    policy=policy,
                    container=route.container,
                    wanted=wanted,
                )
            )
        return passed(
            say(
                "{source}: {container} runs again (restart policy {policy})",
                source=route.source,
                container=route.container,
                policy=policy,
            )
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002 the host is asked
        """Give it its kept name again, unless it runs or ran: then clients may have written to it."""
        route = self.route
        inspect = find_source(route)
        if inspect is None:
            raise ManualInterventionError(
                say(
                    "{source}: {container} is not there any more. Expected: kept until decommission. Find out who "
                    "removed it: ssh {source} docker events --since 24h --until 0s",
                    source=route.source,
                    container=route.container,
                )
            )
        reason = why_not_at_rest(route, route.source, inspect)
        if reason:
            raise ManualInterventionError(
                say(
                    "{service}: {reason}. It was started again, so clients may have written there; nothing was put "
                    "back. Finish: {command}, or look first: ssh {source} docker logs --tail 50 {inspect}",
                    service=route.service,
                    reason=reason,
                    command=route.command("rollback"),
                    source=route.source,
                    inspect=name_of(inspect),
                )
            )
        kept = kept_name(route.container)
        if name_of(inspect) == route.container and policy_word(policy_of(inspect)) == "no":
            doing = say("rename {container} to {kept}", container=route.container, kept=kept)
            route.audit(route.source, self.key, doing)
            with docker_api(route.fleet, route.source, doing) as api:
                api.rename(str(inspect["Id"]), kept)
