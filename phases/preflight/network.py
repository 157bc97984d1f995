"""What the hosts of a run must reach on each other, from the plan: copies, backups, drills, and relays
after each move.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from actions.common.labels import move_label
from actions.common.test_listener import listening
from actions.relays.planning import wanted_forwarders
from checks.hosts.network import Matrix, Need, explaining_rule, join_matrix, listens_at
from engine.command_line import ANY, typed_command
from engine.config.scope import Scope
from engine.errors import NotObservedError
from engine.finding import say
from engine.journal.kinds import RecordKind
from engine.saga.outcomes import PlannedOnly
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import HostFacts
from hosts.network.reachability import Outcome, Reachability, try_connections
from hosts.network.throughput import send_sample
from phases.context.path_rates import measured_rates
from phases.context.run_context import RunContext

SSH: Final = 22
MOST_AT_ONCE: Final = 16


def list_needs(scope: Scope, where: Mapping[str, str]) -> tuple[Need, ...]:
    """Return who must reach whom in the nights that are planned; `where` is each service's host now."""
    why: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    for host, to, port, text in (*_transfers(scope, where), *_relays(scope, where)):
        if host != to and text not in why[host, to, port]:
            why[host, to, port].append(text)
    addresses = {name: identity.address for name, identity in scope.environment.hosts.items()}
    return tuple(
        sorted(
            Need(host, to, addresses[to], port, tuple(texts))
            for (host, to, port), texts in why.items()
            if to in addresses
        )
    )


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


def look_at_network(context: RunContext, of: Collection[str]) -> Matrix:
    """Try every need of these hosts from its host, one command for each, all hosts at once."""
    needs = tuple(need for need in list_needs(context.scope, context.where()) if need.host in of)
    hosts = tuple(dict.fromkeys(need.host for need in needs))
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        answers = pool.map(lambda host: _try(context, host, [need for need in needs if need.host == host]), hosts)
        reached = dict(zip(hosts, answers, strict=True))
    facts = _facts(context, {*hosts, *(need.to for need in needs)})
    return join_matrix(needs, reached, facts, proven_needs(context, needs), measured_rates(context.journal))


def _try(context: RunContext, host: str, needs: Iterable[Need]) -> Reachability | str:
    try:
        return try_connections(context.fleet[host], [(need.address, need.port) for need in needs])
    except NotObservedError as error:
        return str(error)


def _facts(context: RunContext, hosts: Iterable[str]) -> dict[str, HostFacts]:
    found = {}
    for host in sorted(hosts):
        try:
            found[host] = context.facts(host)
        except NotObservedError:
            continue
    return found


def try_with_listeners(context: RunContext, host: str, *, apply: bool) -> Judgement:
    """Listen for seconds on the ports of a host that will be needed and have nobody yet, and connect from each host
    that will need them.
    """
    facts = context.facts(host)
    facts.need_sockets()
    needs = [
        need
        for need in list_needs(context.scope, context.where())
        if need.to == host and listens_at(facts, need.port) is False
    ]
    if not apply:
        ports = ", ".join(str(port) for port in sorted({need.port for need in needs}))
        raise PlannedOnly(
            say(
                "{host}: listen on {ports} for some seconds, and connect from the hosts that will need them",
                host=host,
                ports=ports or say("no port"),
            )
        )
    if not needs:
        return passed(say("{host}: something listens already at every port that others need there", host=host))
    with listening(
        context.fleet,
        host,
        {need.port for need in needs},
        move_label=move_label(context.scope.environment.environment, "network", 1),
    ):
        tried = {need: _try_one(context, need) for need in needs}
        _sample(context, [need for need, (outcome, _) in tried.items() if outcome is Outcome.OPEN])
    for need, (outcome, _) in tried.items():
        context.run.record(
            RecordKind.NETWORK_TEST,
            body={
                "host": need.host,
                "to": need.to,
                "address": need.address,
                "port": need.port,
                "outcome": outcome.value,
            },
        )
    seen = {name: context.facts(name) for name in {host, *(need.host for need in needs)}}
    return judge_trial(host, tried, seen, context.scope.environment.environment)


def _sample(context: RunContext, needs: Iterable[Need]) -> None:
    """Send zeros from each host over one of its ways, and record how fast they went."""
    for need in {need.host: need for need in needs}.values():
        try:
            rate = send_sample(context.fleet[need.host], need.address, need.port)
        except NotObservedError:
            continue  # its ways have rows of their own
        if rate is not None:
            context.run.record(
                RecordKind.PATH_THROUGHPUT, body={"host": need.host, "to": need.to, "bytes_per_s": round(rate)}
            )


def _try_one(context: RunContext, need: Need) -> tuple[Outcome, str]:
    """Return how a try ended, and the host's words; a host that does not answer has not tried."""
    found = _try(context, need.host, [need])
    if isinstance(found, str):
        return Outcome.NOT_TRIED, found
    tried = found.tries.get((need.address, need.port))
    return (tried.outcome, tried.words) if tried else (Outcome.NOT_TRIED, say("no answer about it"))


def judge_trial(
    host: str, tried: Mapping[Need, tuple[Outcome, str]], facts: Mapping[str, HostFacts], environment: str = ANY
) -> Judgement:
    """Judge whether each host reached the listener; a firewall's rule that explains why not is reported."""
    wrong = []
    for need, (outcome, words) in tried.items():
        rule = explaining_rule(need, outcome, facts)
        if outcome not in {Outcome.OPEN, Outcome.NOT_TRIED}:
            wrong.append(
                say(
                    "{need} {outcome_value} ({rule}), needed for {first_why}",
                    need=need.text(),
                    outcome_value=outcome.value,
                    rule=rule or words[:120] or say("no rule is known that explains it"),
                    first_why=need.why[0],
                )
            )
    untried = [
        say("{need}: {words}", need=need.text(), words=words)
        for need, (outcome, words) in tried.items()
        if outcome is Outcome.NOT_TRIED
    ]
    if wrong:
        return failed(
            say(
                "{host}: {wrong_count} of {tried_count} ways to a listener are blocked: {first_wrong}. Expected: each "
                "open. Open it in the firewalls between and on {host}, then: {command}",
                host=host,
                wrong_count=len(wrong),
                tried_count=len(tried),
                first_wrong=wrong[0],
                command=typed_command("prepare", environment=environment, apply=True),
            ),
            tuple(wrong),
        )
    if untried:
        return unknown(
            say(
                "{host}: {untried_count} of {tried_count} ways could not be tried: {first_untried}. Expected: bash or "
                "nc there",
                host=host,
                untried_count=len(untried),
                tried_count=len(tried),
                first_untried=untried[0],
            ),
            tuple(untried),
        )
    return passed(
        say(
            "{host}: a listener was reached on all {count} ways on which nothing listens yet",
            host=host,
            count=len(tried),
        ),
        ways=len(tried),
    )


def proven_needs(context: RunContext, needs: Iterable[Need]) -> dict[Need, str]:
    """Return the needs that were tried with a listener of ours, with the time of the newest try that went through."""
    seen: dict[tuple[str, str, int], str] = {}
    for record in context.journal.records(kind=RecordKind.NETWORK_TEST):
        key = (str(record.body["host"]), str(record.body["address"]), int(record.body["port"]))
        if record.body["outcome"] == "open":
            seen[key] = record.at[:16].replace("T", " ")
        else:
            seen.pop(key, None)
    return {
        need: seen[need.host, need.address, need.port] for need in needs if (need.host, need.address, need.port) in seen
    }
