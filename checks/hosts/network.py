"""Can each host reach what it will need on the others: every port of a copy, a relay or a link, tried from the host
that will use it.

A port on which nothing listens yet refuses, and that shows only that packets pass both ways; so does a firewall that
rejects. Which of the two it is, is said by what listens there and by the firewall's rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.command_line import ANY, typed_command
from engine.finding import joined, say
from engine.i18n.language import term
from engine.report_sections import Table
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import HostFacts
from hosts.facts.system import FirewallRule, FirewallVerdict
from hosts.network.reachability import Attempt, Outcome, PathSize, Reachability

INWARD: Final = ("INPUT", "DOCKER-USER", "FORWARD", "input", "forward")
OUTWARD: Final = ("OUTPUT", "output")
WHO_DOES: Final[Mapping[Outcome, FirewallVerdict | None]] = {
    Outcome.FILTERED: FirewallVerdict.DROP,
    Outcome.REFUSED: FirewallVerdict.REJECT,
    Outcome.NO_ROUTE: FirewallVerdict.REJECT,
    Outcome.NO_NAME: None,
    Outcome.NOT_TRIED: None,
    Outcome.OPEN: None,
}
"""A dropped packet is never answered; a rejected one is answered as if nothing listened, or as if there were no way."""
SMALLEST_TRIED: Final = 1199
SMALLEST_BYTES: Final = 1280
"""IPv6's least (RFC 8200); below it something is wrong whatever says so."""


@dataclass(frozen=True, order=True)
class Need:
    """A host will connect to a port of another one; `why` names each use."""

    host: str
    to: str
    address: str
    port: int
    why: tuple[str, ...]

    def text(self) -> str:
        """Return it as one line."""
        return f"{self.host} → {self.to}:{self.port}"


@dataclass(frozen=True)
class Line:
    """A need with all that is known of it."""

    need: Need
    tried: Attempt
    listens: bool | None  # whether something listens there; None: not known
    rule: str = ""  # of a firewall, that explains it
    proven: str = ""  # when a listener of ours was reached there
    is_blind: bool = False  # nothing is known of the other host: it may be down, which is no fault of the network

    @property
    def problem(self) -> str:
        """Return what is wrong, "" when nothing is."""
        tried, rule = self.tried, f"; {self.rule}" if self.rule else ""
        if tried.outcome is Outcome.OPEN or self.waits or self.undecided:
            return ""
        about = (
            say("although something listens there")
            if tried.outcome is Outcome.REFUSED and self.listens
            else tried.words[:120]
        )
        outcome = f"{tried.outcome.value} ({about})" if about else tried.outcome.value
        return say(
            "{need} {outcome}{rule}, needed for {first_why}",
            need=self.need.text(),
            outcome=outcome,
            rule=rule,
            first_why=self.need.why[0],
        )

    @property
    def undecided(self) -> str:
        """Return why nothing follows from the try, "" when something does."""
        if self.tried.outcome is Outcome.NOT_TRIED:
            return self.tried.words or "it was not tried"
        return (
            f"{self.need.to} itself does not answer" if self.is_blind and self.tried.outcome is not Outcome.OPEN else ""
        )

    @property
    def waits(self) -> bool:
        """Return whether packets pass both ways, and nothing is known to listen there yet: neither right nor wrong."""
        return (
            self.tried.outcome is Outcome.REFUSED and self.listens is not True and not self.rule and not self.is_blind
        )

    @property
    def reason(self) -> str:
        """Return what the try said, "" where it came through or nothing listens yet; a shell says it twice, with its
        own words around.
        """
        if self.tried.outcome is Outcome.OPEN or self.waits:
            return ""
        return self.tried.words.rpartition(": ")[2][:120]

    @property
    def text(self) -> str:
        """Return its state, for a table."""
        if self.tried.outcome is Outcome.OPEN:
            return "open"
        if self.waits:
            return (
                say("proven with a listener, {proven}", proven=self.proven)
                if self.proven
                else say("passable, nothing listens yet")
            )
        return str(self.tried.outcome.value)


@dataclass(frozen=True)
class Matrix:
    """All needs with their state, and the paths between the hosts, by host and address."""

    lines: tuple[Line, ...]
    paths: Mapping[tuple[str, str], PathSize]
    blind: Mapping[str, str]  # host: why nothing was tried from it
    names: Mapping[str, str]  # host by address
    rates: Mapping[tuple[str, str], float] = field(
        default_factory=dict
    )  # by host and host: bytes per second of a sample

    def of(self, host: str) -> list[Line]:
        """Return what a host needs."""
        return [line for line in self.lines if line.need.host == host]

    def table(self) -> Table:
        """Return the network's requirements, one row for each need: who must reach whom, for what, and how
        it stands.
        """
        rows = [
            (
                line.need.host,
                f"{line.need.to} ({line.need.address})",
                f"{line.need.port}/tcp",
                joined("; ", line.need.why),
                line.text,
                "–"
                if line.tried.milliseconds is None
                else say("{milliseconds:.1f} ms", milliseconds=line.tried.milliseconds),
                line.rule or line.reason or "–",
            )
            for line in sorted(self.lines, key=lambda one: one.need)
        ]
        rows += [(host, "–", "–", "–", "UNKNOWN", "–", reason) for host, reason in sorted(self.blind.items())]
        return Table(
            term("Network requirements"), ("from", "to", "port", "for", "seen", "connected in", "why"), tuple(rows)
        )


