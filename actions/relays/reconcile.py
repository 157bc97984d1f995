"""Make the hosts' relays match what is wanted: at commit, at rollback, on demand. Only labelled relays are touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from actions.common.route import run_checked, write_audit
from actions.relays.endpoints import (
    FAR,
    LABEL_END,
    LABEL_KEYS,
    LABEL_RELAY,
    NEAR,
    End,
    Pair,
    end_argv,
    host_of,
    make_keys,
    network_of,
    pairs_of,
    relay_label,
    relay_name,
    remove_unused_keys,
)
from actions.relays.planning import PUBLISHED_ONLY, ROLE, Relay, holder_of
from engine.command_line import ANY, typed_command
from engine.constants import LABEL_MOVE, LABEL_ROLE
from engine.errors import ActionError, RefusedError
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from hosts.coordination.fencing import change
from hosts.fleet import Fleet

LIST_FORMAT: Final = "\t".join(
    (
        "{{.Names}}",
        "{{.State}}",
        *(f'{{{{.Label "{label}"}}}}' for label in (LABEL_RELAY, LABEL_MOVE, LABEL_END, LABEL_KEYS)),
    )
)
DOCKER_S: Final = 60.0
MOST_AT_ONCE: Final = 16
LOOK: Final = f"docker ps -a --filter label={LABEL_ROLE}={ROLE}"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RunningRelay:
    """One container of a relay that is there: its near or its far end; `keys` names its certificate and the one it
    demands.
    """

    host: str
    name: str
    running: bool
    made_for: str
    end: str = NEAR
    keys: str = ""


@dataclass(frozen=True)
class RelayChanges:
    """What was changed, as lines."""

    created: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def apply_forwarders(fleet: Fleet, environment: str, hosts: Iterable[str], wanted: frozenset[Relay]) -> RelayChanges:
    """Create what is missing, then remove what is not wanted, then start the new ones: the gap is one start long.

    A relay is made anew with both its ends and new keys when one of them is missing, stopped, or has other keys than
    its peer demands. Raises RefusedError for a relay on a host that this run does not hold, and ActionError before
    anything was switched when a relay could not be created.
    """
    hosts = tuple(dict.fromkeys(hosts))
    refuse_outside(hosts, wanted, environment)
    there = list_all(fleet, hosts, environment)
    missing = [forwarder for forwarder in sorted(wanted) if _fault_of(forwarder, there)]
    kept_texts = {forwarder.text() for forwarder in wanted} - {forwarder.text() for forwarder in missing}
    kept = [relay for relay in there if relay.made_for in kept_texts]
    stale = [relay for relay in there if relay not in kept]
    _look_anew(fleet, sorted({host for forwarder in missing for host in forwarder.hosts}))
    for forwarder in missing:
        _refuse_name_of_real_one(fleet, forwarder)
    ends: list[tuple[Relay, End]] = [(forwarder, end) for forwarder in missing for end in (FAR, NEAR)]
    change = _Change(fleet, environment, tuple(ends), _make_pairs(fleet, environment, hosts, missing), tuple(stale))
    for step in (
        change.make,
        change.clear,
        lambda host: change.start(host, FAR),
        lambda host: change.start(host, NEAR),
    ):
        _on_each(hosts, step)
    _on_each(hosts, lambda host: remove_unused_keys(fleet, environment, host))  # also what a killed run left
    return RelayChanges(
        tuple(forwarder.text() for forwarder in missing),
        tuple(dict.fromkeys(relay.made_for for relay in stale)),
        tuple(dict.fromkeys(relay.made_for for relay in kept)),
    )


@dataclass(frozen=True)
class _Change:
    """What is made and taken away, host by host."""

    fleet: Fleet
    environment: str
    ends: tuple[tuple[Relay, End], ...]
    pairs: Mapping[Relay, Pair | None]
    stale: tuple[RunningRelay, ...]

    def make(self, host: str) -> None:
        """Create the new ends on a host; one that is there under the same name goes first."""
        for relay in self.stale:
            if relay.host == host and self._is_in_the_way(relay):
                _remove(self.fleet, self.environment, relay)
        for forwarder, end in self._ends_on(host):
            _create(self.fleet, self.environment, forwarder, end, self.pairs[forwarder])

    def clear(self, host: str) -> None:
        """Remove what is not wanted on a host."""
        for relay in self.stale:
            if relay.host == host and not self._is_in_the_way(relay):
                _remove(self.fleet, self.environment, relay)

    def start(self, host: str, which: End) -> None:
        """Start the new ends of one kind on a host: the far ones first, so that a near one finds somebody."""
        for forwarder, end in self._ends_on(host):
            if end == which:
                _start(self.fleet, self.environment, forwarder, end)

    def _ends_on(self, host: str) -> list[tuple[Relay, End]]:
        return [one for one in self.ends if host_of(*one) == host]

    def _is_in_the_way(self, relay: RunningRelay) -> bool:
        return any(relay_name(*one) == relay.name for one in self._ends_on(relay.host))


def _look_anew(fleet: Fleet, hosts: Collection[str]) -> None:
    """Gather the facts of some hosts, all at once and once each: clients wait meanwhile."""
    for host in hosts:
        fleet.forget_facts(host)
    _on_each(hosts, fleet.facts)


def refuse_outside(hosts: Collection[str], wanted: Iterable[Relay], environment: str = ANY) -> None:
    """Raise RefusedError when an end of a relay is wanted on a host that a run does not hold."""
    for forwarder in sorted(wanted):
        outside = [host for host in forwarder.hosts if host not in hosts]
        if outside:
            raise RefusedError(
                say(
                    "{first_outside}: {forwarder}: this run does not hold {first_outside}, it holds {hosts}. "
                    "Expected: every host of every relay. Nothing was changed. Look: {command}",
                    first_outside=outside[0],
                    forwarder=forwarder.text(),
                    hosts=", ".join(hosts),
                    command=typed_command("status", environment=environment),
                )
            )


def _make_pairs(
    fleet: Fleet, environment: str, hosts: Collection[str], missing: Collection[Relay]
) -> dict[Relay, Pair | None]:
    ends: list[tuple[Relay, End]] = [
        (forwarder, end) for forwarder in missing if forwarder.encrypted for end in (NEAR, FAR)
    ]
    made = _on_each(
        hosts, lambda host: make_keys(fleet, environment, host, [one for one in ends if host_of(*one) == host])
    )
    return pairs_of({end: certificate for some in made for end, certificate in some.items()}, missing)


def _on_each(hosts: Iterable[str], do: Callable[[str], Answer]) -> list[Answer]:
    """Do the same on all hosts at once; raises the first error when all have ended."""
    hosts = tuple(hosts)
    with ThreadPoolExecutor(max_workers=max(1, min(MOST_AT_ONCE, len(hosts)))) as pool:
        return [job.result() for job in [pool.submit(do, host) for host in hosts]]


def list_all(fleet: Fleet, hosts: Iterable[str], environment: str) -> list[RunningRelay]:
    """Return both ends of our relays of this environment on some hosts."""
    return [relay for found in _on_each(hosts, lambda host: list_relays(fleet, host, environment)) for relay in found]


def list_relays(fleet: Fleet, host: str, environment: str) -> list[RunningRelay]:
    """Return the ends of our relays of this environment on a host, whatever their state."""
    argv = ["docker", "ps", "--all", "--filter", f"label={LABEL_ROLE}={ROLE}", "--format", LIST_FORMAT]
    relays = []
    for line in run_checked(fleet, host, argv, doing=say("list relays")).text.splitlines():
        name, state, made_for, label, end, keys = (line.split("\t") + [""] * 6)[:6]
        if label.split("/", 1)[0] == environment:
            relays.append(RunningRelay(host, name, state == "running", made_for, end, keys))
    return relays


def _fault_of(forwarder: Relay, there: Iterable[RunningRelay]) -> str:
    """Return what is wrong with a relay, "" when both ends run and each demands the certificate that the other has."""
    mine = {relay.end: relay for relay in there if relay.made_for == forwarder.text() and relay.host in forwarder.hosts}
    for end in (NEAR, FAR):
        host, relay = host_of(forwarder, end), mine.get(end)
        if relay is None or relay.host != host:
            return say(
                "missing: the {end} end on {host} of {forwarder}", end=end, host=host, forwarder=forwarder.text()
            )
        if not relay.running:
            return say(
                "does not run: the {end} end on {host} of {forwarder}", end=end, host=host, forwarder=forwarder.text()
            )
    near, far = mine[NEAR].keys, mine[FAR].keys
    crosswise = ":".join(reversed(far.split(":")))
    if near != crosswise or bool(near) != forwarder.encrypted:
        return say("has other keys than its two ends expect of each other: {forwarder}", forwarder=forwarder.text())
    return ""


def faults_of(wanted: Iterable[Relay], there: Iterable[RunningRelay]) -> list[str]:
    """Return a line for each wanted relay that is not there, does not run, or whose ends would refuse each other."""
    there = tuple(there)
    return [fault for forwarder in sorted(wanted) if (fault := _fault_of(forwarder, there))]


def judge_forwarders(fleet: Fleet, environment: str, hosts: Iterable[str], wanted: frozenset[Relay]) -> Judgement:
    """Judge whether exactly the wanted relays run."""
    hosts = tuple(dict.fromkeys(hosts))
    refuse_outside(hosts, wanted, environment)
    there = list_all(fleet, hosts, environment)
    missing = faults_of(wanted, there)
    asked = {forwarder.text() for forwarder in wanted}
    too_many = sorted(
        {
            say("{made_for} ({name} on {host})", made_for=relay.made_for, name=relay.name, host=relay.host)
            for relay in there
            if relay.made_for not in asked
        }
    )
    if missing or too_many:
        details = (*missing, *(say("not wanted: {text}", text=text) for text in too_many))
        return failed(
            say(
                "{hosts}: {missing_count} of {asked_count} relays missing, {too_many_count} not wanted: {detail}. "
                "Expected: exactly the wanted ones. Try: {look}",
                hosts=", ".join(hosts),
                missing_count=len(missing),
                asked_count=len(asked),
                too_many_count=len(too_many),
                detail=details[0],
                look=LOOK,
            ),
            details,
        )
    return passed(
        say("all {asked_count} relays run on {hosts_count} hosts", asked_count=len(asked), hosts_count=len(hosts)),
        tuple(sorted(asked)),
        relays=len(asked),
    )


def _refuse_name_of_real_one(fleet: Fleet, forwarder: Relay) -> None:
    holder = holder_of(forwarder, fleet.facts(forwarder.host))
    if holder:
        raise RefusedError(
            say(
                "{forwarder}: container {holder} runs there under this name. Expected: no other holder of the name. "
                "Look: ssh {host} docker inspect {holder}",
                forwarder=forwarder.text(),
                holder=holder,
                host=forwarder.host,
            )
        )


def _create(fleet: Fleet, environment: str, forwarder: Relay, end: End, pair: Pair | None) -> None:
    host, network = host_of(forwarder, end), network_of(forwarder, end)
    doing = say("create the {end} end of relay {forwarder}", end=end, forwarder=forwarder.text())
    write_audit(fleet, host, relay_label(environment), "forward", doing)
    run_checked(fleet, host, end_argv(environment, forwarder, end, pair), doing=doing, timeout_s=DOCKER_S)
    networks = {network.name: network for network in fleet.facts(host).networks}
    if network in networks and networks[network].internal:
        out = ["docker", "network", "connect", PUBLISHED_ONLY, relay_name(forwarder, end)]
        run_checked(
            fleet,
            host,
            out,
            doing=say(
                "give the {end} end of relay {forwarder} a way out of its internal network",
                end=end,
                forwarder=forwarder.text(),
            ),
        )


def _start(fleet: Fleet, environment: str, forwarder: Relay, end: End) -> None:
    host, doing = (
        host_of(forwarder, end),
        say("start the {end} end of relay {forwarder}", end=end, forwarder=forwarder.text()),
    )
    write_audit(fleet, host, relay_label(environment), "forward", doing)
    run_checked(fleet, host, ["docker", "start", relay_name(forwarder, end)], doing=doing, timeout_s=DOCKER_S)


def _remove(fleet: Fleet, environment: str, relay: RunningRelay) -> None:
    write_audit(fleet, relay.host, relay_label(environment), "forward", f"remove relay {relay.made_for}")
    result = change(fleet, relay.host, ["docker", "rm", "--force", relay.name], timeout_s=DOCKER_S)
    if result.exit_code != 0 and "No such container" not in result.error_text:
        raise ActionError(
            say(
                "{host}: could not remove relay {name}: {error_text}. Expected: gone. Try: ssh {host} docker rm -f "
                "{name}",
                host=relay.host,
                name=relay.name,
                error_text=result.error_text,
            )
        )
