"""Pure parsers of what the facts script printed about a host's surroundings."""

from __future__ import annotations

import re
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from engine.finding import say
from hosts.facts.system import (
    Connection,
    ContainerSockets,
    EngineSettings,
    FirewallRule,
    FirewallVerdict,
    SystemFacts,
    Usage,
)

SECTIONS: Final = (
    "connections", "namespaces", "firewall", "mounts", "settings", "users", "synchronised",
    "owners", "limits", "usage", "mentions", "prunes", "units",
)  # fmt: skip
HALVES: Final = frozenset({"settings"})
"""Reported file by file: one that is missing does not spoil the others."""
KERNEL_ROW: Final = re.compile(
    r"/proc/(?P<pid>\d+)/net/tcp6?: *\d+: (?P<local>[0-9A-F]+):(?P<local_port>[0-9A-F]{4}) "
    r"(?P<peer>[0-9A-F]+):(?P<peer_port>[0-9A-F]{4}) (?P<state>0[1A]) "
)
LISTENS: Final = "0A"
USAGE_ROW: Final = re.compile(
    r".*?docker[/-](?P<id>[0-9a-f]{64})(?:\.scope)?/(?P<file>[a-z.]+?(?:_in_bytes)?):(?:(?P<name>\w+) )?(?P<value>\d+)"
)
LIMIT_ROW: Final = re.compile(r"/proc/(?P<pid>\d+)/limits:Max open files\s+(?P<soft>\d+|unlimited)")
CHAIN: Final = re.compile(r":(?P<chain>\S+) (?P<policy>ACCEPT|DROP)")
PORTS: Final = re.compile(r"(?:--dports?|--ctorigdstport|dport) \{?\s*(?P<ports>[\d,: -]+)")
PROTOCOL: Final = re.compile(r"(?:^|\s)(?:-p|meta l4proto|ip protocol) (\w+)|(?<!\S)(tcp|udp) dport")
NARROW: Final = re.compile(
    r"(?:^|\s)(?:!|-s|-d|-i|-o|--ctstate|--state|ip6? saddr|ip6? daddr|iif\w*|oif\w*|ct state)(?:\s|$)"
)
NFT_CHAIN: Final = re.compile(r"chain (\S+) \{")
NFT_POLICY: Final = re.compile(r"hook (?:input|forward) .*policy drop")
UNLIMITED: Final = 2**63
TICKS: Final = 100
"""USER_HZ: the unit of /proc/stat on every architecture that Docker runs on (proc(5))."""


class Answer(NamedTuple):
    """One section: what it printed, its exit status, why that is no answer."""

    text: str
    status: int
    reason: str


def parse_surroundings(host: str, found: Mapping[str, Answer], info: Mapping[str, Any]) -> SystemFacts:
    """Return the facts of the sections; one with a status is an error, and so is one that never came."""
    errors = {name: _error(found.get(name)) for name in SECTIONS}
    texts = {
        name: found[name].text if name in found and (not errors[name] or name in HALVES) else "" for name in SECTIONS
    }
    synchronised, time_source = parse_synchronised(texts["synchronised"])
    limits, engine_limit = parse_limits(texts["limits"])
    errors |= {name: "" for name in HALVES if texts[name].strip()}
    if not errors["synchronised"] and synchronised is None:
        errors["synchronised"] = "its answer was not understood"
    return SystemFacts(
        host=host,
        connections=tuple(parse_connections(texts["connections"])),
        container_sockets=parse_namespaces(texts["namespaces"]),
        firewall=parse_firewall(texts["firewall"]),
        read_only_mounts=parse_read_only(texts["mounts"]),
        settings=parse_settings(texts["settings"]),
        users=parse_users(texts["users"]),
        owners=parse_owners(texts["owners"]),
        is_synchronised=synchronised,
        time_source=time_source,
        open_files=limits,
        engine_open_files=engine_limit,
        usage=parse_usage(texts["usage"]),
        mentions=parse_mentions(texts["mentions"]),
        prunes=tuple(sorted({line for line in texts["prunes"].splitlines() if line})),
        units=tuple(line for line in texts["units"].splitlines() if line),
        engine=parse_engine(info),
        errors={name: reason for name, reason in errors.items() if reason},
    )


def _error(answer: Answer | None) -> str:
    return "not asked" if answer is None else answer.reason if answer.status else ""


def parse_connections(text: str) -> Iterator[Connection]:
    """Parse `ss -Htn state established`: queues, local address:port, peer address:port."""
    for line in text.splitlines():
        fields = line.split()
        ends = [_end(field) for field in fields[2:4]]
        if len(ends) == 2 and ends[0] and ends[1]:  # noqa: PLR2004 two ends
            yield Connection(*ends[0], *ends[1])


