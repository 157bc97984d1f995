"""Where the state of a container lies: on mounts with a rule, or in places that a move would lose."""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from engine.contracts.container import ContainerFacts, MountFacts
from engine.contracts.mount_kinds import kind_over, memory_below
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed
from hosts.facts.model import HostFacts

ANONYMOUS: Final = re.compile(r"^[0-9a-f]{64}$")
"""Docker names a volume that nobody named with 64 hexadecimal digits."""

RULES: Final = frozenset({"copy", "same_on_target", "drop"})
DOCKER_INIT: Final = "/usr/sbin/docker-init"
"""Docker mounts its own init there for a container with `--init`; `docker diff` shows the empty file below."""

KINDS: Final = {0: "C", 1: "A", 2: "D"}
"""Docker Engine API, ContainerChanges: https://docs.docker.com/reference/api/engine/"""
SHOWN: Final = 20
IN_MEMORY_ANYWAY: Final = ("/run", "/var/run", "/tmp", "/dev", "/proc", "/sys", "/var/tmp")  # noqa: S108 paths in the container
"""Where nobody expects anything to stay (Filesystem Hierarchy Standard 3.0: /run, /tmp)."""


@dataclass(frozen=True)
class Change:
    """One change of a container's writable layer as `docker diff` shows it: A added, C changed, D deleted."""

    kind: str
    path: str


def changes_of(answer: Iterable[Mapping[str, Any]] | None) -> tuple[Change, ...]:
    """Return the changes that the engine reports of a container; it returns null where there are none."""
    return tuple(Change(KINDS[int(one["Kind"])], str(one["Path"])) for one in answer or ())


@dataclass(frozen=True)
class Outside:
    """What a product says of paths outside its mounts, each by fnmatch patterns.

    `noise` holds no state; `doubts` are exceptions to it, which somebody must have looked at; `state` is state for
    sure.
    """

    noise: Collection[str] = ()
    doubts: Collection[str] = ()
    state: Collection[str] = ()


def judge_writable_layer(
    container: ContainerFacts,
    changes: Iterable[Change],
    outside: Outside | Collection[str],
    ignored_because: str | None = None,
) -> Judgement:
    """Judge whether everything written outside the mounts is known to hold no state.

    `ignored_because` is the inventory's written reason to ignore all of it but what the product knows to be state.
    """
    said = outside if isinstance(outside, Outside) else Outside(noise=outside)
    changes = tuple(changes)
    where = f"{container.host}: {container.name}"
    leaves = _leaves(changes, container)
    lost = [change for change in leaves if change.kind != "D" and _is_noise(change.path, said.state)]
    if lost:
        return failed(
            say(
                "{where}: {path} is state of its product and lies outside its mounts ({count} such paths): it would "
                "be lost, whatever ignore_writable_layer_because says. Expected: none. Put it on a mount",
                where=where,
                path=lost[0].path,
                count=len(lost),
            ),
            tuple(f"{change.kind} {change.path}" for change in lost[:SHOWN]),
            paths_at_risk=len(lost),
        )
    left = [
        change for change in leaves if not _is_noise(change.path, said.noise) or _is_noise(change.path, said.doubts)
    ]
    details = tuple(f"{change.kind} {change.path}" for change in left[:SHOWN])
    if left and ignored_because:
        return passed(
            say(
                "{where}: {left_count} of {changes_count} changed paths outside mounts are left behind: "
                "{ignored_because}",
                where=where,
                left_count=len(left),
                changes_count=len(changes),
                ignored_because=ignored_because,
            ),
            details,
            paths_left_behind=len(left),
        )
    if left:
        return failed(
            say(
                "{where}: {left_count} of {changes_count} changed paths lie outside its mounts and would be lost, "
                'first {path}. Expected: none. Put them on a mount, or state ignore_writable_layer_because: "ignore: '
                '<reason>" in inventory.yaml',
                where=where,
                left_count=len(left),
                changes_count=len(changes),
                path=left[0].path,
            ),
            details,
            paths_at_risk=len(left),
        )
    return passed(
        say("{where}: {count} changed paths outside mounts, all known as noise", where=where, count=len(changes)),
        paths_changed=len(changes),
    )


