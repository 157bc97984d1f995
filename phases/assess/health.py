"""Who serves now: questions about a moved service as a whole, and the logs that show why it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from actions.common.route import inspect_container
from actions.container_spec.identity import policy_of, policy_word
from engine.container_names import kept_name
from engine.contracts.fingerprint import Validity
from engine.errors import HostLostError, NotObservedError
from engine.finding import first_line, joined, recorded, say
from engine.journal.kinds import RecordKind
from engine.polling import quick_polling
from engine.verdict import Judgement, Verdict, failed, passed, unknown
from phases.context.attempt import attempt_began
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove
from services.fingerprints.compare import compare_fingerprints

LOG_LINES: Final = 200
LOG_DEADLINE_S: Final = 20.0
POLICY_OF_SOURCE: Final = ("disable-restart",)
POLICY_OF_TARGET: Final = ("commit", "stop-moved")
"""The actions whose notes hold the restart policy that a container must have again."""


def judge_ready(context: RunContext, service: str, host: str) -> Judgement:
    """Wait until the service can do its work on a host, up to its product's deadline."""
    return _judge_ready(context, service, host, lambda: _ready_once(context, service, host))


def _judge_ready(context: RunContext, service: str, host: str, question: Callable[[], Judgement]) -> Judgement:
    wait = quick_polling(f"{service} on {host}", context.product(service).ready_deadline_s, report=context.waits)
    try:
        answer = wait.judge_in_time(question)
    except HostLostError as error:
        return unknown(str(error))  # no waiting brings it back
    except _HostSilentError as silent:
        return silent.answer
    return _seen(context, service, host, answer) if answer.verdict is Verdict.UNKNOWN else answer


def _seen(context: RunContext, service: str, host: str, answer: Judgement) -> Judgement:
    """Return the answer of a service that said nothing: its host answers, so it was looked at and is not ready; else
    nobody could look.
    """
    context.fleet.forget_facts(host)
    try:
        facts = context.facts(host)
        container = facts.container(context.entry(service).container) if facts.docker_version else None
    except NotObservedError:
        return answer
    if not facts.docker_version:
        return answer
    state = container.state if container else say("not there")
    return failed(
        say(
            "{text}; {host} answers, and {container} is {state} there. Expected: running and ready",
            text=answer.text,
            host=host,
            container=context.entry(service).container,
            state=state,
        ),
        answer.details,
    )


def _ready_once(context: RunContext, service: str, host: str) -> Judgement:
    try:
        answer = context.product(service).ready(context.target(service, host))
    except HostLostError:
        raise
    except NotObservedError as error:
        context.fleet.forget_facts(host)
        return unknown(str(error))
    if not answer.passed:
        context.fleet.forget_facts(host)  # the next look sees whether it was restarted meanwhile
    return answer


class _HostSilentError(Exception):
    """The host itself does not answer; `answer` is what its service was asked."""

    def __init__(self, answer: Judgement) -> None:
        super().__init__(answer.text)
        self.answer = answer


def _ready_while_host_answers(context: RunContext, service: str, host: str) -> Judgement:
    """Ask once; raises when not even the host answers."""
    answer = _ready_once(context, service, host)
    if answer.verdict is Verdict.UNKNOWN:
        try:
            context.facts(host)
        except HostLostError:
            raise
        except NotObservedError:
            raise _HostSilentError(answer) from None
        context.fleet.forget_facts(host)
    return answer


def judge_serves_now(move: ServiceMove) -> Judgement:
    """Judge before a move whether the service does its work on its old host.

    A service that starts is waited for. A host that does not answer is not: nothing restarts it now.
    """
    context, service, host = move.context, move.service, move.source
    ready = _judge_ready(context, service, host, lambda: _ready_while_host_answers(context, service, host))
    return _judge_smoke_after(move, host, ready)


def judge_smoke(context: RunContext, service: str, host: str) -> Judgement:
    """Use the service's function through its published port."""
    nonce = f"longshore-{context.run.id[:8]}"
    return context.product(service).smoke(context.target(service, host, published=True), nonce)