def join_matrix(
    needs: Iterable[Need],
    reached: Mapping[str, Reachability | str],
    facts: Mapping[str, HostFacts],
    proven: Mapping[Need, str],
    rates: Mapping[tuple[str, str], float] | None = None,
) -> Matrix:
    """Join needs with what was tried; a text in `reached` is why nothing could be tried from a host."""
    lines, paths = [], {}
    needs = tuple(needs)
    for need in needs:
        found = reached.get(need.host, "was not asked")
        if isinstance(found, str):
            continue
        tried = found.tries.get((need.address, need.port), Attempt(Outcome.NOT_TRIED, words="no answer about it"))
        rule = explaining_rule(need, tried.outcome, facts)
        there = facts.get(need.to)
        lines.append(
            Line(need, tried, listens_at(there, need.port), rule, proven.get(need, ""), is_blind=there is None)
        )
        if need.address in found.paths:
            paths[need.host, need.address] = found.paths[need.address]
    blind = {host: found for host, found in reached.items() if isinstance(found, str)}
    return Matrix(tuple(lines), paths, blind, {need.address: need.to for need in needs}, rates or {})


def listens_at(facts: HostFacts | None, port: int) -> bool | None:
    """Return whether a process or a container's published port listens there, beyond loopback; None: not known."""
    if facts is None or facts.listening_error:
        return None
    by_process = any(
        one.protocol == "tcp" and one.port == port and not one.address.startswith(("127.", "::1"))
        for one in facts.listening
    )
    return by_process or any(
        one.running and any(published == port for _, published, _, kind in one.published if kind == "tcp")
        for one in facts.containers
    )


def explaining_rule(need: Need, outcome: Outcome, facts: Mapping[str, HostFacts]) -> str:
    """Return the firewall's rule that explains why a need is not met, "" when none is known."""
    there, here = facts.get(need.to), facts.get(need.host)
    for side, chains in ((there, INWARD), (here, OUTWARD)):
        found = _rule(side.around.firewall, chains, need.port, WHO_DOES[outcome]) if side else None
        if found and side:
            return say("{host}: {text}", host=side.host, text=found.text)
    return ""


def _rule(
    rules: Iterable[FirewallRule], chains: tuple[str, ...], port: int, verdict: FirewallVerdict | None
) -> FirewallRule | None:
    """Return the rule that does it, chain by chain: the first that is for this port, or for all; a policy comes last.

    One that holds for some peers only counts when it names the port.
    """
    for chain in chains:
        mine = [rule for rule in rules if rule.chain == chain and rule.protocol in {"", "tcp", "all", "6"}]
        for rule in sorted(mine, key=lambda one: one.text.startswith("policy")):
            if port in rule.ports or not (rule.ports or rule.is_narrow):
                if rule.verdict is verdict:
                    return rule
                break
    return None


def judge_reachable(matrix: Matrix, host: str) -> Judgement:
    """Judge whether nothing keeps a host from what it will need: each port answers, or packets pass and nothing listens
    yet.
    """
    if host in matrix.blind:
        return unknown(matrix.blind[host])
    lines = matrix.of(host)
    if not lines:
        return passed(say("{host}: needs no port of another host", host=host))
    wrong = [*(line.problem for line in lines if line.problem), *_holes(matrix, host)]
    untried = [line for line in lines if line.undecided]
    if wrong:
        return failed(
            say(
                "{host}: {wrong_count} of {lines_count} ways are blocked: {first_wrong}. Expected: each open. Let the "
                "network team open it; the table Network requirements lists all. Look: ssh {host} nc -zv ADDRESS PORT",
                host=host,
                wrong_count=len(wrong),
                lines_count=len(lines),
                first_wrong=wrong[0],
            ),
            tuple(wrong),
            blocked=len(wrong),
        )
    if untried:
        return unknown(
            say(
                "{host}: {untried_count} of {lines_count} ways are not known: {need} ({undecided}). Expected: an "
                "answer of both hosts, and bash or nc on {host}. Fix that, then run this again",
                host=host,
                untried_count=len(untried),
                lines_count=len(lines),
                need=untried[0].need.text(),
                undecided=untried[0].undecided,
            ),
            tuple(say("{need}: {undecided}", need=line.need.text(), undecided=line.undecided) for line in untried),
        )
    is_open = sum(line.tried.outcome is Outcome.OPEN for line in lines)
    summary = say(
        "{is_open} of {lines_count} ways are open, {count} passable with nothing that listens yet",
        is_open=is_open,
        lines_count=len(lines),
        count=len(lines) - is_open,
    )
    return passed(
        say("{host}: {summary}", host=host, summary=summary),
        tuple(say("{need}: {text}", need=line.need.text(), text=line.text) for line in lines),
        ways=len(lines),
        open=is_open,
    )


