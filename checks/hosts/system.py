"""Is a host set up as its containers need it: clock kept, engine of an ordinary kind, kernel, users, disks that can be
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from engine.contracts.container import ContainerFacts
from engine.contracts.product import KernelNeed
from engine.finding import joined, say
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
            say(
                "{host}: nothing says whether its clock is kept ({synchronised}). Expected: timedatectl, chronyc or "
                "ntpq. Try: ssh {host} timedatectl status; where the host of a virtual machine keeps its clock, waive "
                "this step",
                host=facts.host,
                synchronised=around.errors.get("synchronised", say("no answer")),
            )
        )
    if not around.is_synchronised:
        return failed(
            say(
                "{host}: {time_source} says that its clock is not synchronised. Expected: kept by a time server. Try: "
                "ssh {host} sudo timedatectl set-ntp true",
                host=facts.host,
                time_source=around.time_source,
            )
        )
    return passed(
        say("{host}: its clock is synchronised, says {time_source}", host=facts.host, time_source=around.time_source)
    )


def judge_engine(facts: HostFacts, others: Iterable[HostFacts]) -> Judgement:
    """Judge whether the engine is of a kind that can be moved to and from: neither rootless nor remapping users."""
    facts.need_docker()
    engine = facts.around.engine
    kinds = {"rootless": engine.is_rootless, "set up with userns-remap": engine.remaps_users}
    wrong = [kind for kind, is_so in kinds.items() if is_so]
    if wrong:
        return failed(
            say(
                "{host}: its Docker Engine is {wrong}. Expected: an ordinary one: owners of files would not be what "
                "they are in the containers. Such an engine can't be moved to or from. Look: ssh {host} docker info "
                "-f '{{{{.SecurityOptions}}}}'",
                host=facts.host,
                wrong=joined(say(" and "), wrong),
            )
        )
    mine = _kind(facts)
    different = tuple(
        say("{host}: {kind}", host=other.host, kind=_kind(other))
        for other in others
        if other.docker_version and _kind(other) != mine
    )
    unlike = say("; other than {different}", different=joined(", ", different)) if different else ""
    return passed(
        say("{host}: an ordinary engine ({mine}){unlike}", host=facts.host, mine=mine, unlike=unlike),
        different,
    )


def _kind(facts: HostFacts) -> str:
    engine = facts.around.engine
    groups = say(
        "control groups version {cgroup_version} by {cgroup_driver}",
        cgroup_version=engine.cgroup_version or say("not reported"),
        cgroup_driver=engine.cgroup_driver or say("not reported"),
    )
    return say(
        "storage {storage_driver}, {groups}", storage_driver=facts.storage_driver or say("not reported"), groups=groups
    )


def judge_writable(target: HostFacts, paths: Iterable[str]) -> Judgement:
    """Judge whether the file systems that will hold these paths can be written."""
    target.around.need("mounts")
    wanted = tuple(paths)
    holding = {path: target.file_system_of(path) for path in wanted}
    lost = [path for path, disk in holding.items() if disk is None]
    if lost:
        return unknown(
            say(
                "{host}: no file system found for {lost}. Expected: one per path. Try: ssh {host} df -P {first_lost}",
                host=target.host,
                lost=joined(", ", lost),
                first_lost=lost[0],
            )
        )
    locked = [
        say("{path} (on {mount})", path=path, mount=disk.mount)
        for path, disk in holding.items()
        if disk and disk.mount in target.around.read_only_mounts
    ]
    if locked:
        return failed(
            say(
                "{host}: {locked_count} of {wanted_count} places lie on a read-only mount: {first_locked}. Expected: "
                "a file system that can be written; a disk that fails is made read-only by the kernel. Look: ssh "
                "{host} sudo dmesg | tail",
                host=target.host,
                locked_count=len(locked),
                wanted_count=len(wanted),
                first_locked=locked[0],
            ),
            tuple(locked),
        )
    return passed(
        say("{host}: all {count} places can be written", host=target.host, count=len(wanted)), places=len(wanted)
    )


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
            say(
                "{host}: {share:.0f} % of the inodes of {mount} are used, {inodes_free:,} free, whatever bytes are. "
                "Expected: at most {limit_percent:g} %. Find what made so many files: ssh {host} sudo du --inodes -xS "
                "{mount} | sort -n | tail",
                host=target.host,
                share=share,
                mount=mount,
                inodes_free=limited[mount].inodes_free,
                limit_percent=limit_percent,
            ),
            inodes_percent=round(share, 1),
        )
    highest = max(shares.values(), default=0.0)
    return passed(
        say(
            "{host}: at most {highest:.0f} % of the inodes of {count} file systems used",
            host=target.host,
            highest=highest,
            count=len(found),
        ),
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
        say("{name} is {their}, {our} on {host}", name=name, their=theirs[name], our=ours[name], host=source.host)
        for name in EQUAL
        if _differ(name, ours, theirs)
    ]
    wrong += [
        say("{name} is {their}, {our} on {host}", name=name, their=theirs[name], our=ours[name], host=source.host)
        for name in AT_LEAST
        if _differ(name, ours, theirs) and _less(theirs[name], ours[name])
    ]
    wrong = [*dict.fromkeys(wrong), *_open_files(source, target, container)]
    if wrong:
        return failed(
            say(
                "{target_host}: {count} kernel settings are not as {name} needs them: {first_wrong}. Expected: as the "
                "product asks, and no less than on {source_host}. Set them there: ssh {target_host} sudo sysctl -w "
                "NAME=VALUE, and in /etc/sysctl.d",
                target_host=target.host,
                count=len(wrong),
                name=container.name,
                first_wrong=wrong[0],
                source_host=source.host,
            ),
            tuple(wrong),
            settings_wrong=len(wrong),
        )
    both = set(ours) & set(theirs)
    if not both:
        return unknown(
            say(
                "{host}: no kernel setting is known on both hosts. Expected: some. Try: ssh {host} sysctl "
                "vm.max_map_count",
                host=target.host,
            )
        )
    shared = tuple(
        say("{setting}: on neither host what {reason} asks", setting=need.setting, reason=need.reason)
        for need in needed
        if _unmet_on_both(need, ours, theirs)
    )
    summary = say(
        "{both_count} kernel settings are no less than on {host}, {needed_count} that {name} needs among them",
        both_count=len(both),
        host=source.host,
        needed_count=len(needed),
        name=container.name,
    )
    return passed(say("{host}: {summary}", host=target.host, summary=summary), shared, settings=len(both))


def _unmet(need: KernelNeed, ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Return what is wrong; a need that the source does not meet either was lived without."""
    seen = theirs.get(need.setting)
    if seen is None or need.is_met(seen) or _unmet_on_both(need, ours, theirs):
        return ""
    return say(
        "{setting} is {seen}, expected {text} ({reason})",
        setting=need.setting,
        seen=seen,
        text=need.text,
        reason=need.reason,
    )


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
    return [
        say("its limit of open files will be {there:,}, {here:,} on {host}", there=there, here=here, host=source.host)
    ]


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
            say(
                "{host}: owner not known of {unseen}. Expected: one. Try: ssh {host} stat {first_unseen}",
                host=source.host,
                unseen=", ".join(unseen),
                first_unseen=unseen[0],
            )
        )
    numbers = {user: path for path, (user, _) in found.items()}
    numbers |= {user: say("the container's own user") for user in _own_user(container) if binds}
    wrong = [text for user, what in numbers.items() if (text := _collision(user, what, source, target))]
    if wrong:
        return failed(
            say(
                "{host}: {count} user IDs that own {name}'s files belong to other users there: {first_wrong}. "
                "Expected: the same user name, or an unused ID. To see the user: ssh {host} getent passwd ID; then "
                "change one of the two IDs",
                host=target.host,
                count=len(wrong),
                name=container.name,
                first_wrong=wrong[0],
            ),
            tuple(wrong),
        )
    return passed(
        say(
            "{host}: the {numbers_count} users that own {name}'s {binds_count} bind mounts do not belong to other "
            "users there",
            host=target.host,
            numbers_count=len(numbers),
            name=container.name,
            binds_count=len(binds),
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
    return say(
        "{what}: {user} is {here} on {source_host} and {there} on {target_host}",
        what=what,
        user=user,
        here=here or "nobody",
        source_host=source.host,
        there=there,
        target_host=target.host,
    )
