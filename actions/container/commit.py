"""The commit of a move: the target may start by itself, and every client is switched to it."""

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
from engine.verdict import Judgement, failed, passed

NEAR: Final = "near"
"""The end of a relay that clients reach, where a relay has two."""


@dataclass(frozen=True)
class Commit(RouteAction):
    """Set the recorded restart policy on the target, then switch the links; after it nothing is undone by itself."""

    wanted: frozenset[Relay]
    before: frozenset[Relay]
    hosts: tuple[str, ...]
    key = "commit"
    commits = True

    def describe(self) -> str:
        """Return the dry run's line."""
        new = sorted(forwarder.text() for forwarder in self.wanted - self.before)
        gone = sorted(forwarder.text() for forwarder in self.before - self.wanted)
        switched = (
            "; ".join([*(f"add {text}" for text in new), *(f"remove {text}" for text in gone)]) or "no relay needed"
        )
        return f"{self.route.target}: give {self.route.container} its restart policy; switch its clients: {switched}"

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
        """Judge whether the target restarts by itself as the source did and exactly the wanted relays run."""
        route = self.route
        wanted = policy_word(need_recorded(route).restart_policy)
        moved = need_moved(route)
        seen = policy_word(policy_of(moved))
        if not is_running(moved):
            return failed(
                f"{route.target}: {route.container} is {moved['State'].get('Status')}. Expected: running. "
                f"Read: ssh {route.target} docker logs --tail 50 {route.container}"
            )
        if seen != wanted:
            return failed(
                f"{route.target}: restart policy of {route.container} is {seen}. Expected: {wanted}, as it was. "
                f"Try: ssh {route.target} docker update --restart {wanted} {route.container}"
            )
        relays = judge_forwarders(route.fleet, route.environment, self.hosts, self.wanted)
        if not relays.passed:
            return relays
        return passed(
            f"{route.target}: {route.container} serves (restart policy {seen}); {relays.text}",
            relays.details,
            **relays.measured,
        )

    def why_not_undone(self) -> str:
        """Return why clients may have written to the target, as the hosts tell whatever the journal says; empty when
        none was switched.
        """
        route = self.route
        there = [relay for host in self.hosts for relay in list_relays(route.fleet, host, route.environment)]
        new, old = ({relay.text() for relay in some} for some in (self.wanted - self.before, self.before - self.wanted))
        near = [relay for relay in there if getattr(relay, "end", NEAR) == NEAR]  # the far end alone switches nobody
        ran = sorted(
            relay.made_for for relay in near if relay.made_for in new and (relay.running or self._has_run(relay))
        )
        if ran:
            return f"a relay that leads to {route.target} runs, or ran ({ran[0]})"
        gone = sorted(old - {relay.made_for for relay in near})
        if gone:
            return f"a relay that led to {route.source} is gone ({gone[0]})"
        inspect = self._moved()
        if inspect is None:
            return ""
        policy, wanted = policy_of(inspect), need_recorded(route).restart_policy
        again = another_run(route, route.target, inspect) if started_at(inspect) else ""
        if again:
            return f"{route.target}: {route.container}: {again}"
        nothing_to_switch = not new and not old
        if nothing_to_switch and same_policy(policy, wanted) and is_running(inspect):
            return (
                f"{route.container} runs on {route.target} with restart policy {policy_word(policy)}, and the "
                "commit had no relay to switch"
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
            reason = f"whether clients were switched could not be looked at ({error})"
        if reason:
            raise ManualInterventionError(
                f"{route.service}: clients may have written to {route.target}: {reason}; nothing was put back. "
                f"Finish: {route.command('migrate')}"
                f", or bring back what was written there: {route.command('rollback')}. "
                f"Look first: ssh {route.target} docker logs --tail 50 {route.container}"
            )
        apply_forwarders(route.fleet, route.environment, self.hosts, self.before)
        inspect = self._moved()
        if inspect is not None and label_of(inspect) == route.move_label and policy_word(policy_of(inspect)) != "no":
            self._set_policy(inspect, {"Name": "no"})

    def _set_policy(self, inspect: Mapping[str, Any], policy: dict[str, Any]) -> None:
        route = self.route
        doing = f"set the restart policy of {route.container} to {policy_word(policy)}"
        route.audit(route.target, self.key, doing)
        with docker_api(route.fleet, route.target, doing) as api:
            answer = api.update_container(str(inspect["Id"]), restart_policy=policy)
        if (answer or {}).get("Warnings"):
            raise ActionError(f"{route.target}: {doing}: Docker warns: {answer['Warnings'][0]}")
