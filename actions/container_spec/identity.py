"""Which container belongs to a move, and in which of its runs it is: by recorded id and by the move's label, never by
name alone.

Before a container is stopped, its id, the start of its run and its restart policy are saved on its own host. Whoever
comes later, in another process or with an empty journal, compares with that: another start means that somebody ran it
in between and that it may hold newer writes.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from actions.common.route import Route, docker_api, inspect_container, run_checked
from actions.container_spec.saved_spec import damaged, read_privately, read_recorded, save_privately
from engine.constants import HOST_STATE_DIR, LABEL_MOVE, LABEL_ROLE
from engine.container_names import kept_name
from engine.errors import ActionError, HostLostError, ManualInterventionError, NotObservedError, RefusedError
from engine.finding import say

DIRECTORY: Final = f"{HOST_STATE_DIR}/runs"
STOPPED_STATES: Final = frozenset({"exited", "created", "dead"})
SERVICE_ROLE: Final = "service"
OWN_FOLDER: Final = 3
"""A folder with so many parts (`/srv/shop`) belongs to somebody; above it is what agents of the host mount."""
NEVER: Final = "0001-01-01T00:00:00Z"
"""Docker's time of what has not happened."""


@dataclass(frozen=True)
class KnownRun:
    """One run of a container as it was seen before its stop, or after our own start."""

    move_label: str
    container_id: str
    started_at: str
    restart_policy: Mapping[str, Any]


def run_path(service: str) -> str:
    """Return where the known run of a service's container lies on that container's host."""
    return f"{DIRECTORY}/{service}.json"


def read_run(route: Route, host: str) -> KnownRun | None:
    """Return the run that this move knows of the service's container on a host, None when it knows none."""
    path, expected = run_path(route.service), say("a run as it was saved before the stop")
    content = read_privately(route.fleet, host, path, expected=expected)
    if content is None:
        return None
    try:
        known = KnownRun(
            str(content["move"]), str(content["id"]), str(content["started_at"]), dict(content["restart_policy"])
        )
    except (TypeError, KeyError, ValueError) as error:
        raise damaged(host, path, error, expected) from error
    return known if known.move_label == route.move_label else None


def save_run(route: Route, host: str, inspect: Mapping[str, Any], policy: Mapping[str, Any] | None = None) -> KnownRun:
    """Save the present run of a container on its host; the restart policy that was saved for this same run stays.

    But for `no`: it has that while it moves, and its own when it serves.
    """
    seen = KnownRun(route.move_label, str(inspect["Id"]), started_at(inspect), policy or policy_of(inspect))
    before = read_run(route, host)
    same_run = before is not None and (before.container_id, before.started_at) == (seen.container_id, seen.started_at)
    if (
        before is not None
        and same_run
        and (policy_word(before.restart_policy) != "no" or policy_word(seen.restart_policy) == "no")
    ):
        return before
    content = {
        "move": seen.move_label,
        "id": seen.container_id,
        "started_at": seen.started_at,
        "restart_policy": dict(seen.restart_policy),
    }
    doing = say("save which run of {container} is stopped", container=route.container)
    save_privately(route.fleet, host, run_path(route.service), json.dumps(content).encode(), doing=doing)
    return seen


def forget_run(route: Route, host: str) -> None:
    """Remove what this move saved of a container's run on a host."""
    if read_run(route, host) is not None:
        path = run_path(route.service)
        run_checked(route.fleet, host, ["rm", "-f", "--", path], doing=say("remove {path}", path=path))


def started_at(inspect: Mapping[str, Any]) -> str:
    """Return when the container's present or last run began, empty when it never ran."""
    seen = str(inspect["State"].get("StartedAt") or "")
    return "" if seen == NEVER else seen


def is_running(inspect: Mapping[str, Any]) -> bool:
    """Return whether the container's processes live: running, paused or restarting."""
    return inspect["State"].get("Status") not in STOPPED_STATES


