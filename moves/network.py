"""What the hosts of a run must reach on each other, from the plan: copies, backups, drills, and relays after each move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from actions.forwarders import wanted_forwarders
from checks.network import Matrix, Need, join_matrix
from engine.errors import CouldNotLookError
from engine.scope import Scope
from hosts.facts import HostFacts
from hosts.reaching import Reached, try_connections
from moves.world import World

SSH: Final = 22
MOST_AT_ONCE: Final = 16
TRIAL: Final = "network_trial"
"""The kind of the record of a try with a listener of ours."""


def list_needs(scope: Scope, where: Mapping[str, str]) -> tuple[Need, ...]:
    """Return who must reach whom in the nights that are planned; `where` is each service's host now."""
    why: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    for host, to, port, text in (*_transfers(scope, where), *_relays(scope, where)):
        if host != to and text not in why[host, to, port]:
            why[host, to, port].append(text)
    addresses = {name: identity.address for name, identity in scope.environment.hosts.items()}
    return tuple(sorted(Need(host, to, addresses[to], port, tuple(texts)) for (host, to, port), texts in why.items() if to in addresses))


def _transfers(scope: Scope, where: Mapping[str, str]) -> Iterator[tuple[str, str, int, str]]:
    """Yield the ssh connections between hosts: data, rollback, backups, drills."""
    for move in scope.moves:
        if where[move.service] != move.target:
            yield move.source, move.target, SSH, f"copy of {move.service}"
        yield move.target, move.source, SSH, f"copy back of {move.service}"
        if scope.environment.backup:
            yield move.source, scope.environment.backup.host, SSH, f"backup of {move.service}"
            yield move.target, scope.environment.backup.host, SSH, f"restore drill of {move.service}"


def _relays(scope: Scope, where: Mapping[str, str]) -> Iterator[tuple[str, str, int, str]]:
    """Yield the relays that are wanted now and after each move, with where they lead."""
    hosts = {identity.address: name for name, identity in scope.environment.hosts.items()}
    places = dict(where)
    states = [dict(places)]
    for move in scope.moves:
        places[move.service] = move.target
        states.append(dict(places))
    for state in states:
        for relay in sorted(wanted_forwarders(scope, state)):
            if relay.to_address in hosts:
                yield relay.host, hosts[relay.to_address], relay.to_port, f"relay {relay.alias}:{relay.port}"


def look_at_network(world: World) -> Matrix:
    """Try every need from its host, one command for each, all hosts at once."""
    needs = list_needs(world.scope, world.where())
    hosts = tuple(dict.fromkeys(need.host for need in needs))
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        answers = pool.map(lambda host: _try(world, host, [need for need in needs if need.host == host]), hosts)
        reached = dict(zip(hosts, answers, strict=True))
    return join_matrix(needs, reached, _facts(world, {*hosts, *(need.to for need in needs)}), proven_needs(world, needs))


def _try(world: World, host: str, needs: Iterable[Need]) -> Reached | str:
    try:
        return try_connections(world.fleet[host], [(need.address, need.port) for need in needs])
    except CouldNotLookError as error:
        return str(error)


def _facts(world: World, hosts: Iterable[str]) -> dict[str, HostFacts]:
    found = {}
    for host in sorted(hosts):
        try:
            found[host] = world.facts(host)
        except CouldNotLookError:
            continue
    return found


def proven_needs(world: World, needs: Iterable[Need]) -> dict[Need, str]:
    """Return the needs that were tried with a listener of ours, with the time of the newest try that went through."""
    seen: dict[tuple[str, str, int], str] = {}
    for record in world.journal.records(kind=TRIAL):
        key = (str(record.body["host"]), str(record.body["address"]), int(record.body["port"]))
        if record.body["outcome"] == "open":
            seen[key] = record.at[:16].replace("T", " ")
        else:
            seen.pop(key, None)
    return {need: seen[need.host, need.address, need.port] for need in needs if (need.host, need.address, need.port) in seen}
