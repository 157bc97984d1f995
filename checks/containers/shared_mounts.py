"""Is what a service shares with its target really there: the same export, or the same content; an empty place is never
taken for it.

The engine makes a volume or a path that is missing, empty, and says nothing: a service that starts on it has lost its
data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.contracts.container import MountFacts
from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.verdict import Judgement, failed, passed

LOOK_S: Final = 60.0
EXPORTS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "beegfs", "fuse.glusterfs", "glusterfs"})
"""File systems whose source names the one place that every client sees."""
OF_THE_HOST: Final = frozenset(
    {"proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "cgroup", "cgroup2", "debugfs", "tracefs", "mqueue", "bpf"}
)
"""File systems that a running kernel fills: what is there belongs to each host."""
MOST_NAMES: Final = 200

LOOK: Final = r"""
format='{{.Driver}};{{index .Options "type"}};{{index .Options "device"}};{{index .Options "o"}}'
for item in "$@"; do
  path=${item#*:}
  if [ "${item%%:*}" = volume ]; then
    told=$(docker volume inspect -f "$format" "$path" 2>&1) ||
      case "$told" in *[Nn]"o such volume"*) told=;; *) echo "$told" >&2; exit 1;; esac
    case "$told" in
      "") path=;;
      "local;;;") path=$(docker volume inspect -f '{{.Mountpoint}}' "$path") || path=;;
      "local;none;/"*bind*) path=${told#local;none;}; path=${path%%;*};;
      *) options=$(printf %s "${told##*;}" | cksum | tr -d ' ')
         printf 'directory\t%s-volume\t%s options %s\t\t\n' "${told%%;*}" \
           "$(printf %s "${told#*;}" | cut -d ';' -f 1,2 | tr ';\t' '  ')" "$options"
         continue;;
    esac
  fi
  real=$(readlink -f -- "$path" 2>/dev/null) || real=
  kind=missing; names=
  if [ -z "$path" ]; then :
  elif [ -d "$path" ]; then kind=directory; names=$(ls -A -- "$path" 2>/dev/null | head -n 201 | tr '\t\n' '?/')
  elif [ -f "$path" ]; then kind=file
  elif [ -S "$path" ]; then kind=socket
  elif [ -e "$path" ]; then kind=other; fi
  mount=$(awk -v path="$real" '{
      for (i = 7; i < NF; i++) if ($i == "-") break
      if ($5 == "/" || path == $5 || index(path, $5 "/") == 1)
        if (length($5) >= length(best)) { best = $5; type = $(i + 1); from = $(i + 2); root = $4 }
    } END {
      rest = best == "/" ? path : substr(path, length(best) + 1)
      print type "\t" from "\t" (root == "/" ? "" : root) rest
    }' /proc/self/mountinfo)
  printf '%s\t%s\t%s\n' "$kind" "$mount" "$names"
done
"""
"""For each volume:NAME or bind:PATH what lies there, on which file system, from where, and the names in it. proc(5),
mountinfo
"""


@dataclass(frozen=True)
class Place:
    """A mount's source as one host has it."""

    kind: str  # missing | directory | file | socket | other
    file_system: str
    export: str  # where the file system comes from
    below: str  # the place within it
    names: frozenset[str]

    @property
    def is_export(self) -> bool:
        """Return whether its source names one place for all hosts: a network file system, or a volume that a driver
        mounts.
        """
        return self.file_system in EXPORTS or self.file_system.endswith("-volume")

    @property
    def identity(self) -> tuple[str, str, str]:
        """Return what is equal on two hosts for one export."""
        return self.file_system, self.export, self.below

    @property
    def where(self) -> str:
        """Return the file system for messages."""
        return f"{self.file_system} {self.export}{self.below}"


def read_places(host: Host, mounts: Iterable[MountFacts]) -> tuple[Place, ...]:
    """Return what lies at the sources of these mounts on a host, in one exchange; raises CouldNotLookError."""
    wanted = [f"{mount.kind}:{mount.source}" for mount in mounts]
    if not wanted:
        return ()
    answer = host.run(["sh", "-c", LOOK, "look", *wanted], timeout_s=LOOK_S)
    lines = answer.text.splitlines()
    if answer.exit_code or len(lines) != len(wanted) or any(line.count("\t") != 4 for line in lines):  # noqa: PLR2004 five fields
        raise NotObservedError(
            f"{host.name}: could not look at {len(wanted)} mounts: "
            f"{answer.error_text[-200:] or f'{len(lines)} answers'}. "
            f"Try: ssh {host.name} ls -ld {wanted[0].partition(':')[2]}"
        )
    return tuple(_place(line) for line in lines)


def _place(line: str) -> Place:
    kind, file_system, export, below, names = line.split("\t")
    return Place(kind, file_system, export, below, frozenset(names.split("/")) - {""})


def judge_there(host: str, mounts: Iterable[MountFacts], places: Iterable[Place]) -> Judgement:
    """Judge whether every source of a mount is there before a container is made: the engine makes what is missing,
    empty.
    """
    pairs = list(zip(mounts, places, strict=True))
    missing = [f"{mount.kind} {mount.source}" for mount, place in pairs if place.kind == "missing"]
    if missing:
        return failed(
            f"{host}: {missing[0]} is not there ({len(missing)} of {len(pairs)} mounts). Expected: there, for the "
            "engine would make an empty one. "
            f"Mount or make it: ssh {host} ls -ld {missing[0].partition(' ')[2]}",
            tuple(missing),
        )
    return passed(f"{host}: all {len(pairs)} mounts are there")


def judge_shared(
    hosts: tuple[str, str],
    mounts: Iterable[MountFacts],
    places: tuple[Iterable[Place], Iterable[Place]],
    listings: Callable[[MountFacts], Mapping[str, str]] | None = None,
) -> Judgement:
    """Judge whether each mount with rule same_on_target is on the target what it is on the source.

    `hosts` and `places` are those of source and target. `listings` returns by host a digest over names, kinds and sizes
    of all that lies at a mount; without it (the service still runs and writes) the names in it must be there. No
    content is compared.
    """
    triples = list(zip(mounts, *places, strict=True))
    answers = [(mount, _wrong(hosts, mount, here, there, listings)) for mount, here, there in triples]
    wrong = [f"{mount.kind} {mount.source}: {text}" for mount, text in answers if text]
    source, target = hosts
    if wrong:
        return failed(
            f"{target}: {wrong[0]} ({len(wrong)} of {len(triples)} mounts with rule same_on_target). Expected: what "
            f"{source} has there. "
            f"Mount or copy it on {target} first, or state rule copy in inventory.yaml",
            tuple(wrong),
            mounts_wrong=len(wrong),
        )
    if not triples:
        return passed(f"{source}: no mount has rule same_on_target")
    return passed(
        (
            f"{target}: {len(triples)} mounts with rule same_on_target were looked at on both hosts, their "
            "content was not compared"
        ),
        tuple(
            f"{mount.kind} {mount.source}: {_seen(here, listed=listings is not None and _is_own(mount, here))}"
            for mount, here, _ in triples
        ),
        mounts_looked_at=len(triples),
    )


def _is_own(mount: MountFacts, here: Place) -> bool:
    """Return whether the service writes there to its own host's disk: only the same content makes it the same place."""
    return (
        not mount.read_only
        and here.kind in {"directory", "file"}
        and not here.is_export
        and here.file_system not in OF_THE_HOST
    )


def _wrong(
    hosts: tuple[str, str],
    mount: MountFacts,
    here: Place,
    there: Place,
    listings: Callable[[MountFacts], Mapping[str, str]] | None,
) -> str:
    source, target = hosts
    if here.kind == "missing":
        return f"is not there on {source}"
    if there.kind != here.kind:
        return (
            f"is {'not there' if there.kind == 'missing' else f'a {there.kind}'} on {target}, a {here.kind} on {source}"
        )
    if here.is_export or there.is_export:
        return "" if here.identity == there.identity else f"is {there.where} on {target}, {here.where} on {source}"
    if here.file_system in OF_THE_HOST:
        return ""
    if here.names and not there.names:
        return f"is empty on {target}, holds {_counted(here)} entries on {source}"
    return _other_content(hosts, mount, here, there, listings) if _is_own(mount, here) else ""


def _other_content(
    hosts: tuple[str, str],
    mount: MountFacts,
    here: Place,
    there: Place,
    listings: Callable[[MountFacts], Mapping[str, str]] | None,
) -> str:
    source, target = hosts
    if listings is not None:
        seen = listings(mount)
        return "" if seen[source] == seen[target] else f"holds other names or sizes on {target} than on {source}"
    lost = sorted(here.names - there.names) if len(here.names) <= MOST_NAMES else []
    return f"lacks {', '.join(lost[:3])} on {target} ({len(lost)} of {len(here.names)} names)" if lost else ""


def _counted(place: Place) -> str:
    return str(len(place.names)) if len(place.names) <= MOST_NAMES else f"more than {MOST_NAMES}"


def _seen(here: Place, *, listed: bool) -> str:
    if here.is_export:
        return f"the same export, {here.where}"
    if listed:
        return "the same names and sizes"
    return f"a {here.kind} on both hosts"
