"""Questions about references: can they be rewritten, are they used, and does anybody still use the relays?"""

from __future__ import annotations

from typing import Final

from actions.references.file import FileReference
from actions.references.variable import VariableReference
from actions.relays.planning import PUBLISHED_ONLY, Relay, link_name
from checks.containers.state_paths import judge_kept_by_stop, judge_state_paths, judge_writable_layer
from checks.dependencies.connections import connections_to, names_of, relay_named, users_of
from engine.config.inventory import Link
from engine.contracts.mount_kinds import kind_over
from engine.contracts.move_state import MoveState
from engine.contracts.product import MayForget
from engine.errors import LongshoreError, NotObservedError
from engine.finding import joined, say
from engine.i18n.language import term
from engine.journal.kinds import RecordKind
from engine.report_sections import Table
from engine.verdict import Judgement, failed, passed, unknown
from hosts.network.connection_watch import watch_openings
from hosts.network.reachability import Outcome, try_connections
from phases.assess import health
from phases.assess.readiness import outside_of, state_paths_of
from phases.context.attempt import read_past
from phases.context.link_state import Address, places_planned
from phases.context.run_context import RunContext
from phases.context.service_facts import read_changes
from phases.repoint.subject import Pointing

USED_S: Final = 60.0
"""Within so many seconds a dependant opens a connection: scrapes and pools take seconds, not minutes."""
UNUSED_S: Final = 15.0
"""So long a relay that is to go is watched for clients whose connections live too short to be listed."""


def words_of(pointing: Pointing) -> str:
    """Return what is asked before anything is rewritten."""
    names = joined(
        "; ",
        (
            say("{link_name} at {address}", link_name=link_name(link), address=address.text())
            for link, address in pointing.links
        ),
    )
    return say(
        "look whether both ends are where the plan puts them and each reference can be rewritten: {names}", names=names
    )


def confirm(pointing: Pointing) -> Judgement:
    """Judge whether all can be rewritten; what would change goes into the evidence as a table."""
    context = pointing.context
    problems = [text for link, address in pointing.links for text in _link_problems(context, link, address)]
    if problems:
        return failed(
            say(
                "{problems_count} of {links_count} links are not ready: {problem}",
                problems_count=len(problems),
                links_count=len(pointing.links),
                problem=problems[0],
            ),
            tuple(problems),
        )
    try:
        changes = [(reference.route.service, reference.foresee()) for reference in pointing.references]
    except NotObservedError as error:
        return unknown(str(error))
    except LongshoreError as error:
        return failed(str(error))
    rows = tuple((service, lines[0], _said(lines, "-"), _said(lines, "+")) for service, lines in changes)
    context.run.record(
        RecordKind.REPORT_TABLE,
        body=Table(term("References that are re-pointed"), ("from", "where", "before", "after"), rows).body(),
    )
    answers = [
        answer
        for dependant in pointing.dependants
        for answer in (_replaceable(pointing, dependant), ready(pointing, dependant))
    ]
    for answer in answers:
        if not answer.passed:
            return answer
    count = say(
        "{count} references of {dependants}", count=len(pointing.references), dependants=", ".join(pointing.dependants)
    )
    addresses = joined(", ", (address.text() for _, address in pointing.links))
    return passed(
        say("{count} can be rewritten; {addresses} answers from there", count=count, addresses=addresses),
        tuple(line for _, lines in changes for line in lines),
    )


def _said(lines: tuple[str, ...], sign: str) -> str:
    return joined("; ", (line[2:] for line in lines[1:] if line.startswith(sign)))


def _link_problems(context: RunContext, link: Link, address: Address) -> list[str]:
    where, planned = context.where(), places_planned(context.scope)
    moved = {move.service for move in context.scope.plan.moves}
    for end in (link.from_, link.to):
        state = read_past(context.journal, end).state
        if end in moved and (state is not MoveState.DONE or where[end] != planned[end]):
            words = state.value.replace("_", " ")
            first = context.scope.command("migrate", service=end, apply=True)
            return [
                say(
                    "{link_name}: {end} is {words}. Expected: done, on {planned}. Move it first: {first}",
                    link_name=link_name(link),
                    end=end,
                    words=words,
                    planned=planned[end],
                    first=first,
                )
            ]
    here = planned[link.from_]
    if here not in context.scope.environment.hosts:
        return [
            say(
                "{link_name}: {here} has no identity here. Expected: a pinned host. Try: {command}",
                link_name=link_name(link),
                here=here,
                command=context.scope.command("pin"),
            )
        ]
    tried = try_connections(context.fleet[here], [(address.address, address.port)]).tries.get(
        (address.address, address.port)
    )
    if tried is None or tried.outcome is not Outcome.OPEN:
        outcome = tried.outcome.value if tried else say("not tried")
        return [
            say(
                "{link_name}: {here} to {address}: {outcome}. Expected: open. Look: ssh {here} nc -vz "
                "{address_address} {port}",
                link_name=link_name(link),
                here=here,
                address=address.text(),
                outcome=outcome,
                address_address=address.address,
                port=address.port,
            )
        ]
    return []