def judge_mount_rules(container: ContainerFacts, rules: Mapping[str, str]) -> Judgement:
    """Judge whether every mount of the container has a rule in the inventory; `rules` maps destinations to rules."""
    where = f"{container.host}: {container.name}"
    without = [
        say("{kind} at {destination}", kind=mount.kind, destination=mount.destination)
        for mount in container.mounts
        if mount.destination not in rules
    ]
    unknown_rules = [f'{at}: "{rule}"' for at, rule in rules.items() if rule not in RULES]
    seen = {mount.destination for mount in container.mounts}
    gone = [say("{at} (no such mount)", at=at) for at in rules if at not in seen]
    wrong = [*without, *unknown_rules, *gone]
    if wrong:
        return failed(
            say(
                "{where}: {wrong_count} problems with the rules of its {mounts_count} mounts: {wrong}. Expected: one "
                "of copy, same_on_target, drop for each. Add them under mounts: in inventory.yaml",
                where=where,
                wrong_count=len(wrong),
                mounts_count=len(container.mounts),
                wrong=joined("; ", wrong),
            ),
            tuple(wrong),
        )
    return passed(
        say("{where}: all {count} mounts have a rule", where=where, count=len(container.mounts)),
        mounts=len(container.mounts),
    )


def judge_state_paths(container: ContainerFacts, state_paths: Collection[str]) -> Judgement:
    """Judge whether each path where the product keeps state lies on a mount that outlives the container."""
    where = f"{container.host}: {container.name}"
    kinds = {path: kind_over(container, path) for path in state_paths}
    in_memory, bare = ([path for path, kind in kinds.items() if kind == wanted] for wanted in ("tmpfs", ""))
    if in_memory:
        return failed(
            say(
                "{where}: {in_memory} lies in memory (tmpfs). Expected: every state path on a volume or bind mount. "
                "The stop of a move empties it: put it on a volume first",
                where=where,
                in_memory=", ".join(in_memory),
            )
        )
    if bare:
        return failed(
            say(
                "{where}: {bare} lies on none of its {count} mounts. Expected: every state path on a mount. What is "
                "there would be lost: put it on a volume first",
                where=where,
                bare=", ".join(bare),
                count=len(container.mounts),
            )
        )
    others = [
        path
        for path in memory_below(container)
        if not any(path.startswith(f"{system}/") or path == system for system in IN_MEMORY_ANYWAY)
    ]
    emptied = say("; emptied by its stop, as tmpfs: {others}", others=", ".join(others)) if others else ""
    return passed(
        say(
            "{where}: all {count} state paths lie on mounts{emptied}",
            where=where,
            count=len(state_paths),
            emptied=emptied,
        ),
        state_paths=len(state_paths),
    )


def judge_kept_by_stop(where: str, lost: Collection[str]) -> Judgement:
    """Judge whether a stop of the service loses nothing; `lost` is what its product says that it would."""
    if lost:
        return failed(
            say(
                "{where}: {lost}. Expected: a store that still holds everything after it was stopped",
                where=where,
                lost=joined("; ", lost),
            ),
            tuple(lost),
            lost=len(lost),
        )
    return passed(say("{where}: a stop loses nothing that its settings name", where=where))


def judge_anonymous_volumes(container: ContainerFacts, rules: Mapping[str, str]) -> Judgement:
    """Judge whether no volume without a name goes without a rule."""
    anonymous = [mount for mount in container.mounts if mount.kind == "volume" and ANONYMOUS.match(mount.source)]
    bare = [mount.destination for mount in anonymous if mount.destination not in rules]
    if bare:
        return failed(
            say(
                "{host}: {name}: anonymous volume at {bare}. Expected: named, or with a rule. State a rule for it "
                "under mounts: in inventory.yaml",
                host=container.host,
                name=container.name,
                bare=", ".join(bare),
            )
        )
    return passed(
        say(
            "{host}: {name}: {count} anonymous volumes, each with a rule",
            host=container.host,
            name=container.name,
            count=len(anonymous),
        )
    )


