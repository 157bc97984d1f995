"""The places where a service keeps data, and the rules for creating and removing them on the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import docker.errors

from actions.common.route import Route, docker_api, run_checked
from checks.containers.name_conflicts import PathFacts
from engine.constants import LABEL_MOVE
from engine.contracts.container import MountFacts
from engine.errors import RefusedError
from engine.finding import say

SHALLOWEST: Final = 3
"""A path to remove has at least two parts below the root: never `/` or `/srv`."""
LONGEST_REMOVE_S: Final = 3600.0
"""A million files take minutes to remove; Docker answers only then."""

MAKE_PATH: Final = """\
set -eu
path=$1; kind=$2; label=$3
parent=$(dirname -- "$path"); above=$parent; top=
while [ ! -d "$above" ]; do top=$above; above=$(dirname -- "$above"); done
mkdir -p -- "$parent"
before=new; [ ! -d "$path" ] || before=existed
printf '%s\\n%s\\n%s\\n' "$label" "$before" "$top" > "$path.longshore-move"
if [ "$kind" != file ]; then mkdir -p -- "$path"; elif [ ! -e "$path" ]; then : > "$path"; fi
"""
"""The marker's lines: the move's label, whether the directory was there (empty), the topmost directory made above it.
"""

REMOVE_PATH: Final = """\
set -eu
path=$1; label=$2; marker=$path.longshore-move
[ "$(head -n 1 -- "$marker" 2>/dev/null)" = "$label" ] || exit 0
top=$(sed -n 3p -- "$marker")
if [ "$(sed -n 2p -- "$marker")" = existed ]; then
  find "$path" -mindepth 1 -maxdepth 1 -exec rm -rf -- {} +
else
  rm -rf -- "$path"
fi
rm -f -- "$marker"
[ -n "$top" ] || exit 0
above=$(dirname -- "$path")
while rmdir -- "$above" 2>/dev/null && [ "$above" != "$top" ]; do above=$(dirname -- "$above"); done
exit 0
"""
"""A directory that was there before, empty, stays."""


@dataclass(frozen=True, order=True)
class DataPlace:
    """One mount to copy: a volume by its name or a bind path, under the same name on both hosts."""

    kind: str  # volume | bind
    source: str

    def text(self) -> str:
        """Return it for messages."""
        return f"{self.kind} {self.source}"


def places_to_copy(mounts: tuple[MountFacts, ...], rules: Mapping[str, str]) -> tuple[DataPlace, ...]:
    """Return the mounts whose rule is `copy`, each source once, in an order of their own: Docker lists mounts in any
    order.
    """
    return tuple(
        sorted(
            {DataPlace(m.kind, m.source) for m in mounts if rules.get(m.destination) == "copy" and m.kind != "tmpfs"}
        )
    )


def refuse_occupied(route: Route, there: PathFacts) -> None:
    """Raise RefusedError when a path of the target holds what this move did not put there."""
    if not there.free:
        raise RefusedError(
            say(
                "{target}: {path} is a {kind} with content ({marker}). Expected: missing or empty, or marked by "
                "{move_label}. Look: ssh {target} ls -la {path}",
                target=route.target,
                path=there.path,
                kind=there.kind,
                marker=there.marker or say("no marker"),
                move_label=route.move_label,
            )
        )


def check_depth(host: str, path: str) -> None:
    """Raise RefusedError for a path so near the root that copying with --delete or removing it would be a disaster."""
    parts = PurePosixPath(path).parts
    if len(parts) < SHALLOWEST or ".." in parts:
        raise RefusedError(
            say(
                "{host}: {path} is too near the root to be copied. Expected: at least two directories deep. State "
                "rule same_on_target or drop for it in inventory.yaml",
                host=host,
                path=path,
            )
        )


def volume_label(route: Route, host: str, name: str) -> str | None:
    """Return the move label of a volume, empty when it is not ours, None when there is no such volume."""
    with docker_api(route.fleet, host, say("inspect volume {name}", name=name)) as api:
        try:
            present = api.inspect_volume(name)
        except docker.errors.NotFound:
            return None
    return str((present.get("Labels") or {}).get(LABEL_MOVE, ""))


def remove_place(route: Route, host: str, place: DataPlace, step: str) -> None:
    """Remove a place from a host if this attempt created it: it carries its label or its marker."""
    argv = ["docker", "volume", "rm", place.source]
    if place.kind == "bind":
        check_depth(host, place.source)
        argv = ["sh", "-c", REMOVE_PATH, "remove", place.source, route.move_label]
    elif volume_label(route, host, place.source) != route.move_label:
        return
    route.audit(host, step, f"remove {place.text()} if this attempt created it")
    run_checked(
        route.fleet, host, argv, doing=say("remove {place}", place=place.text()), timeout_s=LONGEST_REMOVE_S, held=True
    )