def _end(text: str) -> tuple[str, int] | None:
    address, _, port = text.rpartition(":")
    return (_plain(address.partition("%")[0].strip("[]")), int(port)) if port.isdigit() else None


def _plain(address: str) -> str:
    """Return an IPv4 address as itself also where it is shown as a mapped IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def parse_namespaces(text: str) -> dict[int, ContainerSockets]:
    """Parse rows of /proc/PID/net/tcp and tcp6 (proc(5): addresses as hexadecimal words in the byte order of the
    processor).
    """
    connections: dict[int, list[Connection]] = defaultdict(list)
    listening: dict[int, set[int]] = defaultdict(set)
    for row in filter(None, map(KERNEL_ROW.match, text.splitlines())):
        pid, port = int(row["pid"]), int(row["local_port"], 16)
        if row["state"] == LISTENS:
            listening[pid].add(port)
        else:
            connections[pid].append(
                Connection(_kernel_address(row["local"]), port, _kernel_address(row["peer"]), int(row["peer_port"], 16))
            )
    return {
        pid: ContainerSockets(tuple(connections[pid]), frozenset(listening[pid])) for pid in {*connections, *listening}
    }


def _kernel_address(words: str) -> str:
    """Return an address from 32-bit words in little-endian order (x86 and arm64)."""
    octets = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    return _plain(socket.inet_ntop(socket.AF_INET if len(octets) == 4 else socket.AF_INET6, octets))  # noqa: PLR2004 IPv4's octets


def parse_firewall(text: str) -> tuple[FirewallRule, ...]:
    """Parse the rules that accept, drop or reject, in their order, and policies that drop, of iptables-save and of `nft
    list ruleset`.

    When both answer, iptables' own words count: nft's answer has its rules again.
    """
    parts = re.split(r"^# by (\S+)$", text, flags=re.MULTILINE)
    answers = dict(zip(parts[1::2], parts[2::2], strict=True))
    saved = [rule for tool in ("iptables-save", "ip6tables-save") for rule in _saved_rules(answers.get(tool, ""))]
    return tuple(saved) if "iptables-save" in answers else tuple(_nft_rules(answers.get("nft", "")))


def _saved_rules(text: str) -> Iterator[FirewallRule]:
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif table == "filter" and (chain := CHAIN.match(line)) and chain["policy"] == "DROP":
            yield FirewallRule(
                chain["chain"], say("policy of {chain}: DROP", chain=chain["chain"]), FirewallVerdict.DROP
            )
        elif table in {"filter", "raw"} and line.startswith("-A "):
            target = re.search(r"-j (ACCEPT|DROP|REJECT)\b", line)
            if target:
                yield _rule(line.split()[1], line, FirewallVerdict(target[1]))


def _nft_rules(text: str) -> Iterator[FirewallRule]:
    chain = ""
    for line in map(str.strip, text.splitlines()):
        if begun := NFT_CHAIN.match(line):
            chain = begun[1]
        elif NFT_POLICY.search(line):
            yield FirewallRule(chain, say("policy of {chain}: drop", chain=chain), FirewallVerdict.DROP)
        elif found := re.search(r"\b(accept|drop|reject)\b", line):
            yield _rule(chain, line, FirewallVerdict(found[1].upper()))


def _rule(chain: str, text: str, verdict: FirewallVerdict) -> FirewallRule:
    protocol, ports = PROTOCOL.search(text), None if "! --d" in text or "dport !=" in text else PORTS.search(text)
    named = frozenset(_ports(ports["ports"])) if ports else frozenset()
    return FirewallRule(
        chain,
        text.strip(),
        verdict,
        next(filter(None, protocol.groups()), "") if protocol else "",
        named,
        bool(NARROW.search(text)),
    )


def _ports(text: str) -> Iterator[int]:
    for one in re.split(r"[,\s]+", text.strip()):
        first, _, last = one.replace("-", ":").partition(":")
        if first.isdigit():
            yield from range(int(first), int(last or first) + 1 if (last or first).isdigit() else int(first) + 1)


def parse_read_only(text: str) -> frozenset[str]:
    """Return the mount points of /proc/mounts that are read-only; of two on one point the upper one counts."""
    options = {
        _unescaped(fields[1]): fields[3].split(",")
        for fields in map(str.split, text.splitlines())
        if len(fields) > 3  # noqa: PLR2004
    }
    return frozenset(mount for mount, words in options.items() if "ro" in words)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def parse_settings(text: str) -> dict[str, str]:
    """Return kernel settings by sysctl's names; of a choice (`always [madvise] never`) the chosen word."""
    settings = {}
    for line in text.splitlines():
        path, _, value = line.partition(":")
        chosen = re.search(r"\[(\w+)\]", value)
        name = (
            path.removeprefix("/proc/sys/").replace("/", ".")
            if path.startswith("/proc/sys/")
            else path.removeprefix("/sys/kernel/mm/")
        )
        settings[name.replace("transparent_hugepage/enabled", "transparent_hugepage")] = (
            chosen[1] if chosen else value.strip()
        )
    return {name: value for name, value in settings.items() if value}