def judge_source_serves(move: ServiceMove) -> Judgement:
    """Judge whether the service does its work on its old host: ready, and its function works."""
    return _judge_serves(move, move.source)


def _judge_serves(move: ServiceMove, host: str) -> Judgement:
    return _judge_smoke_after(move, host, judge_ready(move.context, move.service, host))


def _judge_smoke_after(move: ServiceMove, host: str, ready: Judgement) -> Judgement:
    if not ready.passed:
        return Judgement(
            ready.verdict,
            say("{service} on {host}: {text}", service=move.service, host=host, text=ready.text),
            details=ready.details,
        )
    smoke = judge_smoke(move.context, move.service, host)
    text = say(
        "{service} serves on {host}: {ready_text}; {smoke_text}",
        service=move.service,
        host=host,
        ready_text=ready.text,
        smoke_text=smoke.text,
    )
    return Judgement(smoke.verdict, text, smoke.measured, smoke.details)


def judge_serves_again(move: ServiceMove, host: str, moment: str, policies: tuple[str, ...]) -> Judgement:
    """Judge whether a service serves on a host as it did before it was stopped there: it works, it restarts
    automatically, and it holds what it held.

    `moment` is the reading that was made of it before its stop, `policies` are the actions that noted its restart
    policy.
    """
    serves = _judge_serves(move, host)
    if not serves.passed:
        return serves
    policy = _judge_policy(move, host, policies)
    if not policy.passed:
        return Judgement(
            policy.verdict, say("{serves_text}; {policy_text}", serves_text=serves.text, policy_text=policy.text)
        )
    holds = _judge_holds(move, host, moment)
    return Judgement(
        holds.verdict,
        say(
            "{serves_text}; {policy_text}; {holds_text}",
            serves_text=serves.text,
            policy_text=policy.text,
            holds_text=holds.text,
        ),
        {**serves.measured, **holds.measured},
        holds.details,
    )


def _judge_policy(move: ServiceMove, host: str, keys: tuple[str, ...]) -> Judgement:
    """Judge whether its container has the restart policy that was noted before an action changed it."""
    began = attempt_began(move.context.journal, move.service)
    records = [
        one
        for one in move.context.journal.records(
            kind=(RecordKind.INTENT, RecordKind.NOTE, RecordKind.OUTCOME), service=move.service
        )
        if one.key in keys and one.seq > began
    ]
    noted = [policy for one in records if (policy := (one.body.get("note") or {}).get("restart_policy"))]
    if not records:
        return passed(say("its restart policy was not changed"))
    name = move.entry.container
    inspect = inspect_container(move.context.fleet, host, name)
    seen = policy_word(policy_of(inspect)) if inspect else say("not to be seen")
    if not noted:
        return unknown(
            say(
                "its restart policy is {seen}; what it was is not on record. Look: ssh {host} docker inspect {name}",
                seen=seen,
                host=host,
                name=name,
            )
        )
    wanted = policy_word(noted[-1])
    if seen != wanted:
        return failed(
            say(
                "{host}: its restart policy is {seen}. Expected: {wanted}, as it was. Try: ssh {host} docker update "
                "--restart {wanted} {name}",
                host=host,
                seen=seen,
                wanted=wanted,
                name=name,
            )
        )
    return passed(say("restart policy {seen}", seen=seen))