def _replaceable(pointing: Pointing, dependant: str) -> Judgement:
    """Judge whether a container that is stopped for its references loses nothing: what is in memory only would go, and
    with a container that is made anew what was changed in it outside its mounts.
    """
    context, host = pointing.context, pointing.host_of(dependant)
    references = [reference for reference in pointing.references if reference.route.service == dependant]
    made_anew = any(isinstance(reference, VariableReference) for reference in references)
    if not made_anew and not any(isinstance(one, FileReference) and one.restarts for one in references):
        return passed(say("{dependant}: its container keeps running", dependant=dependant))
    container, product = context.container(dependant, host), context.product(dependant)
    in_memory = [path for path in state_paths_of(product, container) if kind_over(container, path) == "tmpfs"]
    answers = [judge_state_paths(container, in_memory)] if in_memory else []
    try:
        if isinstance(product, MayForget):
            answers.append(
                judge_kept_by_stop(f"{host}: {container.name}", product.lost_by_stop(context.target(dependant, host)))
            )
        if made_anew:
            changes, ignored = read_changes(context, host, container.name), context.entry(dependant)
            outside = outside_of(product, container)
            answers.append(judge_writable_layer(container, changes, outside, ignored.ignore_writable_layer_because))
    except NotObservedError as error:
        return unknown(str(error))
    harmless = passed(say("{dependant}: its stop loses nothing that is known of", dependant=dependant))
    return next((answer for answer in answers if not answer.passed), answers[-1] if answers else harmless)


def ready(pointing: Pointing, dependant: str) -> Judgement:
    """Wait until a dependant is ready."""
    host = pointing.host_of(dependant)
    pointing.context.fleet.forget_facts(host)
    return health.judge_ready(pointing.context, dependant, host)


def works(pointing: Pointing) -> Judgement:
    """Judge whether each dependant is ready; without its provider, whose host is declared lost, none can be."""
    lost_hosts = pointing.context.scope.dead
    dead = [address.host for _, address in pointing.links if address.host in lost_hosts]
    dead += [
        pointing.host_of(dependant) for dependant in pointing.dependants if pointing.host_of(dependant) in lost_hosts
    ]
    if dead:
        return passed(
            say("whether the dependants work was not asked: {first_dead} is declared lost", first_dead=dead[0])
        )
    answers = {dependant: ready(pointing, dependant) for dependant in pointing.dependants}
    wrong = [
        say("{name}: {text}", name=name, text=answer.text) for name, answer in answers.items() if not answer.passed
    ]
    return (
        failed(joined("; ", wrong))
        if wrong
        else passed(
            say("{count} of {count} dependants are ready: {answers}", count=len(answers), answers=joined(", ", answers))
        )
    )


def used(pointing: Pointing) -> Judgement:
    """Judge whether each dependant works and is connected to the new address."""
    context = pointing.context
    seen_lines: list[str] = []
    for dependant in pointing.dependants:
        host = pointing.host_of(dependant)
        for answer in (ready(pointing, dependant), health.judge_smoke(context, dependant, host)):
            if not answer.passed:
                return Judgement(
                    answer.verdict,
                    say("{dependant} on {host}: {text}", dependant=dependant, host=host, text=answer.text),
                    details=answer.details,
                )
        seen_lines.append(say("{dependant} works", dependant=dependant))
    for link, address in pointing.links:
        seen = _connected(pointing, link, address)
        if not seen.passed:
            return seen
        seen_lines.append(seen.text)
    return passed(joined("; ", seen_lines), links=len(pointing.links))


def _connected(pointing: Pointing, link: Link, address: Address) -> Judgement:
    """Judge whether a dependant is connected to the new address, or connects to it while we look."""
    context, host, name = pointing.context, pointing.host_of(link.from_), pointing.context.entry(link.from_).container
    context.fleet.forget_facts(host)
    count = connections_to(context.facts(host), name, address.address, address.port)
    if count:
        return passed(
            say(
                "{link_name}: {count} connections to {address}",
                link_name=link_name(link),
                count=count,
                address=address.text(),
            )
        )
    context.waits(f"{link.from_} connects to {address.text()}", USED_S)
    opened = [
        one
        for one in watch_openings(context.fleet, host, name, address.port, seconds=USED_S, until=address.address)
        if one.target == address.address
    ]
    if opened:
        return passed(
            say(
                "{link_name}: connected to {address} while it was watched",
                link_name=link_name(link),
                address=address.text(),
            )
        )
    return unknown(
        say(
            "{link_name}: no connection to {address} within {used_s:.0f} s. Expected: one at least. What is rewritten "
            "may not be what {from_} uses, or it was idle: use it, then try again",
            link_name=link_name(link),
            address=address.text(),
            used_s=USED_S,
            from_=link.from_,
        )
    )


def unused(context: RunContext, relays: frozenset[Relay]) -> Judgement:
    """Judge whether no container connects through these relays: who uses a name that is not declared would lose it."""
    named = sorted(relay for relay in relays if relay.network != PUBLISHED_ONLY)
    users: list[str] = []
    for host in sorted({relay.host for relay in named}):
        context.fleet.forget_facts(host)
        users += users_of(
            context.facts(host), [(relay.network, relay.alias, relay.port) for relay in named if relay.host == host]
        )
    users = users or [user for relay in named for user in _users_while_watched(context, relay)]
    if users:
        return failed(
            say(
                "{user}, through a relay that would go. Expected: nobody uses it. Declare the link, or re-point it by "
                "hand",
                user=users[0],
            ),
            tuple(users),
        )
    return passed(
        say("nobody connected through {count} relays within {unused_s:.0f} s", count=len(named), unused_s=UNUSED_S)
    )


def _users_while_watched(context: RunContext, relay: Relay) -> list[str]:
    facts = context.facts(relay.host)
    container = relay_named(facts, relay.network, relay.alias)
    if container is None:
        return []
    context.waits(f"nobody uses {relay.alias}:{relay.port} on {relay.host}", UNUSED_S)
    opened = watch_openings(context.fleet, relay.host, container.name, relay.port, seconds=UNUSED_S)
    return [
        say(
            "{name} on {host}: connects to {alias}:{port}",
            name=name,
            host=relay.host,
            alias=relay.alias,
            port=relay.port,
        )
        for name in names_of(facts, relay.network, [one.source for one in opened])
    ]
