"""Deeds of a rollback: the moved container is stopped, its data brought back, the clients switched back, the source
started.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from actions.common.base_action import RouteAction
from actions.common.route import docker_api, inspect_container
from actions.container.source import grace_of, judge_stop, run_before_stop
from actions.container.target import CreateTarget
from actions.container_spec.identity import (
    another_run,
    find_moved,
    find_source,
    is_running,
    labelled_containers,
    name_of,
    need_moved,
    need_source,
    policy_of,
    policy_word,
    read_run,
    same_policy,
    save_run,
    see_moved_down,
    see_source_down,
    started_at,
    why_not_at_rest,
)
from actions.container_spec.saved_spec import need_recorded, read_recorded
from actions.copy.locations import DataPlace, volume_label
from actions.copy.precopy import RemoveCopyHelpers
from actions.copy.safety_copy import aside_of, copy_beside, is_set_aside, is_there, prove_beside
from actions.copy.volumes import CopyVolumes
from actions.outage.probe import left_probe, probe_is_there, remove_probe
from actions.relays.planning import Relay
from actions.relays.reconcile import apply_forwarders, judge_forwarders
from checks.containers.name_conflicts import PathFacts, read_paths
from engine.container_names import discarded_name, kept_name
from engine.contracts.action import Note
from engine.contracts.container import ContainerCommand
from engine.errors import ActionError, HostLostError, ManualInterventionError, RefusedError
from engine.verdict import Judgement, failed, passed


@dataclass(frozen=True)
class StopMoved(RouteAction):
    """Stop the moved container on its target, so that it can't start by itself either.

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
        return (
            f"{self.route.target}: set the restart policy of {self.route.container} to no and stop it, with up to "
            f"{self._grace({})} s to finish"
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
                f"{where} is {inspect['State'].get('Status')} with restart policy {policy}. Expected: stopped, no"
            )
        read = f"ssh {route.target} docker logs --tail 50 {route.container}"
        stopped = judge_stop(where, inspect, self.clean_exit_codes, read, self._grace(inspect))
        if not stopped.passed or self.keep:
            return stopped
        again = another_run(route, route.target, inspect)
        noted = note.get("started_at")
        if not again and noted is not None and noted != started_at(inspect):
            again = f"it was started again at {started_at(inspect)} (the run that was stopped began {noted})"
        if again:
            return failed(
                f"{where}: {again}. Expected: stopped since this rollback stopped it: what was brought back may lack "
                "newer writes. "
                f"Find out who started it: ssh {route.target} docker events --since 24h --until 0s"
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
                f"{newer}. It may hold writes that {route.target} lacks, so nothing was started. Expected: stopped "
                "since the move. "
                f"Look at both before you start one: ssh {route.source} docker ps -a; ssh {route.target} docker ps -a"
            )
        inspect = find_moved(route)
        if inspect is None:
            raise ManualInterventionError(
                f"{route.target}: the moved {route.container} is not there any more, so it could not be started. "
                "Expected: stopped, as it was left. "
                f"Find out who removed it: ssh {route.target} docker events --since 24h --until 0s"
            )
        doing = f"{route.target}: start {route.container} again"
        policy = self._policy(note)
        route.audit(route.target, self.key, doing)
        with docker_api(route.fleet, route.target, doing) as api:
            if policy is not None and not same_policy(policy, policy_of(inspect)):
                api.update_container(str(inspect["Id"]), restart_policy=dict(policy))
            if not is_running(inspect):
                api.start(str(inspect["Id"]))
        if policy is None:
            raise ManualInterventionError(
                f"{route.target}: {route.container} runs again, but the restart policy that it had is on record "
                "nowhere. "
                f"Give it the right one: ssh {route.target} docker update --restart POLICY {route.container}"
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


@dataclass(frozen=True)
class CopyBack(CopyVolumes):
    """Copy what was written on the target back over the source's places, each of which has been set aside before.

    `route` leads from the target to the source: the same engine in the other direction.
    """

    key = "copy-back"

    def describe(self) -> str:
        """Return the dry run's line."""
        places = ", ".join(place.text() for place in self.places) or "nothing"
        return f"copy {places} back from {self.route.source} to {self.route.target}, over what was set aside there"

    def do(self, note: Note) -> None:
        """See both containers at rest, then copy."""
        self._see_at_rest()
        moved = find_moved(self.route.turned())
        reason = why_not_at_rest(self.route, self.route.source, moved) if moved else ""
        if reason:
            raise RefusedError(
                f"{reason}. Expected: stopped by this rollback, so that all that was written there is brought back"
            )
        super().do(note)

    def undo(self, note: Note) -> None:  # noqa: ARG002 the host is asked
        """Put back what was set aside, whatever is known of how far the copy came, prove it, and remove the temporary
        key.
        """
        self.ends.remove()
        host, label = self.route.target, self.route.move_label
        there = [place for place in self.places if is_set_aside(self.route, host, place)]
        begun = [place for place in self.places if place not in there and is_there(self.route, host, place)]
        if begun:
            raise ManualInterventionError(
                f"{host}: {aside_of(begun[0], label).source} is there, but nothing says that it is a whole copy of "
                f"{begun[0].text()}, so it was not "
                f"put back. Expected: proven when it was made. Compare both by hand: ssh {host} docker volume ls"
            )
        if not there:
            return  # nothing is written over what is not set aside
        self._see_at_rest()
        for position, place in enumerate(self.places):
            if place in there:
                copy_beside(self.route, host, f"{self.key}-{position}", place=aside_of(place, label), to=place)
        prove_beside(self.route, host, tuple(there))

    def _see_at_rest(self) -> None:
        """Raise NeedsPersonError when the source's container, over whose data is written, runs or ran since it was
        moved.
        """
        back = self.route.turned()
        inspect = find_source(back)
        reason = why_not_at_rest(back, back.source, inspect) if inspect else ""
        if reason:
            raise ManualInterventionError(
                f"{reason}. Expected: stopped since the move: its data may hold newer writes, so nothing was written "
                "over it. What it held before is "
                f"kept beside it. Look: ssh {back.source} docker ps -a; docker volume ls"
            )

    def _refuse_under_container(self) -> None:
        """Raise RefusedError when another container has the source's name; the source itself still has it when the move
        did not come to rename it.
        """
        back = self.route.turned()
        source, named = find_source(back), inspect_container(back.fleet, back.source, back.container)
        if named is not None and (source is None or named["Id"] != source["Id"]):
            raise RefusedError(
                f"{back.source}: {back.container} is another container ({str(named['Id'])[:12]}). Expected: none, or "
                "the one that was moved: it "
                f"could run and write. Look: ssh {back.source} docker inspect {back.container}"
            )

    def _make_place(self, place: DataPlace, kinds: Mapping[str, PathFacts]) -> None:  # noqa: ARG002 as the copy to a target has it
        """Create nothing: the place is there, and is written to only when it has been set aside."""
        if not is_set_aside(self.route, self.route.target, place):
            raise RefusedError(
                f"{self.route.target}: {place.text()} has not been set aside. Expected: a proven copy before "
                "it is written over"
            )


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


@dataclass(frozen=True)
class CleanTarget(RouteAction):
    """Remove from the target what the move created there; with `keep`, only give its container another name.

    Removed is only what carries the move's label, and only after the source holds the same data and serves it.
    `clearing` returns what removes the helpers and keys of a copy or a replica, which are there when the move did not
    come to do so itself.
    """

    creating: CreateTarget
    copying: CopyVolumes
    keep: bool
    clearing: Callable[[], RemoveCopyHelpers] | None = field(default=None, repr=False, compare=False)
    key = "clean-target"
    seconds = 3.0

    def describe(self) -> str:
        """Return the dry run's line."""
        if self.keep:
            return (
                f"{self.route.target}: keep the stopped {self.route.container} as {self._kept()}, with what was "
                "written there"
            )
        return (
            f"{self.route.target}: remove {self.route.container} and its copied data, which {self.route.source} "
            "holds now"
        )

    def observe(self, note: Note) -> None:
        """Note which container goes, and in which run it was last."""
        moved = find_moved(self.route)
        if moved is not None:
            note["container_id"], note["started_at"] = str(moved["Id"]), started_at(moved)

    def do(self, note: Note) -> None:
        """See that the source serves and that the moved container is in the run that was stopped; then remove or rename
        it.
        """
        route = self.route
        self.observe(note)
        moved = find_moved(route)
        self._see_source_runs()
        reason = why_not_at_rest(route, route.target, moved) if moved and not self.keep else ""
        if reason:
            raise RefusedError(
                f"{reason}. Expected: stopped since this rollback stopped it: it may hold newer writes, so nothing "
                "was removed. Look: "
                f"ssh {route.target} docker logs --tail 50 {route.container}; {route.source} serves meanwhile"
            )
        remove_probe(route)
        if self.clearing:
            self.clearing().do({})
        if not self.keep:
            self.creating.undo(note)
            self.copying.undo(note)
        elif moved is not None and name_of(moved) != self._kept():
            route.audit(route.target, self.key, self.describe())
            with docker_api(route.fleet, route.target, self.describe()) as api:
                api.rename(str(moved["Id"]), self._kept())

    def _see_source_runs(self) -> None:
        """Raise RefusedError unless the source's container runs: nothing is removed as long as nothing else serves."""
        inspect = need_source(self.route)
        if inspect["State"].get("Status") != "running":
            raise RefusedError(
                f"{self.route.source}: {name_of(inspect)} is {inspect['State'].get('Status')}. Expected: running, "
                "before anything is removed from "
                f"{self.route.target}. Read: ssh {self.route.source} docker logs --tail 50 {name_of(inspect)}"
            )

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether nothing that carries the label, or has the service's name, is left on the target; or that it is
        kept.
        """
        route = self.route
        left = [
            name_of(one)
            for one in labelled_containers(route, route.target)
            if not (self.keep and name_of(one) == self._kept())
        ]
        if not left and inspect_container(route.fleet, route.target, route.container) is not None:
            left = [route.container]
        if not left and not self.keep:
            left = [place.text() for place in self.copying.places if self._is_left(place)]
        if left:
            return failed(
                f"{route.target}: {left[0]} is still there. Expected: {'renamed' if self.keep else 'removed'}"
            )
        if probe_is_there(route):
            return failed(f"{route.source}: {left_probe(route)}")
        cleared = self.clearing().verify({}) if self.clearing else None
        if cleared is not None and not cleared.passed:
            return cleared
        if not self.keep:
            return passed(f"{route.target}: {route.container} and what this move had copied are removed")
        if inspect_container(route.fleet, route.target, self._kept()) is None:
            raise ActionError(
                f"{route.target}: neither {route.container} nor {self._kept()} is there. Expected: the "
                "stopped container, kept"
            )
        places = " ".join(place.source for place in self.copying.places if place.kind == "volume")
        return passed(
            f"{route.target}: {self._kept()} keeps what was written there and not brought back. Before "
            f"{route.service} can move there "
            f"again, remove it: ssh {route.target} 'docker rm {self._kept()}"
            + (f" && docker volume rm {places}'" if places else "'")
        )

    def _is_left(self, place: DataPlace) -> bool:
        """Return whether what this move copied to a place of the target is there."""
        route = self.route
        if place.kind == "volume":
            return volume_label(route, route.target, place.source) == route.move_label
        return read_paths(route.fleet[route.target], [place.source])[place.source].marker == route.move_label

    def _kept(self) -> str:
        return discarded_name(self.route.container, self.route.move_label)