def _holes(matrix: Matrix, host: str) -> list[str]:
    """Return the paths that swallow large packets without a word: a connection opens, and hangs with the first full
    packet.
    """
    silent = {address: path for (here, address), path in matrix.paths.items() if here == host and path.is_silent}
    return [
        say(
            "{host} → {names}: packets above {packet_bytes} bytes vanish without a word (MTU black hole); let ICMP "
            '"fragmentation needed" through, or lower the MTU of the interface',
            host=host,
            names=matrix.names.get(address, address),
            packet_bytes=path.packet_bytes or SMALLEST_TRIED,
        )
        for address, path in silent.items()
    ]


def judge_proven(matrix: Matrix, host: str, environment: str = ANY) -> Judgement:
    """Judge whether each way was tried to its end: where nothing listens yet, with a listener of ours."""
    if host in matrix.blind:
        return unknown(matrix.blind[host])
    lines = matrix.of(host)
    untried = [line for line in lines if line.undecided]
    if untried:
        return unknown(
            say(
                "{host}: {untried_count} of {lines_count} ways are not known: {need} ({undecided})",
                host=host,
                untried_count=len(untried),
                lines_count=len(lines),
                need=untried[0].need.text(),
                undecided=untried[0].undecided,
            )
        )
    waiting = [line for line in lines if line.waits and not line.proven]
    if waiting:
        return unknown(
            say(
                "{host}: nothing listens yet at {waiting_count} of {lines_count} ports: {need} ({first_why}). "
                "Expected: each tried with something that listens there. Packets pass both ways, and no known "
                "firewall rule stops them. Run: {command}",
                host=host,
                waiting_count=len(waiting),
                lines_count=len(lines),
                need=waiting[0].need.text(),
                first_why=waiting[0].need.why[0],
                command=typed_command("prepare", environment=environment, apply=True),
            ),
            tuple(line.need.text() for line in waiting),
            waiting=len(waiting),
        )
    return passed(
        say("{host}: all {count} ways were tried to something that listens", host=host, count=len(lines)),
        ways=len(lines),
    )


def judge_paths(matrix: Matrix, host: str) -> Judgement:
    """Judge the paths from a host: how large packets may be and how long a connection takes; one that was not measured
    is UNKNOWN.
    """
    if host in matrix.blind:
        return unknown(matrix.blind[host])
    paths = {matrix.names.get(address, address): path for (here, address), path in matrix.paths.items() if here == host}
    times = [line.tried.milliseconds for line in matrix.of(host) if line.tried.milliseconds is not None]
    slowest = (
        say("slowest of {count} connections {times:.1f} ms", count=len(times), times=max(times))
        if times
        else say("no connection was timed")
    )
    blind = {name: path.reason for name, path in paths.items() if path.packet_bytes is None}
    if blind:
        name, reason = next(iter(blind.items()))
        return unknown(
            say(
                "{host}: the largest packet to {blind_count} of {paths_count} hosts was not measured ({name}: "
                "{reason}); {slowest}. Expected: ping with -M do. Install iputils-ping on {host}, or let ICMP through",
                host=host,
                blind_count=len(blind),
                paths_count=len(paths),
                name=name,
                reason=reason,
                slowest=slowest,
            )
        )
    small = {name: path.packet_bytes for name, path in paths.items() if (path.packet_bytes or 0) < SMALLEST_BYTES}
    if small:
        name, size = next(iter(small.items()))
        return failed(
            say(
                "{host}: packets to {name} may have {size} bytes at most. Expected: {smallest_bytes} or more. Look: "
                "ssh {host} ip link; tracepath {name}",
                host=host,
                name=name,
                size=size,
                smallest_bytes=SMALLEST_BYTES,
            )
        )
    rates = {name: matrix.rates[host, name] for name in paths if (host, name) in matrix.rates}
    sizes = tuple(
        say(
            "{name}: {packet_bytes} bytes, {rate}",
            name=name,
            packet_bytes=path.packet_bytes,
            rate=say("{rate:,.0f} MB/s in a sample", rate=rates[name] / 1e6)
            if name in rates
            else say("no sample of its throughput"),
        )
        for name, path in paths.items()
    )
    carried = (
        say("; {rates:,.0f} MB/s in the slowest of {count} samples", rates=min(rates.values()) / 1e6, count=len(rates))
        if rates
        else ""
    )
    smallest = min((path.packet_bytes or 0 for path in paths.values()), default=0)
    return passed(
        say(
            "{host}: {count} paths carry packets of {smallest} bytes; {slowest}{carried}",
            host=host,
            count=len(paths),
            smallest=smallest,
            slowest=slowest,
            carried=carried,
        ),
        sizes,
    )
