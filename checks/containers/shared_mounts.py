"""Is what a service shares with its target really there: the same export, or the same content; an empty place is never
taken for it.

The engine makes a volume or a path that is missing, empty, and says nothing: a service that starts on it has lost its
data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.contracts.container import MountFacts
from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.finding import joined, say
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
    volume=$(docker volume inspect -f "$format" "$path" 2>&1) ||
      case "$volume" in *[Nn]"o such volume"*) volume=;; *) echo "$volume" >&2; exit 1;; esac
    case "$volume" in
      "") path=;;
      "local;;;") path=$(docker volume inspect -f '{{.Mountpoint}}' "$path") || path=;;
      "local;none;/"*bind*) path=${volume#local;none;}; path=${path%%;*};;
      *) options=$(printf %s "${volume##*;}" | cksum | tr -d ' ')
         printf 'directory\t%s-volume\t%s options %s\t\t\n' "${volume%%;*}" \
           "$(printf %s "${volume#*;}" | cut -d ';' -f 1,2 | tr ';\t' '  ')" "$options"
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
            say(
                "{name}: could not look at {count} mounts: {error_text}. Try: ssh {name} ls -ld {first_wanted}",
                name=host.name,
                count=len(wanted),
                error_text=answer.error_text[-200:] or say("{count} answers", count=len(lines)),
                first_wanted=wanted[0].partition(":")[2],
            )
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
            say(
                "{host}: {first_missing} is not there ({missing_count} of {pairs_count} mounts). Expected: there, for "
                "the engine would make an empty one. Mount or make it: ssh {host} ls -ld {path}",
                host=host,
                first_missing=missing[0],
                missing_count=len(missing),
                pairs_count=len(pairs),
                path=missing[0].partition(" ")[2],
            ),
            tuple(missing),
        )
    return passed(say("{host}: all {count} mounts are there", host=host, count=len(pairs)))


def judge_filled(
    hosts: tuple[str, str],
    mounts: Iterable[MountFacts],
    places: tuple[Iterable[Place], Iterable[Place]],
    shared: Collection[str],
) -> Judgement:
    """Judge, just before the target's container is started, whether no mount of it is missing or empty where the source
    has something: a share, or a disk below copied data, may have gone since it was made.

    `shared` are the paths in the container whose mount has rule same_on_target: of these an export is the source's.
    """
    source, target = hosts
    wrong = []
    for mount, here, there in zip(mounts, *places, strict=True):
        exported = mount.destination in shared and (here.is_export or there.is_export)
        if there.kind == "missing":
            wrong.append(say("{kind} {source} is not there", kind=mount.kind, source=mount.source))
        elif exported and here.identity != there.identity:
            wrong.append(
                say(
                    "{kind} {mount_source} is {there_where}, {here_where} on {source}",
                    kind=mount.kind,
                    mount_source=mount.source,
                    there_where=there.where,
                    here_where=here.where,
                    source=source,
                )
            )
        elif here.names and there.kind == "directory" and not there.names and here.file_system not in OF_THE_HOST:
            wrong.append(
                say(
                    "{kind} {mount_source} is empty, holds {counted} entries on {source}",
                    kind=mount.kind,
                    mount_source=mount.source,
                    counted=_counted(here),
                    source=source,
                )
            )
    if wrong:
        return failed(
            say(
                "{target}: {first_wrong}. Expected: what the service is to start with. Mount it, then run the move "
                "again. Look: ssh {target} findmnt",
                target=target,
                first_wrong=wrong[0],
            ),
            tuple(wrong),
        )
    return passed(say("{target}: no mount is missing or empty", target=target))


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
    wrong = [
        say("{kind} {source}: {text}", kind=mount.kind, source=mount.source, text=text)
        for mount, text in answers
        if text
    ]
    source, target = hosts
    if wrong:
        return failed(
            say(
                "{target}: {first_wrong} ({wrong_count} of {triples_count} mounts with rule same_on_target). "
                "Expected: what {source} has there. Mount or copy it on {target} first, or state rule copy in "
                "inventory.yaml",
                target=target,
                first_wrong=wrong[0],
                wrong_count=len(wrong),
                triples_count=len(triples),
                source=source,
            ),
            tuple(wrong),
            mounts_wrong=len(wrong),
        )
    if not triples:
        return passed(say("{source}: no mount has rule same_on_target", source=source))
    return passed(
        say(
            "{target}: {count} mounts with rule same_on_target were looked at on both hosts, their content was not "
            "compared",
            target=target,
            count=len(triples),
        ),
        tuple(
            say(
                "{kind} {source}: {seen}",
                kind=mount.kind,
                source=mount.source,
                seen=_seen(here, listed=listings is not None and _is_own(mount, here)),
            )
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
        return say("is not there on {source}", source=source)
    if there.kind != here.kind:
        return say(
            "is {kind} on {target}, a {here_kind} on {source}",
            kind=say("not there") if there.kind == "missing" else say("a {kind}", kind=there.kind),
            target=target,
            here_kind=here.kind,
            source=source,
        )
    if here.is_export or there.is_export:
        return (
            ""
            if here.identity == there.identity
            else say(
                "is {there_where} on {target}, {here_where} on {source}",
                there_where=there.where,
                target=target,
                here_where=here.where,
                source=source,
            )
        )
    if here.file_system in OF_THE_HOST:
        return ""
    if here.names and not there.names:
        return say(
            "is empty on {target}, holds {counted} entries on {source}",
            target=target,
            counted=_counted(here),
            source=source,
        )
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
        return (
            ""
            if seen[source] == seen[target]
            else say("holds other names or sizes on {target} than on {source}", target=target, source=source)
        )
    lost = sorted(here.names - there.names) if len(here.names) <= MOST_NAMES else []
    return (
        say(
            "lacks {lost} on {target} ({lost_count} of {names_count} names)",
            lost=joined(", ", lost[:3]),
            target=target,
            lost_count=len(lost),
            names_count=len(here.names),
        )
        if lost
        else ""
    )


def _counted(place: Place) -> str:
    return (
        str(len(place.names))
        if len(place.names) <= MOST_NAMES
        else say("more than {most_names}", most_names=MOST_NAMES)
    )


def _seen(here: Place, *, listed: bool) -> str:
    if here.is_export:
        return say("the same export, {where}", where=here.where)
    if listed:
        return say("the same names and sizes")
    return say("a {kind} on both hosts", kind=here.kind)
