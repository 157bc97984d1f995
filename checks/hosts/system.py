"""Is a host set up as its containers need it: clock kept, engine of an ordinary kind, kernel, users, disks that can be
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from engine.contracts.container import ContainerFacts
from engine.contracts.product import KernelNeed
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import FileSystem, HostFacts

INODES_PERCENT: Final = 90.0
"""ext4 makes its inodes when it is formatted: a disk can have bytes free and no file more."""
EQUAL: Final = ("vm.overcommit_memory", "transparent_hugepage")
AT_LEAST: Final = ("vm.max_map_count", "net.core.somaxconn", "fs.file-max")
FIRST_PERSON: Final = 1000
"""UID_MIN of login.defs(5): below are the system's own users."""


def judge_synchronised(facts: HostFacts) -> Judgement:
    """Judge whether something keeps the host's clock; one that is right now drifts by seconds a week without."""
    around = facts.around
    if "synchronised" in around.errors or around.is_synchronised is None:
        return unknown(
            f"{facts.host}: nothing tells whether its clock is kept "
            f"({around.errors.get('synchronised', 'no answer')}). Expected: timedatectl, "
            f"chronyc or ntpq. Try: ssh {facts.host} timedatectl status; where the host of a virtual machine keeps "
            "its clock, waive this step"
        )
    if not around.is_synchronised:
        return failed(
            f"{facts.host}: {around.time_source} says that its clock is not synchronised. Expected: kept by a time "
            "server. "
            f"Try: ssh {facts.host} sudo timedatectl set-ntp true"
        )
    return passed(f"{facts.host}: its clock is synchronised, says {around.time_source}")


def judge_engine(facts: HostFacts, others: Iterable[HostFacts]) -> Judgement:
    """Judge whether the engine is of a kind that can be moved to and from: neither rootless nor remapping users."""
    facts.need_docker()
    engine = facts.around.engine
    kinds = {"rootless": engine.is_rootless, "set up with userns-remap": engine.remaps_users}
    wrong = [kind for kind, is_so in kinds.items() if is_so]
    if wrong:
        return failed(
            f"{facts.host}: its Docker Engine is {' and '.join(wrong)}. Expected: an ordinary one: owners of files "
            "would not be what they are "
            f"in the containers. Such an engine can't be moved to or from. Look: ssh {facts.host} docker info -f "
            f"'{{{{.SecurityOptions}}}}'"
        )
    mine = _kind(facts)
    different = tuple(
        f"{other.host}: {_kind(other)}" for other in others if other.docker_version and _kind(other) != mine
    )
    told = f"; other than {', '.join(different)}" if different else ""
    return passed(f"{facts.host}: an ordinary engine ({mine}){told}", different)


def _kind(facts: HostFacts) -> str:
    engine = facts.around.engine
    groups = f"control groups version {engine.cgroup_version or 'not told'} by {engine.cgroup_driver or 'not told'}"
    return f"storage {facts.storage_driver or 'not told'}, {groups}"


def judge_writable(target: HostFacts, paths: Iterable[str]) -> Judgement:
    """Judge whether the file systems that will hold these paths can be written."""
    target.around.need("mounts")
    wanted = tuple(paths)
    holding = {path: target.file_system_of(path) for path in wanted}
    lost = [path for path, disk in holding.items() if disk is None]
    if lost:
        return unknown(
            f"{target.host}: no file system found for {', '.join(lost)}. Expected: one per path. Try: ssh "
            f"{target.host} df -P {lost[0]}"
        )
    locked = [
        f"{path} (on {disk.mount})"
        for path, disk in holding.items()
        if disk and disk.mount in target.around.read_only_mounts
    ]
    if locked:
        return failed(
            f"{target.host}: {len(locked)} of {len(wanted)} places lie on a read-only mount: {locked[0]}. Expected: a "
            "file system that can be "
            f"written; a disk that fails is made read-only by the kernel. Look: ssh {target.host} sudo dmesg | tail",
            tuple(locked),
        )
    return passed(f"{target.host}: all {len(wanted)} places can be written", places=len(wanted))


def judge_inodes(target: HostFacts, paths: Iterable[str], limit_percent: float = INODES_PERCENT) -> Judgement:
    """Judge whether the file systems that will hold these paths have files left to make; those that make them as needed
    have no limit.
    """
    found: dict[str, FileSystem] = {disk.mount: disk for path in paths if (disk := target.file_system_of(path))}
    limited = {mount: disk for mount, disk in found.items() if disk.inodes}
    shares = {mount: 100.0 * (disk.inodes - disk.inodes_free) / disk.inodes for mount, disk in limited.items()}
    full = {mount: share for mount, share in shares.items() if share > limit_percent}
    if full:
        mount, share = max(full.items(), key=lambda item: item[1])
        return failed(
            f"{target.host}: {share:.0f} % of the inodes of {mount} are used, {limited[mount].inodes_free:,} free, "
            "whatever bytes are. "
            f"Expected: at most {limit_percent:g} %. Find what made so many files: ssh {target.host} sudo du --inodes "
            f"-xS {mount} | sort -n | tail",
            inodes_percent=round(share, 1),
        )
    highest = max(shares.values(), default=0.0)
    return passed(
        f"{target.host}: at most {highest:.0f} % of the inodes of {len(found)} file systems used",
        inodes_percent=round(highest, 1),
    )


