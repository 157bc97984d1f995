"""The commit of a move: the target may start by itself, and every client is switched to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actions.containers import need_container
from actions.forwarders import Forwarder
from actions.reconciling import apply_forwarders, judge_forwarders, list_relays
from actions.recorded import need_recorded
from actions.route import Route, docker_api
from engine.errors import ActionError, NeedsPersonError
from engine.model import Note
from engine.verdict import Effect, Judgement, failed, passed


@dataclass(frozen=True)
class Commit:
    """Set the recorded restart policy on the target, then switch the links; after it nothing is undone by itself."""

    route: Route
    wanted: frozenset[Forwarder]
    before: frozenset[Forwarder]
    hosts: tuple[str, ...]
    key: str = field(default="commit", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=True, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        new = sorted(forwarder.text() for forwarder in self.wanted - self.before)
        gone = sorted(forwarder.text() for forwarder in self.before - self.wanted)
        switched = "; ".join([*(f"add {text}" for text in new), *(f"remove {text}" for text in gone)]) or "no relay needed"
        return f"{self.route.target}: give {self.route.container} its restart policy; switch its clients: {switched}"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 1.0 + len(self.wanted ^ self.before)

    def do(self, note: Note) -> None:
        """Restart policy first; the links last, because with them clients write to the target."""
        route = self.route
        policy = need_recorded(route).restart_policy
        note["restart_policy"] = policy
        route.audit(route.target, self.key, self.describe())
        self._set_policy(policy)
        note["switching"] = True
        done = apply_forwarders(route.fleet, route.environment, self.hosts, self.wanted)
        note["created"], note["removed"], note["kept"] = list(done.created), list(done.removed), list(done.kept)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether the target restarts by itself as the source did and exactly the wanted relays run."""
        route = self.route
        wanted = need_recorded(route).restart_policy.get("Name") or "no"
        seen = need_container(route, route.target, route.container)["HostConfig"]["RestartPolicy"].get("Name") or "no"
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

    def undo(self, note: Note) -> None:
        """Put back what was before, unless a new relay ran already: then clients may have written to the target."""
        route = self.route
        if note.get("switching"):
            ran = self._new_relays_that_ran()
            if ran:
                raise NeedsPersonError(
                    f"{route.service}: clients were switched to {route.target} before the commit failed ({ran[0]}), so they "
                    "may have written there; nothing was put back. Finish: nox -s migrate -- --service "
                    f"{route.service} --apply, or look at what was written before you stop it: ssh {route.target} docker "
                    f"logs {route.container}"
                )
            apply_forwarders(route.fleet, route.environment, self.hosts, self.before)
        if note.get("restart_policy"):
            self._set_policy({"Name": "no"})

    def _new_relays_that_ran(self) -> list[str]:
        new = {forwarder.text() for forwarder in self.wanted - self.before}
        relays = [r for host in self.hosts for r in list_relays(self.route.fleet, host, self.route.environment)]
        return sorted(relay.made_for for relay in relays if relay.running and relay.made_for in new)

    def _set_policy(self, policy: dict[str, Any]) -> None:
        route = self.route
        doing = f"set the restart policy of {route.container} to {policy.get('Name') or 'no'}"
        route.audit(route.target, self.key, doing)
        with docker_api(route.fleet, route.target, doing) as api:
            answer = api.update_container(route.container, restart_policy=policy)
        if (answer or {}).get("Warnings"):
            raise ActionError(f"{route.target}: {doing}: Docker warns: {answer['Warnings'][0]}")