def _judge_holds(move: ServiceMove, host: str, moment: str) -> Judgement:
    """Judge whether it holds what was read of it before it was stopped; clients write again, so what lasts is compared,
    and nothing is empty.
    """
    before = move.recorded_fingerprint(moment)
    if before is None:
        return passed(say("what it held was not read before it was stopped, so it is not compared"))
    now = move.fingerprint(host, since=before)
    emptied = [
        say(
            "{name}: {count:,} before its stop, now {now}",
            name=name,
            count=part.count,
            now=say("not there") if name not in now.parts else say("nothing"),
        )
        for name, part in before.parts.items()
        if part.count and not (name in now.parts and now.parts[name].count)
    ]
    if emptied:
        return failed(
            say(
                "{service} on {host} lost data by its stop: {emptied}. Expected: what it held before. Restore its "
                "newest backup, and look why it does not keep its data: ssh {host} docker logs --tail 50 {container}",
                service=move.service,
                host=host,
                emptied="; ".join(emptied[:3]),
                container=move.entry.container,
            ),
            tuple(emptied),
        )
    if not any(part.holds is Validity.SINCE_CUTOVER for part in before.parts.values()):
        return passed(
            say(
                "none of its {count} parts is empty; their content is not compared, clients write to it",
                count=len(before.parts),
            )
        )
    return compare_fingerprints(before, now, frozenset({Validity.SINCE_CUTOVER}))


def judge_dependants(move: ServiceMove) -> Judgement:
    """Judge whether each dependant does its work, wherever it is now."""
    links = move.context.scope.dependants_of(move.service)
    where = move.context.where()
    answers = [(link, judge_ready(move.context, link.from_, where[link.from_])) for link in links]
    wrong = [
        say("{from_} on {where}: {text}", from_=link.from_, where=where[link.from_], text=answer.text)
        for link, answer in answers
        if not answer.passed
    ]
    if wrong:
        seen = any(answer.verdict is Verdict.FAILED for _, answer in answers)
        return failed(joined("; ", wrong)) if seen else unknown(joined("; ", wrong))
    if not answers:
        return unknown(say("no dependant of {service} is known here, so none was asked", service=move.service))
    answered = joined(
        ", ",
        (
            say(
                "{from_} on {where} (as {name}:{port})",
                from_=link.from_,
                where=where[link.from_],
                name=link.name,
                port=link.port,
            )
            for link, _ in answers
        ),
    )
    return passed(
        say("{count} of {count} dependants answer: {answered}", count=len(answers), answered=answered),
        dependants=len(answers),
    )


def judge_done(move: ServiceMove) -> Judgement:
    """Judge whether a move that the journal calls done still holds: target runs, source is kept and stopped."""
    name = move.entry.container
    silent = [host for host in (move.target, move.source) if not move.context.facts(host).docker_version]
    if silent:
        return unknown(
            say(
                "{first_silent}: Docker does not answer, so {name} could not be seen. Try: ssh {first_silent} docker "
                "ps -a",
                first_silent=silent[0],
                name=name,
            )
        )
    target = move.target_facts().container(name)
    kept = move.source_facts().container(kept_name(name))
    if target is None or not target.running:
        return failed(
            say(
                "{target}: container {name} is {state}; expected running",
                target=move.target,
                name=name,
                state=target.state if target else say("not there"),
            )
        )
    if kept is None or kept.running:
        return failed(
            say(
                "{source}: container {kept_name} is {state}; expected kept and stopped",
                source=move.source,
                kept_name=kept_name(name),
                state=kept.state if kept else say("not there"),
            )
        )
    return passed(
        say(
            "{name} runs on {target}; {kept_name} is kept and stopped on {source}",
            name=name,
            target=move.target,
            kept_name=kept_name(name),
            source=move.source,
        )
    )


def collect_logs(move: ServiceMove, reason: str) -> None:
    """Write the last log lines of the service's containers on both sides into the journal."""
    name = move.entry.container
    for host in (move.target, move.source):
        try:
            answer = move.context.fleet[host].run(
                ["docker", "logs", "--tail", str(LOG_LINES), name], timeout_s=LOG_DEADLINE_S
            )
            lines = (answer.text + answer.error_text).splitlines()
        except NotObservedError as error:
            lines = [say("could not read: {error}", error=error)]
        title = say("{name} on {host}, before the undo: {reason}", name=name, host=host, reason=first_line(reason, 200))
        body = {"service": move.service, "host": host, "title": title, **recorded(title), "lines": lines}
        move.context.run.record(RecordKind.CONTAINER_LOG, service=move.service, body=body)