def judge_kernel(
    source: HostFacts, target: HostFacts, container: ContainerFacts, needs: Iterable[KernelNeed]
) -> Judgement:
    """Judge whether the target's kernel is set as the product needs it, and gives no less than the source's; open files
    too.
    """
    for facts in (source, target):
        facts.around.need("settings")
    ours, theirs = source.around.settings, target.around.settings
    needed = tuple(needs)
    wrong = [text for need in needed if (text := _unmet(need, ours, theirs))]
    wrong += [
        f"{name} is {theirs[name]}, {ours[name]} on {source.host}" for name in EQUAL if _differ(name, ours, theirs)
    ]
    wrong += [
        f"{name} is {theirs[name]}, {ours[name]} on {source.host}"
        for name in AT_LEAST
        if _differ(name, ours, theirs) and _less(theirs[name], ours[name])
    ]
    wrong = [*dict.fromkeys(wrong), *_open_files(source, target, container)]
    if wrong:
        return failed(
            f"{target.host}: {len(wrong)} kernel settings are not as {container.name} needs them: {wrong[0]}. "
            "Expected: as the product asks, "
            f"and no less than on {source.host}. Set them there: ssh {target.host} sudo sysctl -w NAME=VALUE, and in "
            "/etc/sysctl.d",
            tuple(wrong),
            settings_wrong=len(wrong),
        )
    both = set(ours) & set(theirs)
    if not both:
        return unknown(
            f"{target.host}: no kernel setting is known on both hosts. Expected: some. Try: ssh {target.host} "
            "sysctl vm.max_map_count"
        )
    shared = tuple(
        f"{need.setting}: on neither host what {need.reason} asks"
        for need in needed
        if _unmet_on_both(need, ours, theirs)
    )
    told = (
        f"{len(both)} kernel settings are no less than on {source.host}, {len(needed)} that {container.name} "
        "needs among them"
    )
    return passed(f"{target.host}: {told}", shared, settings=len(both))


def _unmet(need: KernelNeed, ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Return what is wrong; a need that the source does not meet either was lived without."""
    seen = theirs.get(need.setting)
    if seen is None or need.is_met(seen) or _unmet_on_both(need, ours, theirs):
        return ""
    return f"{need.setting} is {seen}, expected {need.text} ({need.reason})"


def _unmet_on_both(need: KernelNeed, ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    return all(need.setting in side and not need.is_met(side[need.setting]) for side in (ours, theirs))


def _differ(name: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    return name in ours and name in theirs and ours[name] != theirs[name]


def _less(one: str, other: str) -> bool:
    return one.isdigit() and other.isdigit() and int(one) < int(other)


def _open_files(source: HostFacts, target: HostFacts, container: ContainerFacts) -> list[str]:
    """Return the limit of open files when the container will inherit a lower one; one of its own travels with it."""
    own = (container.raw.get("HostConfig") or {}).get("Ulimits") or ()
    pid = (container.raw.get("State") or {}).get("Pid")
    here, there = source.around.open_files.get(pid) if pid else None, target.around.engine_open_files
    if any(limit.get("Name") == "nofile" for limit in own) or here is None or there is None or there >= here:
        return []
    return [f"its limit of open files will be {there:,}, {here:,} on {source.host}"]


def judge_owners(
    source: HostFacts, target: HostFacts, container: ContainerFacts, rules: Mapping[str, str]
) -> Judgement:
    """Judge whether what is copied from bind mounts would not belong to another person on the target: users are numbers
    there.
    """
    for facts in (source, target):
        facts.around.need("users")
    source.around.need("owners")
    binds = [
        mount.source for mount in container.mounts if mount.kind == "bind" and rules.get(mount.destination) == "copy"
    ]
    found = {path: source.around.owners[path] for path in binds if path in source.around.owners}
    unseen = [path for path in binds if path not in found]
    if unseen:
        return unknown(
            f"{source.host}: owner not known of {', '.join(unseen)}. Expected: one. Try: ssh {source.host} "
            f"stat {unseen[0]}"
        )
    numbers = {user: path for path, (user, _) in found.items()}
    numbers |= {user: "the container's own user" for user in _own_user(container) if binds}
    wrong = [text for user, what in numbers.items() if (text := _collision(user, what, source, target))]
    if wrong:
        return failed(
            f"{target.host}: {len(wrong)} user IDs that own {container.name}'s files belong to other users there: "
            f"{wrong[0]}. "
            f"Expected: the same user name, or an unused ID. To see the user: ssh {target.host} getent passwd ID; "
            "then change one of the two IDs",
            tuple(wrong),
        )
    return passed(
        (
            f"{target.host}: the {len(numbers)} users that own {container.name}'s {len(binds)} bind mounts do not "
            "belong to other users there"
        ),
        users=len(numbers),
    )


def _own_user(container: ContainerFacts) -> list[int]:
    name = str((container.raw.get("Config") or {}).get("User") or "").partition(":")[0]
    return [int(name)] if name.isdigit() else []


def _collision(user: int, what: str, source: HostFacts, target: HostFacts) -> str:
    here, there = source.around.users.get(user, ""), target.around.users.get(user, "")
    if not user or not there or here == there or (user < FIRST_PERSON and not here):
        return ""
    return f"{what}: {user} is {here or 'nobody'} on {source.host} and {there} on {target.host}"
