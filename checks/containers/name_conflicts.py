"""Are the names that the move will create free on the target, unless they carry this move's own label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.constants import LABEL_MOVE
from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from hosts.facts.model import HostFacts

MARKER_SUFFIX: Final = ".longshore-move"
"""A bind path has no labels: this file next to it holds the move's label."""

LOOK_S: Final = 20.0

LOOK_AT_PATHS: Final = """\
for path in "$@"; do
  kind=missing; entries=0
  if [ -L "$path" ]; then kind=link
  elif [ -d "$path" ]; then kind=directory; entries=$(ls -A -- "$path" | head -n 1 | wc -l)
  elif [ -f "$path" ]; then kind=file; entries=1
  elif [ -e "$path" ]; then kind=other; entries=1; fi
  printf '%s\\t%s\\t%s\\n' "$kind" "$entries" "$(head -n 1 -- "$path.longshore-move" 2>/dev/null)"
done
"""


@dataclass(frozen=True)
class PathFacts:
    """What lies at a path of a host: missing, directory, file, link or other; and whose marker lies next to it."""

    path: str
    kind: str
    occupied: bool  # a non-empty directory, or anything that is not a directory
    marker: str

    @property
    def free(self) -> bool:
        """Return True when nothing would be overwritten."""
        return self.kind == "missing" or (self.kind == "directory" and not self.occupied)


@dataclass(frozen=True)
class NamesNeeded:
    """The names that one move will create on its target."""

    container: str
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def read_paths(host: Host, paths: Iterable[str]) -> dict[str, PathFacts]:
    """Return what lies at each path, in one exchange; POSIX shell only."""
    wanted = list(paths)
    if not wanted:
        return {}
    result = host.run(["sh", "-c", LOOK_AT_PATHS, "look", *wanted], timeout_s=LOOK_S)
    lines = result.text.splitlines()
    if result.exit_code != 0 or len(lines) != len(wanted):
        raise NotObservedError(
            say(
                "{name}: could not look at {count} paths: {error_text}. Try: ssh {name} ls -ld {first_wanted}",
                name=host.name,
                count=len(wanted),
                error_text=result.error_text or say("exit {exit_code}", exit_code=result.exit_code),
                first_wanted=wanted[0],
            )
        )
    facts = {}
    for path, line in zip(wanted, lines, strict=True):
        kind, entries, marker = line.split("\t", 2)
        facts[path] = PathFacts(path, kind, kind == "link" or int(entries) > 0, marker.strip())
    return facts


def judge_names_free(
    target: HostFacts, needed: NamesNeeded, paths: Mapping[str, PathFacts], move_label: str
) -> Judgement:
    """Judge whether container, volumes, networks and bind paths are free on the target or labelled as this move's."""
    taken = [
        *_container_taken(target, needed.container, move_label),
        *_volumes_taken(target, needed.volumes, move_label),
        *_networks_taken(target, needed.networks, move_label),
        *_paths_taken(needed.paths, paths, move_label),
    ]
    asked = 1 + len(needed.volumes) + len(needed.networks) + len(needed.paths)
    if taken:
        return failed(
            say(
                "{host}: {count} of {asked} names taken by somebody else: {first_taken}. Expected: free, or labelled "
                '{label_move}="{move_label}". Nothing of others is reused: rename or remove it there first',
                host=target.host,
                count=len(taken),
                asked=asked,
                first_taken=taken[0],
                label_move=LABEL_MOVE,
                move_label=move_label,
            ),
            tuple(taken),
            names_taken=len(taken),
        )
    return passed(
        say(
            "{host}: all {asked} names free for {container}", host=target.host, asked=asked, container=needed.container
        ),
        names_asked=asked,
    )


def belongs_to_environment(label: str, move_label: str) -> bool:
    """Return True when both labels are of one environment: networks are shared by the moves of one environment."""
    return bool(label) and label.split("/", 1)[0] == move_label.split("/", 1)[0]


def _container_taken(target: HostFacts, name: str, move_label: str) -> list[str]:
    container = target.container(name)
    if container is None or container.labels.get(LABEL_MOVE) == move_label:
        return []
    return [
        say("container {name} ({state}, {owner})", name=name, state=container.state, owner=_owner(container.labels))
    ]


def _volumes_taken(target: HostFacts, names: Iterable[str], move_label: str) -> list[str]:
    found: list[str] = []
    for name in names:
        volume = target.volume(name)
        if volume is not None and volume.labels.get(LABEL_MOVE) != move_label:
            found.append(say("volume {name} ({owner})", name=name, owner=_owner(volume.labels)))
    return found


def _networks_taken(target: HostFacts, names: Iterable[str], move_label: str) -> list[str]:
    wanted = set(names)
    return [
        say("network {name} ({owner})", name=network.name, owner=_owner(network.labels))
        for network in target.networks
        if network.name in wanted and not belongs_to_environment(network.labels.get(LABEL_MOVE, ""), move_label)
    ]


def _paths_taken(wanted: Iterable[str], paths: Mapping[str, PathFacts], move_label: str) -> list[str]:
    found: list[str] = []
    for path in wanted:
        fact = paths.get(path)
        if fact is None:
            found.append(say("path {path} (not looked at)", path=path))
        elif not fact.free and fact.marker != move_label:
            found.append(
                say(
                    "path {path} ({kind} with content, {marker})",
                    path=path,
                    kind=fact.kind,
                    marker=fact.marker or say("no marker"),
                )
            )
    return found


def _owner(labels: Mapping[str, str]) -> str:
    return say("label {label}", label=labels[LABEL_MOVE]) if LABEL_MOVE in labels else say("not ours")
