"""The commit of a move: the target may start automatically, and every client is switched to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from actions.common.base_action import RouteAction
from actions.common.route import docker_api, inspect_container
from actions.container_spec.identity import (
    another_run,
    find_moved,
    is_running,
    label_of,
    need_moved,
    need_source_at_rest,
    policy_of,
    policy_word,
    same_policy,
    started_at,
)
from actions.container_spec.saved_spec import need_recorded
from actions.relays.planning import Relay
from actions.relays.reconcile import RunningRelay, apply_forwarders, judge_forwarders, list_relays
from engine.contracts.action import Note
from engine.errors import ActionError, HostLostError, ManualInterventionError, NotObservedError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed

NEAR: Final = "near"
"""The end of a relay that clients reach, where a relay has two."""


@dataclass(frozen=True)
class Commit(RouteAction):
    """Set the recorded restart policy on the target, then switch the links; after it nothing is undone
    automatically.
    """

    wanted: frozenset[Relay]
    before: frozenset[Relay]
    hosts: tuple[str, ...]
    key = "commit"
    commits = True

    def describe(self) -> str:
        """Return the dry run's line."""
        new = sorted(forwarder.text() for forwarder in self.wanted - self.before)
        gone = sorted(forwarder.text() for forwarder in self.before - self.wanted)
        switched = joined(
            "; ", [*(say("add {text}", text=text) for text in new), *(say("remove {text}", text=text) for text in gone)]
        ) or say("no relay needed")
        return say(
            "{target}: give {container} its restart policy; switch its clients: {switched}",
            target=self.route.target,
            container=self.route.container,
            switched=switched,
        )

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 1.0 + len(self.wanted ^ self.before)

    def observe(self, note: Note) -> None:
        """Note which container is to serve, its restart policy, and which relays there are before."""
        route = self.route
        note["container_id"], note["restart_policy"] = str(need_moved(route)["Id"]), need_recorded(route).restart_policy
        note["relays_before"] = sorted(
            relay.made_for for host in self.hosts for relay in list_relays(route.fleet, host, route.environment)
        )

    def do(self, note: Note) -> None:
        """See the source at rest; then the restart policy; the links last, because with them clients write to the
        target.
        """
        route = self.route
        need_source_at_rest(route)
        policy = need_recorded(route).restart_policy
        note["restart_policy"] = policy
        route.audit(route.target, self.key, self.describe())
        self._set_policy(need_moved(route), policy)
        note["switching"] = True
        done = apply_forwarders(route.fleet, route.environment, self.hosts, self.wanted)
        note["created"], note["removed"], note["kept"] = list(done.created), list(done.removed), list(done.kept)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether the target restarts automatically as the source did and exactly the wanted relays run."""
        route = self.route
        wanted = policy_word(need_recorded(route).restart_policy)
        moved = need_moved(route)
        seen = policy_word(policy_of(moved))
        if not is_running(moved):
            return failed(
                say(
                    "{target}: {container} is {status}. Expected: running. Read: ssh {target} docker logs --tail 50 "
                    "{container}",
                    target=route.target,
                    container=route.container,
                    status=moved["State"].get("Status"),
                )
            )
        if seen != wanted:
            return failed(
                say(
                    "{target}: restart policy of {container} is {seen}. Expected: {wanted}, as it was. Try: ssh "
                    "{target} docker update --restart {wanted} {container}",
                    target=route.target,
                    container=route.container,
                    seen=seen,
                    wanted=wanted,
                )
            )
        relays = judge_forwarders(route.fleet, route.environment, self.hosts, self.wanted)
        if not relays.passed:
            return relays
        return passed(
            say(
                "{target}: {container} serves (restart policy {seen}); {text}",
                target=route.target,
                container=route.container,
                seen=seen,
                text=relays.text,
            ),
            relays.details,
            **relays.measured,
        )

    def why_not_undone(self) -> str:
        """Return why clients may have written to the target, according to the hosts, whatever the journal says; empty
        when none was switched.
        """
        route = self.route
        there = [relay for host in self.hosts for relay in list_relays(route.fleet, host, route.environment)]
        new, old = ({relay.text() for relay in some} for some in (self.wanted - self.before, self.before - self.wanted))
        near = [relay for relay in there if getattr(relay, "end", NEAR) == NEAR]  # the far end alone switches nobody
        ran = sorted(
            relay.made_for for relay in near if relay.made_for in new and (relay.running or self._has_run(relay))
        )
        if ran:
            return say(
                "a relay that leads to {target} runs, or ran ({first_ran})", target=route.target, first_ran=ran[0]
            )
        gone = sorted(old - {relay.made_for for relay in near})
        if gone:
            return say("a relay that led to {source} is gone ({first_gone})", source=route.source, first_gone=gone[0])
        inspect = self._moved()
        if inspect is None:
            return ""
        policy, wanted = policy_of(inspect), need_recorded(route).restart_policy
        again = another_run(route, route.target, inspect) if started_at(inspect) else ""
        if again:
            return f"{route.target}: {route.container}: {again}"
        nothing_to_switch = not new and not old
        if nothing_to_switch and same_policy(policy, wanted) and is_running(inspect):
            return say(
                "{container} runs on {target} with restart policy {policy}, and the commit had no relay to switch",
                container=route.container,
                target=route.target,
                policy=policy_word(policy),
            )
        return ""

    def _moved(self) -> dict[str, Any] | None:
        """Return the moved container; none on a host that is declared lost."""
        try:
            return find_moved(self.route)
        except HostLostError:
            return None

    def _has_run(self, relay: RunningRelay) -> bool:
        """Return whether a relay that does not run now did once."""
        inspect = inspect_container(self.route.fleet, relay.host, relay.name)
        return inspect is not None and bool(started_at(inspect))

    def undo(self, note: Note) -> None:  # noqa: ARG002 the hosts are asked
        """Put back what was before, unless clients may have written to the target, or nobody could look."""
        route = self.route
        try:
            reason = self.why_not_undone()
        except NotObservedError as error:
            reason = say("whether clients were switched could not be looked at ({error})", error=error)
        if reason:
            raise ManualInterventionError(
                say(
                    "{service}: clients may have written to {target}: {reason}; nothing was put back. Finish: "
                    "{migrate_command}, or bring back what was written there: {rollback_command}. Look first: ssh "
                    "{target} docker logs --tail 50 {container}",
                    service=route.service,
                    target=route.target,
                    reason=reason,
                    migrate_command=route.command("migrate"),
                    rollback_command=route.command("rollback"),
                    container=route.container,
                )
            )
        apply_forwarders(route.fleet, route.environment, self.hosts, self.before)
        inspect = self._moved()
        if inspect is not None and label_of(inspect) == route.move_label and policy_word(policy_of(inspect)) != "no":
            self._set_policy(inspect, {"Name": "no"})

    def _set_policy(self, inspect: Mapping[str, Any], policy: dict[str, Any]) -> None:
        route = self.route
        doing = say(
            "set the restart policy of {container} to {policy}", container=route.container, policy=policy_word(policy)
        )
        route.audit(route.target, self.key, doing)
        with docker_api(route.fleet, route.target, doing) as api:
            answer = api.update_container(str(inspect["Id"]), restart_policy=policy)
        if (answer or {}).get("Warnings"):
            raise ActionError(
                say(
                    "{target}: {doing}: Docker warns: {warning}",
                    target=route.target,
                    doing=doing,
                    warning=answer["Warnings"][0],
                )
            )
