"""Make the hosts' relays match what is wanted: at commit, at rollback, on demand. Only labelled relays are touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from actions.forwarders import PUBLISHED_ONLY, Forwarder, holder_of, wanted_forwarders
from actions.labels import label_flags, labels
from actions.route import helper_name, run_checked, write_audit
from engine.errors import ActionError, RefusedError
from engine.product import LABEL_MOVE, LABEL_ROLE, NAME, TOOLBOX_IMAGE
from engine.scope import Scope
from engine.verdict import Judgement, failed, passed
from hosts.fencing import change
from hosts.fleet import Fleet

ROLE: Final = "forwarder"
LABEL_RELAY: Final = f"{NAME}.relay"
"""What a relay was made for, as text: another text means that it must be made again."""

LIST_FORMAT: Final = f'{{{{.Names}}}}\t{{{{.State}}}}\t{{{{.Label "{LABEL_RELAY}"}}}}\t{{{{.Label "{LABEL_MOVE}"}}}}'
DOCKER_S: Final = 60.0


@dataclass(frozen=True)
class Relay:
    """One relay container that is there."""

    host: str
    name: str
    running: bool
    made_for: str


@dataclass(frozen=True)
class Reconciled:
    """What was changed, as lines."""

    created: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def reconcile(fleet: Fleet, scope: Scope, where: Mapping[str, str]) -> Reconciled:
    """Make all hosts of the scope have exactly the relays that `where` asks for."""
    return apply_forwarders(fleet, scope.environment.environment, scope.hosts, wanted_forwarders(scope, where))


def apply_forwarders(fleet: Fleet, environment: str, hosts: Iterable[str], wanted: frozenset[Forwarder]) -> Reconciled:
    """Create what is missing, then remove what is not wanted, then start the new ones: the gap is one start long.

    Raises ActionError before anything was switched when a relay could not be created.
    """
    there = [relay for host in hosts for relay in list_relays(fleet, host, environment)]
    wanted_here = {forwarder.text(): forwarder for forwarder in wanted}
    kept = [relay for relay in there if relay.made_for in wanted_here and relay.running]
    stale = [relay for relay in there if relay not in kept]
    missing = [forwarder for text, forwarder in sorted(wanted_here.items()) if text not in {r.made_for for r in kept}]
    for host in sorted({forwarder.host for forwarder in missing}):
        fleet.forget_facts(host)  # once a host: it is asked while clients wait
    for forwarder in missing:
        _refuse_beside_real_one(fleet, forwarder)
    made = {(forwarder.host, relay_name(forwarder)) for forwarder in missing}
    in_the_way = [relay for relay in stale if (relay.host, relay.name) in made]  # one that is to lead elsewhere has the new one's name
    for relay in in_the_way:
        _remove(fleet, environment, relay)
    for forwarder in missing:
        _create(fleet, environment, forwarder)
    for relay in stale:
        if relay not in in_the_way:
            _remove(fleet, environment, relay)
    for forwarder in missing:
        _start(fleet, environment, forwarder)
    return Reconciled(
        tuple(forwarder.text() for forwarder in missing),
        tuple(relay.made_for for relay in stale),
        tuple(relay.made_for for relay in kept),
    )


def list_relays(fleet: Fleet, host: str, environment: str) -> list[Relay]:
    """Return our relays of this environment on a host, whatever their state."""
    argv = ["docker", "ps", "--all", "--filter", f"label={LABEL_ROLE}={ROLE}", "--format", LIST_FORMAT]
    relays = []
    for line in run_checked(fleet, host, argv, doing="list relays").text.splitlines():
        name, state, made_for, label = line.split("\t")
        if label.split("/", 1)[0] == environment:
            relays.append(Relay(host, name, state == "running", made_for))
    return relays


def judge_forwarders(fleet: Fleet, environment: str, hosts: Iterable[str], wanted: frozenset[Forwarder]) -> Judgement:
    """Judge whether exactly the wanted relays run."""
    hosts = tuple(hosts)
    there = [relay for host in hosts for relay in list_relays(fleet, host, environment)]
    running = {relay.made_for for relay in there if relay.running}
    asked = {forwarder.text() for forwarder in wanted}
    missing = sorted(asked - running)
    too_many = sorted({relay.made_for for relay in there} - asked)
    if missing or too_many:
        details = (*(f"missing: {text}" for text in missing), *(f"not wanted: {text}" for text in too_many))
        return failed(
            f"{', '.join(hosts)}: {len(missing)} of {len(asked)} relays missing, {len(too_many)} not wanted: {details[0]}. "
            "Expected: exactly the wanted ones. Try: docker ps -a --filter label=longshore.role=forwarder",
            details,
        )
    return passed(f"all {len(asked)} relays run on {len(hosts)} hosts", tuple(sorted(asked)), relays=len(asked))


def relay_name(forwarder: Forwarder) -> str:
    """Return the container's name: one relay per network, alias and port."""
    if forwarder.network == PUBLISHED_ONLY:
        return helper_name("forward", "published", forwarder.alias, str(forwarder.port))
    return helper_name("forward", forwarder.network, forwarder.alias, str(forwarder.port))