def parse_users(text: str) -> dict[int, str]:
    """Return user names by number, from /etc/passwd."""
    rows = [line.split(":") for line in text.splitlines()]
    return {int(row[2]): row[0] for row in reversed(rows) if len(row) > 2 and row[2].isdigit()}  # noqa: PLR2004 passwd(5)


def parse_owners(text: str) -> dict[str, tuple[int, int]]:
    """Return user and group by path, from `stat -c "%u %g %n"`."""
    rows = (line.split(" ", 2) for line in text.splitlines())
    return {
        row[2]: (int(row[0]), int(row[1]))
        for row in rows
        if len(row) == 3 and row[0].isdigit() and row[1].isdigit()  # noqa: PLR2004
    }


def parse_synchronised(text: str) -> tuple[bool | None, str]:
    """Return whether the clock is kept by a time server, and who says so: timedatectl, chronyc or ntpq; None: not
    understood.
    """
    if found := re.search(r"^NTPSynchronized=(yes|no)$", text, re.MULTILINE):
        return found[1] == "yes", "timedatectl"
    if found := re.search(r"^Leap status\s*: (.+)$", text, re.MULTILINE):
        return found[1].strip() != "Not synchronised", "chronyc"
    if found := re.search(r"leap_(\w+)|leap=(\d+)", text):
        return (found[1] or found[2]) not in {"alarm", "11", "3"}, "ntpq"
    return None, ""


def parse_limits(text: str) -> tuple[dict[int, int], int | None]:
    """Return the soft limits of open files by process, and the Docker Engine's own, which new containers inherit."""
    limits = {
        int(row["pid"]): UNLIMITED if row["soft"] == "unlimited" else int(row["soft"])
        for row in LIMIT_ROW.finditer(text)
    }
    engine = re.search(r"^engine (\d+)$", text, re.MULTILINE)
    return limits, limits.get(int(engine[1])) if engine else None


def parse_usage(text: str) -> dict[str, Usage]:
    """Return what each container uses, from its control group: memory less its inactive file pages, as `docker stats`
    counts.
    """
    memory: dict[str, int] = {}
    cache: dict[str, int] = {}
    cpu: dict[str, float] = {}
    for row in filter(None, map(USAGE_ROW.match, text.splitlines())):
        one, file, name, value = row["id"], row["file"], row["name"], int(row["value"])
        if file in {"memory.current", "memory.usage_in_bytes"}:
            memory[one] = value
        elif name == "total_inactive_file" or (name == "inactive_file" and one not in cache):
            cache[one] = value  # version 1 has both: of the group alone, and with those below
        elif name == "usage_usec":
            cpu[one] = value / 1e6
        elif file == "cpuacct.usage":
            cpu[one] = value / 1e9
    return {
        one: Usage(max(0, memory[one] - cache.get(one, 0)) if one in memory else None, cpu.get(one))
        for one in {*memory, *cpu}
    }


def parse_processor(text: str) -> float | None:
    """Return busy seconds of all processors since the start, from the first line of /proc/stat (proc(5)); idle and
    iowait are not busy.
    """
    fields = text.split()
    if len(fields) < 5 or fields[0] != "cpu":  # noqa: PLR2004 user nice system idle
        return None
    ticks = [int(field) for field in fields[1:9]]
    return (sum(ticks) - ticks[3] - (ticks[4] if len(ticks) > 4 else 0)) / TICKS  # noqa: PLR2004 iowait is the fifth


def parse_mentions(text: str) -> dict[str, tuple[str, ...]]:
    """Return the container names in each file, from `grep -oH`."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        file, _, name = line.rpartition(":")
        if file and name not in found[file]:
            found[file].append(name)
    return {file: tuple(names) for file, names in found.items()}


def parse_engine(info: Mapping[str, Any]) -> EngineSettings:
    """Return how the engine is set up, from `docker info`."""
    security: Iterable[Any] = info.get("SecurityOptions") or ()
    return EngineSettings(
        str(info.get("CgroupDriver", "")),
        str(info.get("CgroupVersion", "")),
        tuple(map(str, security)),
        bool(info.get("LiveRestoreEnabled")),
    )
