"""Deeds of a rollback: the moved container is stopped, its data brought back, the clients switched back, the source started."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from actions.asides import aside_of, copy_beside, is_set_aside
from actions.containers import KILLED, STOPPED_STATES, need_container, see_target_down
from actions.forwarders import Forwarder
from actions.places import DataPlace
from actions.reconciling import apply_forwarders, judge_forwarders
from actions.recorded import need_recorded
from actions.route import Route, docker_api, inspect_container
from actions.targets import CreateTarget, StartTarget
from actions.volumes import CopyVolumes
from checks.names import PathFacts
from checks.source import discarded_name, kept_name
from engine.errors import ActionError, NeedsPersonError, RefusedError
from engine.model import Note
from engine.verdict import Effect, Judgement, failed, passed


@dataclass(frozen=True)
class StopMoved:
    """Stop the moved container on its target, so that it can't start by itself either."""

    route: Route
    grace_s: int
    clean_exit_codes: Collection[int]
    key: str = field(default="stop-moved", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return f"{self.route.target}: set the restart policy of {self.route.container} to no and stop it, with up to {self.grace_s} s to finish"

    def estimate_s(self) -> float | None:
        """Return seconds, without knowing how much of the grace it needs."""
        return 5.0

    def do(self, note: Note) -> None:
        """Note its policy, disable it, stop it."""
        route = self.route
        policy = need_container(route, route.target, route.container)["HostConfig"]["RestartPolicy"]
        note.setdefault("restart_policy", policy)
        route.audit(route.target, self.key, self.describe())
        with docker_api(route.fleet, route.target, self.describe()) as api:
            api.update_container(route.container, restart_policy={"Name": "no"})
            api.stop(route.container, timeout=self.grace_s)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it is stopped, cleanly, and stays so."""
        route = self.route
        inspect = need_container(route, route.target, route.container)
        state, policy = inspect["State"], inspect["HostConfig"]["RestartPolicy"].get("Name") or "no"
        where, code = f"{route.target}: {route.container}", int(state.get("ExitCode", -1))
        if state.get("Status") not in STOPPED_STATES or policy != "no":
            return failed(f"{where} is {state.get('Status')} with restart policy {policy}. Expected: stopped, no")
        if code not in self.clean_exit_codes or code == KILLED:
            return failed(
                f"{where} stopped with exit code {code}. Expected: one of {', '.join(map(str, sorted(self.clean_exit_codes)))}: files of a "
                f"killed process are not copied. Read: ssh {route.target} docker logs --tail 50 {route.container}",
                exit_code=code,
            )
        return passed(f"{where} stopped with exit code {code}", exit_code=code)

    def undo(self, note: Note) -> None:
        """Start it again, only after the source's container has been seen stopped."""
        route = self.route
        see_target_down(route.turned())
        doing = f"{route.target}: start {route.container} again"
        route.audit(route.target, self.key, doing)
        with docker_api(route.fleet, route.target, doing) as api:
            if note.get("restart_policy"):
                api.update_container(route.container, restart_policy=note["restart_policy"])
            api.start(route.container)


@dataclass(frozen=True)
class BringBack(CopyVolumes):
    """Copy what was written on the target back over the source's places, each of which has been set aside before.

    `route` leads from the target to the source: the same engine in the other direction.
    """

    key: str = field(default="bring-back", init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        places = ", ".join(place.text() for place in self.places) or "nothing"
        return f"copy {places} back from {self.route.source} to {self.route.target}, over what was set aside there"

    def undo(self, note: Note) -> None:
        """Put back what was set aside, and remove the temporary key."""
        self.ends.remove()
        for position, place in enumerate(self.places) if "created" in note else ():
            aside = aside_of(place, self.route.move_label)
            if is_set_aside(self.route, self.route.target, place):
                copy_beside(self.route, self.route.target, f"{self.key}-{position}", place=aside, to=place)

    def _make_place(self, place: DataPlace, kinds: Mapping[str, PathFacts]) -> None:  # noqa: ARG002 as the copy to a target has it
        """Create nothing: the place is there, and is written to only when it has been set aside."""
        if not is_set_aside(self.route, self.route.target, place):
            raise RefusedError(f"{self.route.target}: {place.text()} has not been set aside. Expected: a proven copy before it is written over")


@dataclass(frozen=True)
class SwitchBack:
    """Make the relays those that are wanted with the service on its source; it holds its old names itself."""

    route: Route
    wanted: frozenset[Forwarder]
    before: frozenset[Forwarder]
    hosts: tuple[str, ...]
    key: str = field(default="switch-back", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        new, gone = (sorted(one.text() for one in some) for some in (self.wanted - self.before, self.before - self.wanted))
        switched = "; ".join([*(f"add {text}" for text in new), *(f"remove {text}" for text in gone)]) or "no relay changes"
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
class StartReturned:
    """Give the source's container its name back and start it: from now on clients reach it, so this commits the rollback."""

    route: Route
    key: str = field(default="start-returned", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=True, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return f"{self.route.source}: name {kept_name(self.route.container)} {self.route.container} again and start it"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 2.0

    def do(self, note: Note) -> None:
        """See the target's container down, rename, start, and give back the restart policy that was recorded."""
        route = self.route
        see_target_down(route)
        kept = kept_name(route.container)
        route.audit(route.source, self.key, self.describe())
        with docker_api(route.fleet, route.source, self.describe()) as api:
            if inspect_container(route.fleet, route.source, route.container) is None:
                api.rename(kept, route.container)
            note["starting"] = True
            api.start(route.container)
            api.update_container(route.container, restart_policy=need_recorded(route).restart_policy)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it runs and restarts by itself as it did before the move."""
        route = self.route
        inspect = need_container(route, route.source, route.container)
        status, policy = inspect["State"].get("Status"), inspect["HostConfig"]["RestartPolicy"].get("Name") or "no"
        wanted = need_recorded(route).restart_policy.get("Name") or "no"
        if status != "running" or policy != wanted:
            return failed(
                f"{route.source}: {route.container} is {status} with restart policy {policy}. Expected: running, {wanted}. "
                f"Read: ssh {route.source} docker logs --tail 50 {route.container}"
            )
        return passed(f"{route.source}: {route.container} runs again (restart policy {policy})")

    def undo(self, note: Note) -> None:
        """Give it its kept name again, unless it ran: then clients may have written to it."""
        route = self.route
        inspect = inspect_container(route.fleet, route.source, route.container)
        if inspect is None:
            return
        if note.get("starting") and inspect["State"].get("StartedAt", "") > need_recorded(route).recorded_at:
            raise NeedsPersonError(
                f"{route.service}: {route.container} on {route.source} was started again, so clients may have written there; nothing was put "
                f"back. Finish: nox -s rollback -- {route.service} --apply, or look first: ssh {route.source} docker logs {route.container}"
            )
        with docker_api(route.fleet, route.source, f"rename {route.container}") as api:
            api.rename(route.container, kept_name(route.container))


@dataclass(frozen=True)
class RetireMoved:
    """Remove from the target what the move created there; with `keep`, only give its container another name.

    Removed is only what carries the move's label, and only after the source holds the same data and serves it.
    """

    route: Route
    creating: CreateTarget
    copying: CopyVolumes
    keep: bool
    key: str = field(default="retire-moved", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        if self.keep:
            return f"{self.route.target}: keep the stopped {self.route.container} as {self._kept()}, with what was written there"
        return f"{self.route.target}: remove {self.route.container} and its copied data, which {self.route.source} holds now"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 3.0

    def do(self, note: Note) -> None:
        """See it stopped, then remove or rename it."""
        StartTarget(self.route, grace_s=10).undo(note)
        if not self.keep:
            self.creating.undo(note)
            self.copying.undo(note)
            return
        if inspect_container(self.route.fleet, self.route.target, self.route.container) is not None:
            self.route.audit(self.route.target, self.key, self.describe())
            with docker_api(self.route.fleet, self.route.target, self.describe()) as api:
                api.rename(self.route.container, self._kept())

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether no container of the service's name is left on the target."""
        route = self.route
        if inspect_container(route.fleet, route.target, route.container) is not None:
            return failed(f"{route.target}: {route.container} is still there. Expected: {'renamed' if self.keep else 'removed'}")
        if not self.keep:
            return passed(f"{route.target}: {route.container} and what this move had copied are removed")
        if inspect_container(route.fleet, route.target, self._kept()) is None:
            raise ActionError(f"{route.target}: neither {route.container} nor {self._kept()} is there. Expected: the stopped container, kept")
        places = " ".join(place.source for place in self.copying.places if place.kind == "volume")
        return passed(
            f"{route.target}: {self._kept()} keeps what was written there and not brought back. Before {route.service} can move there "
            f"again, remove it: ssh {route.target} 'docker rm {self._kept()}" + (f" && docker volume rm {places}'" if places else "'")
        )

    def undo(self, note: Note) -> None:
        """Undo nothing: the rollback is committed by then."""

    def _kept(self) -> str:
        return discarded_name(self.route.container, self.route.move_label)