def relay_argv(environment: str, forwarder: Forwarder) -> list[str]:
    """Return `docker create` for a relay."""
    mine = {**labels(f"{environment}/{ROLE}/1", ROLE), LABEL_RELAY: forwarder.text()}
    argv = [
        "docker", "create", "--name", relay_name(forwarder), "--restart", "unless-stopped", "--network", forwarder.network,
        "--memory", "64m", "--pids-limit", "2048", "--read-only", "--cap-drop", "ALL",
        "--cap-add", "NET_BIND_SERVICE", "--log-opt", "max-size=1m",
    ]  # fmt: skip
    if forwarder.network != PUBLISHED_ONLY:
        argv += ["--network-alias", forwarder.alias]
    if forwarder.publish:
        argv += ["--publish", f"{forwarder.publish}:{forwarder.port}"]
    return [
        *argv,
        *label_flags(mine),
        TOOLBOX_IMAGE,
        "socat",
        f"TCP-LISTEN:{forwarder.port},fork,reuseaddr,nodelay,keepalive,backlog=256",
        f"TCP:{forwarder.to_address}:{forwarder.to_port},nodelay,keepalive,connect-timeout=5",
    ]


def _refuse_beside_real_one(fleet: Fleet, forwarder: Forwarder) -> None:
    holder = holder_of(forwarder, fleet.facts(forwarder.host))
    if holder:
        raise RefusedError(
            f"{forwarder.text()}: container {holder} runs there under this name. Expected: no other holder of the name. "
            f"Look: ssh {forwarder.host} docker inspect {holder}"
        )


def _create(fleet: Fleet, environment: str, forwarder: Forwarder) -> None:
    write_audit(fleet, forwarder.host, f"{environment}/{ROLE}/1", "forward", f"create relay {forwarder.text()}")
    argv = relay_argv(environment, forwarder)
    run_checked(fleet, forwarder.host, argv, doing=f"create relay {forwarder.text()}", timeout_s=DOCKER_S)
    networks = {network.name: network for network in fleet.facts(forwarder.host).networks}
    if forwarder.network in networks and networks[forwarder.network].internal:
        out = ["docker", "network", "connect", PUBLISHED_ONLY, relay_name(forwarder)]
        run_checked(fleet, forwarder.host, out, doing=f"give relay {forwarder.text()} a way out of its internal network")


def _start(fleet: Fleet, environment: str, forwarder: Forwarder) -> None:
    write_audit(fleet, forwarder.host, f"{environment}/{ROLE}/1", "forward", f"start relay {forwarder.text()}")
    argv = ["docker", "start", relay_name(forwarder)]
    run_checked(fleet, forwarder.host, argv, doing=f"start relay {forwarder.text()}", timeout_s=DOCKER_S)


def _remove(fleet: Fleet, environment: str, relay: Relay) -> None:
    write_audit(fleet, relay.host, f"{environment}/{ROLE}/1", "forward", f"remove relay {relay.made_for}")
    result = change(fleet, relay.host, ["docker", "rm", "--force", relay.name], timeout_s=DOCKER_S)
    if result.exit_code != 0 and "No such container" not in result.error_text:
        raise ActionError(f"{relay.host}: could not remove relay {relay.name}: {result.error_text}. Remove it by hand")