def policy_of(inspect: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's restart policy."""
    return dict((inspect.get("HostConfig") or {}).get("RestartPolicy") or {"Name": "no", "MaximumRetryCount": 0})


def policy_word(policy: Mapping[str, Any]) -> str:
    """Return a restart policy as `docker update --restart` takes it."""
    name, retries = str(policy.get("Name") or "no"), int(policy.get("MaximumRetryCount") or 0)
    return f"{name}:{retries}" if name == "on-failure" and retries else name


def same_policy(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two restart policies are the same."""
    return policy_word(one) == policy_word(other)


def label_of(inspect: Mapping[str, Any]) -> str:
    """Return the move's label of a container, empty when it has none."""
    return str(((inspect.get("Config") or {}).get("Labels") or {}).get(LABEL_MOVE, ""))


def name_of(inspect: Mapping[str, Any]) -> str:
    """Return a container's name."""
    return str(inspect.get("Name") or "").lstrip("/")


def labelled_containers(route: Route, host: str) -> list[dict[str, Any]]:
    """Return every container of the service on a host that carries this attempt's label, whatever its name
    and state.
    """
    wanted = [f"{LABEL_MOVE}={route.move_label}", f"{LABEL_ROLE}={SERVICE_ROLE}"]
    with docker_api(route.fleet, host, say("list containers of {move_label}", move_label=route.move_label)) as api:
        listed = [str(item["Id"]) for item in api.containers(all=True, filters={"label": wanted})]
    found = (inspect_container(route.fleet, host, container_id) for container_id in listed)
    return [inspect for inspect in found if inspect is not None]


def find_moved(route: Route) -> dict[str, Any] | None:
    """Return the moved container on the target: by this attempt's label, else the one that serves there under the name.

    Somebody may have made it anew over the moved data (`docker compose up`): it has lost the label then. One that
    carries another move's label is never taken. Only what carries the label is ever removed.
    """
    labelled = labelled_containers(route, route.target)
    if len(labelled) > 1:
        names = ", ".join(name_of(inspect) for inspect in labelled)
        raise ActionError(
            say(
                "{target}: {count} containers carry {label_move}={move_label}: {names}. Expected: one. Look: ssh "
                "{target} docker ps -a --filter label={label_move}={move_label}",
                target=route.target,
                count=len(labelled),
                label_move=LABEL_MOVE,
                move_label=route.move_label,
                names=names,
            )
        )
    if labelled:
        return labelled[0]
    named = inspect_container(route.fleet, route.target, route.container)
    return named if named is not None and label_of(named) in {"", route.move_label} else None


def need_moved(route: Route) -> dict[str, Any]:
    """Return the moved container, which must be there."""
    found = find_moved(route)
    if found is None:
        raise ActionError(
            say(
                "{target}: no container of {move_label}. Expected: the moved {container}. Try: ssh {target} docker ps "
                "-a",
                target=route.target,
                move_label=route.move_label,
                container=route.container,
            )
        )
    return found


def find_source(route: Route) -> dict[str, Any] | None:
    """Return the source's container by the id that was recorded; by its name only while nothing is recorded of this
    move.
    """
    recorded = read_recorded(route.fleet, route.source, route.service)
    if recorded is not None and recorded.move_label == route.move_label:
        return inspect_container(route.fleet, route.source, str(recorded.inspect["Id"]))
    return inspect_container(route.fleet, route.source, route.container) or inspect_container(
        route.fleet, route.source, kept_name(route.container)
    )


def need_source(route: Route) -> dict[str, Any]:
    """Return the source's container, which must be there."""
    found = find_source(route)
    if found is None:
        raise ActionError(
            say(
                "{source}: the container that was recorded as {container} is not there. Expected: kept until "
                "decommission. Find out who removed it: ssh {source} docker events --since 24h --until 0s",
                source=route.source,
                container=route.container,
            )
        )
    return found


def another_run(route: Route, host: str, inspect: Mapping[str, Any]) -> str:
    """Return how a stopped container's run differs from the one that this move stopped, empty when it is that one.

    Without a saved run the record of the source decides: it was made while the container ran.
    """
    known = read_run(route, host)
    if known is None and host == route.source:
        recorded = read_recorded(route.fleet, host, route.service)
        if recorded is not None and recorded.move_label == route.move_label:
            known = KnownRun(
                route.move_label, str(recorded.inspect["Id"]), started_at(recorded.inspect), recorded.restart_policy
            )
    if known is None:
        return (
            ""
            if not started_at(inspect)
            else say(
                "it ran since {started_at}, and no stop of it by this move is on record", started_at=started_at(inspect)
            )
        )
    if str(inspect["Id"]) != known.container_id:
        return say(
            "it is another container ({id}, stopped was {container_id})",
            id=str(inspect["Id"])[:12],
            container_id=known.container_id[:12],
        )
    if started_at(inspect) != known.started_at:
        ended = str(inspect["State"].get("FinishedAt") or "")
        until = say(", ended {ended}", ended=ended) if ended and ended != NEVER and not is_running(inspect) else ""
        return say(
            "it was started again at {started_at}{until} (the run that was stopped began {stopped_run})",
            started_at=started_at(inspect),
            until=until,
            stopped_run=known.started_at or say("at a time not noted"),
        )
    return ""


def why_not_at_rest(route: Route, host: str, inspect: Mapping[str, Any]) -> str:
    """Return why a container can't be relied on to hold what it held at its stop: it runs, or ran again; empty when it
    can.
    """
    where = f"{host}: {name_of(inspect) or route.container}"
    if is_running(inspect):
        return say("{where} is {status}", where=where, status=inspect["State"].get("Status"))
    again = another_run(route, host, inspect)
    return f"{where}: {again}" if again else ""


def need_source_at_rest(route: Route) -> None:
    """Raise RefusedError unless the source's container is stopped in exactly the run that this move stopped, and nobody
    has its name.
    """
    inspect = need_source(route)
    reason = why_not_at_rest(route, route.source, inspect) or _other_of_the_name(
        route, route.source, (route.container,), inspect
    )
    if reason:
        raise RefusedError(
            say(
                "{reason}. Expected: stopped since this move stopped it, so that nothing was written after the copy; "
                "two at once would lose data. Find out who started it: ssh {source} docker events --since 24h --until "
                "0s",
                reason=reason,
                source=route.source,
            )
        )


def see_moved_down(route: Route) -> None:
    """Return when whatever could be the moved container is seen stopped or absent, or its host is declared lost; never
    two writers.
    """

    def ask() -> list[Mapping[str, Any]]:
        named = inspect_container(route.fleet, route.target, route.container)
        return [*labelled_containers(route, route.target), *([named] if named else [])]

    _see_down(route, route.target, ask, route.source)


def see_source_down(route: Route) -> None:
    """Return when whatever could be the source's container is seen stopped or absent."""

    def ask() -> list[Mapping[str, Any]]:
        names = (route.container, kept_name(route.container))
        found = [find_source(route), *(inspect_container(route.fleet, route.source, name) for name in names)]
        return [inspect for inspect in found if inspect is not None]

    _see_down(route, route.source, ask, route.target)


def _see_down(route: Route, host: str, ask: Any, other: str) -> None:
    try:
        found = ask()
    except HostLostError:
        return
    except (NotObservedError, ActionError) as error:
        raise ManualInterventionError(
            say(
                "{host}: {container} could not be seen stopped ({error}), so {other}'s was not started: two at once "
                "would lose data. {which_serves}",
                host=host,
                container=route.container,
                error=error,
                other=other,
                which_serves=which_serves(route),
            )
        ) from error
    for inspect in found:
        if is_running(inspect):
            raise ManualInterventionError(
                say(
                    "{host}: {inspect} is {status}, so {other}'s was not started: two at once would lose data. "
                    "{which_serves}",
                    host=host,
                    inspect=name_of(inspect),
                    status=inspect["State"].get("Status"),
                    other=other,
                    which_serves=which_serves(route),
                )
            )


def which_serves(route: Route, source_name: str = "") -> str:
    """Return how a person finds out which of the two sides its clients use: no stop is advised, either side may hold
    the newer writes.

    `source_name` is what the source's container is called now, where that is another name than the service's.
    """
    looks = (
        f"ssh {route.source} 'docker ps -a; docker logs --tail 20 {source_name or route.container}'; "
        f"ssh {route.target} 'docker ps -a; docker logs --tail 20 {route.container}'"
    )
    return say(
        "Look which of the two its clients use, and stop neither before that is known: {looks}. Once only that one "
        "runs: {command}",
        looks=looks,
        command=route.command("rollback"),
    )


def _other_of_the_name(route: Route, host: str, names: tuple[str, ...], own: Mapping[str, Any]) -> str:
    """Return which other container runs under one of the names."""
    for name in names:
        named = inspect_container(route.fleet, host, name)
        if named is not None and named["Id"] != own["Id"] and is_running(named):
            return say(
                "{host}: {name} is another container ({id}) and is {status}",
                host=host,
                name=name,
                id=str(named["Id"])[:12],
                status=named["State"].get("Status"),
            )
    return ""


def refuse_used_places(route: Route, host: str, sources: Mapping[str, str]) -> None:
    """Raise NeedsPersonError when a container on a host mounts one of the places that are about to be removed.

    `sources` are their volume names and paths, each with its kind. Helpers of this move are no users, and who only
    reads is none.
    """
    with docker_api(route.fleet, host, say("look who uses the data")) as api:
        listed = api.containers(all=True) if sources else []
    for item in listed:
        labels = item.get("Labels") or {}
        if labels.get(LABEL_MOVE) == route.move_label and labels.get(LABEL_ROLE) != SERVICE_ROLE:
            continue
        used = [
            source
            for mount in item.get("Mounts") or ()
            if mount.get("RW", True)
            for source in sources
            if _is_mounted(source, sources[source], mount)
        ]
        if used:
            name = str((item.get("Names") or [str(item.get("Id", ""))[:12]])[0]).lstrip("/")
            raise ManualInterventionError(
                say(
                    "{host}: {first_used} is mounted by container {name} ({state}). Expected: by none, before it is "
                    "removed. Look who needs it: ssh {host} docker inspect {name}. To continue once it is not needed: "
                    "ssh {host} docker rm {name}",
                    host=host,
                    first_used=used[0],
                    name=name,
                    state=item.get("State", say("state not reported")),
                )
            )


def _is_mounted(source: str, kind: str, mount: Mapping[str, Any]) -> bool:
    """Return whether a mount is this place, lies in it, or is a folder of its own above it; a volume may be mounted by
    its path, too.
    """
    if kind == mount.get("Type") == "volume":
        return bool(mount.get("Name") == source)
    seen = posixpath.normpath(str(mount.get("Source") or ""))
    if kind == "volume":
        return mount.get("Type") == "bind" and f"/volumes/{source}/_data/" in f"{seen}/"
    place = posixpath.normpath(source)
    above = len(PurePosixPath(seen).parts) >= OWN_FOLDER and PurePosixPath(place).is_relative_to(seen)
    return mount.get("Type") in {"bind", "volume"} and (PurePosixPath(seen).is_relative_to(place) or above)
