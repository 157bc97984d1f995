"""The hosts on which relays run, or may run, in a run: each is locked, looked at and judged like those of the
moves.
"""

from __future__ import annotations

from dataclasses import replace

from actions.relays.planning import hosts_of_relays
from engine.config.scope import Scope
from engine.errors import NotObservedError
from engine.finding import joined, say
from engine.journal.journal import Journal
from engine.verdict import Judgement, failed, passed, unknown
from phases.context.run_context import RunContext, where_now
from phases.context.service_move import ServiceMove


def with_relay_hosts(scope: Scope, journal: Journal | None) -> Scope:
    """Return the scope with every host on which an end of a relay is wanted now, or will be while its moves go forward
    or back.

    One without identity can't be opened: preflight reports it, and no relay is planned there.
    """
    found = hosts_of_relays(scope, where_now(scope, journal), {move.service for move in scope.moves})
    hosts = dict.fromkeys((*scope.hosts, *(host for host in found if host in scope.environment.hosts)))
    return replace(scope, hosts=tuple(hosts))


def judge_relay_hosts(move: ServiceMove) -> Judgement:
    """Judge whether every host with an end of a relay, once the service has moved or gone back, has an identity and
    answers.
    """
    context, scope, name, service = move.context, move.context.scope, move.environment, move.service
    hosts = hosts_of_relays(scope, context.where(), {service})
    strangers = [host for host in hosts if host not in scope.environment.hosts]
    if strangers:
        whose = {
            host: joined(", ", sorted((one for one, where in context.where().items() if where == host)))
            for host in strangers
        }
        lines = tuple(
            say(
                "{host} ({whose}) has no identity in environments/{name}.yaml",
                host=host,
                whose=whose[host] or say("a planned place"),
                name=name,
            )
            for host in strangers
        )
        return failed(
            say(
                "{service}: {strangers_count} of {hosts_count} hosts with relays can't be used: {first_line}. "
                "Expected: each is pinned, for relays are set and taken away there. Try: {command}",
                service=service,
                strangers_count=len(strangers),
                hosts_count=len(hosts),
                first_line=lines[0],
                command=context.scope.command("pin"),
            ),
            lines,
        )
    silent = {host: error for host in hosts if (error := _silence_of(context, host))}
    if silent:
        first = next(iter(silent))
        return unknown(
            say(
                "{service}: {silent_count} of {hosts_count} hosts with relays do not answer: {silent} Expected: an "
                "answer, for relays are set and taken away there. Try: ssh {first} docker version",
                service=service,
                silent_count=len(silent),
                hosts_count=len(hosts),
                silent=silent[first],
                first=first,
            ),
            tuple(silent.values()),
        )
    return passed(
        say(
            "{service}: all {count} hosts with relays answer: {hosts}",
            service=service,
            count=len(hosts),
            hosts=", ".join(hosts) or say("none"),
        ),
        hosts,
        hosts=len(hosts),
    )


def _silence_of(context: RunContext, host: str) -> str:
    try:
        context.facts(host).need_docker()
    except NotObservedError as error:
        return str(error)
    return ""