def judge_volume_drivers(facts: HostFacts, container: ContainerFacts, rules: Mapping[str, str]) -> Judgement:
    """Judge whether all volumes to copy are plain local ones: no plugin, no NFS or device behind driver options."""
    volumes = [mount for mount in container.mounts if mount.kind == "volume" and rules.get(mount.destination) == "copy"]
    wrong = []
    for mount in volumes:
        volume = facts.volume(mount.source)
        options = dict(volume.options or {}) if volume else {}
        if mount.driver not in {"", "local"} or (volume and volume.driver != "local"):
            wrong.append(
                say("{source}: driver {driver}", source=mount.source, driver=volume.driver if volume else mount.driver)
            )
        elif options:
            wrong.append(say("{source}: options {options}", source=mount.source, options=", ".join(sorted(options))))
    if wrong:
        return failed(
            say(
                '{host}: {name}: {wrong}. Expected: plain local volumes. Not supported: use rule "same_on_target" for '
                "storage that the target reaches itself",
                host=container.host,
                name=container.name,
                wrong=joined("; ", wrong),
            ),
            tuple(wrong),
        )
    return passed(
        say(
            "{host}: {name}: all {count} volumes to copy are plain local ones",
            host=container.host,
            name=container.name,
            count=len(volumes),
        )
    )


def judge_shared_volumes(
    facts: HostFacts, container: ContainerFacts, rules: Mapping[str, str], held: Mapping[str, str] | None = None
) -> Judgement:
    """Judge whether no other container can write to what will be copied: it would keep writing to the old one.

    Places are compared by where they lie on the host: a volume's mount point, a folder above or below, `..` and `//`
    made plain. `held` says of a container ("writer NAME") why it does not write there.
    """
    copied = {
        mount.source: path
        for mount in container.mounts
        if rules.get(mount.destination) == "copy" and (path := _place_of(facts, mount))
    }
    sharers = [
        say(
            "{source} also mounted by {name} ({state}){elsewhere}",
            source=source,
            name=other.name,
            state=other.state,
            elsewhere=say(" as {source}", source=mount.source) if mount.source != source else "",
        )
        for other in facts.containers
        if other.name != container.name and not (held or {}).get(f"writer {other.name}")
        for mount in other.mounts
        if not mount.read_only and (place := _place_of(facts, mount))
        for source, path in copied.items()
        if _under(path, place) or _under(place, path)
    ]
    if sharers:
        return failed(
            say(
                "{host}: {name}: {sharer}. Expected: only its own container writes to its data. Move both in one go "
                "by hand, or stop the other for good first; one that can, but does not, is named in inventory.yaml: "
                'restart_guards: {{"writer NAME": "<why it does not write there>"}}',
                host=container.host,
                name=container.name,
                sharer=sharers[0],
            ),
            tuple(sharers),
        )
    return passed(
        say(
            "{host}: {name}: none of its {count} sources is written by another container",
            host=container.host,
            name=container.name,
            count=len(copied),
        )
    )


def _place_of(facts: HostFacts, mount: MountFacts) -> str:
    """Return where a mount lies on its host, empty for one in memory; a volume lies at its own mount point, or at its
    device's.
    """
    if mount.kind != "volume":
        return posixpath.normpath(mount.source) if mount.source and mount.kind == "bind" else ""
    volume = facts.volume(mount.source)
    options = dict(volume.options or {}) if volume else {}
    if "bind" in str(options.get("o", "")).split(",") and str(options.get("device", "")).startswith("/"):
        return posixpath.normpath(str(options["device"]))  # `--opt type=none --opt o=bind --opt device=PATH`
    return posixpath.normpath(
        (volume.mountpoint if volume else "") or f"{facts.docker_root}/volumes/{mount.source}/_data"
    )


def _leaves(changes: tuple[Change, ...], container: ContainerFacts) -> list[Change]:
    """Return changes that are not only a directory above another change or above (or below) a mount."""
    paths = sorted(change.path for change in changes)
    host_config = container.raw.get("HostConfig") or {}
    destinations = [mount.destination.rstrip("/") or "/" for mount in container.mounts]
    destinations += [path.rstrip("/") for path in host_config.get("Tmpfs") or {}]
    destinations += [DOCKER_INIT] if host_config.get("Init") else []
    above = {path for path in paths if _has_child(paths, path)}
    return [
        change
        for change in changes
        if not (change.path in above and change.kind == "C")
        and not any(
            _under(destination, change.path) or _under(change.path, destination) for destination in destinations
        )
    ]


def _has_child(paths: list[str], path: str) -> bool:
    head = f"{path}/"
    position = bisect_left(paths, head)
    return position < len(paths) and paths[position].startswith(head)


def _is_noise(path: str, noise: Collection[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in noise)


def _under(path: str, directory: str) -> bool:
    return directory in {path, "/"} or path.startswith(directory.rstrip("/") + "/")
