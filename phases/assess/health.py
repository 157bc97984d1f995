"""Who serves now: questions about a moved service as a whole, and the logs that tell why it does not."""

from __future__ import annotations

from typing import Final

from actions.common.route import inspect_container
from actions.container_spec.identity import policy_of, policy_word
from engine.container_names import kept_name
from engine.contracts.fingerprint import Validity
from engine.errors import HostLostError, NotObservedError
from engine.journal.kinds import RecordKind
from engine.polling import wait_until_passed
from engine.verdict import Judgement, Verdict, failed, passed, unknown
from phases.context.attempt import attempt_began
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove
from services.fingerprints.compare import compare_fingerprints

LOG_LINES: Final = 200
LOG_DEADLINE_S: Final = 20.0
POLICY_OF_SOURCE: Final = ("disable-restart",)
POLICY_OF_TARGET: Final = ("commit", "stop-moved")
"""The deeds whose notes hold the restart policy that a container must have again."""


def judge_ready(context: RunContext, service: str, host: str) -> Judgement:
    """Wait until the service can do its work on a host, up to its product's deadline."""
    product = context.product(service)
    context.waits(f"{service} on {host}", product.ready_deadline_s)
    try:
        answer = wait_until_passed(lambda: _ready_once(context, service, host), product.ready_deadline_s)
    except HostLostError as error:
        return unknown(str(error))  # no waiting brings it back
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
    state = container.state if container else "not there"
    return failed(
        (
            f"{answer.text}; {host} answers, and {context.entry(service).container} is {state} there. Expected: "
            "running and ready"
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


def judge_smoke(context: RunContext, service: str, host: str) -> Judgement:
    """Use the service's function through its published port."""
    nonce = f"longshore-{context.run.id[:8]}"
    return context.product(service).smoke(context.target(service, host, published=True), nonce)


def judge_source_serves(move: ServiceMove) -> Judgement:
    """Judge whether the service does its work on its old host: ready, and its function works."""
    return _judge_serves(move, move.source)


def _judge_serves(move: ServiceMove, host: str) -> Judgement:
    ready = judge_ready(move.context, move.service, host)
    if not ready.passed:
        return Judgement(ready.verdict, f"{move.service} on {host}: {ready.text}", details=ready.details)
    smoke = judge_smoke(move.context, move.service, host)
    text = f"{move.service} serves on {host}: {ready.text}; {smoke.text}"
    return Judgement(smoke.verdict, text, smoke.measured, smoke.details)


def judge_serves_again(move: ServiceMove, host: str, moment: str, policies: tuple[str, ...]) -> Judgement:
    """Judge whether a service serves on a host as it did before it was stopped there: it works, it restarts by itself,
    and it holds what it held.

    `moment` is the reading that was made of it before its stop, `policies` are the deeds that noted its restart policy.
    """
    serves = _judge_serves(move, host)
    if not serves.passed:
        return serves
    policy = _judge_policy(move, host, policies)
    if not policy.passed:
        return Judgement(policy.verdict, f"{serves.text}; {policy.text}")
    holds = _judge_holds(move, host, moment)
    return Judgement(
        holds.verdict,
        f"{serves.text}; {policy.text}; {holds.text}",
        {**serves.measured, **holds.measured},
        holds.details,
    )


def _judge_policy(move: ServiceMove, host: str, keys: tuple[str, ...]) -> Judgement:
    """Judge whether its container has the restart policy that was noted before a deed changed it."""
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
        return passed("its restart policy was not changed")
    name = move.entry.container
    inspect = inspect_container(move.context.fleet, host, name)
    seen = policy_word(policy_of(inspect)) if inspect else "not to be seen"
    if not noted:
        return unknown(
            f"its restart policy is {seen}; what it was is not on record. Look: ssh {host} docker inspect {name}"
        )
    wanted = policy_word(noted[-1])
    if seen != wanted:
        return failed(
            f"{host}: its restart policy is {seen}. Expected: {wanted}, as it was. Try: ssh {host} docker "
            f"update --restart {wanted} {name}"
        )
    return passed(f"restart policy {seen}")


def _judge_holds(move: ServiceMove, host: str, moment: str) -> Judgement:
    """Judge whether it holds what was read of it before it was stopped; clients write again, so what lasts is compared,
    and nothing is empty.
    """
    before = move.recorded_fingerprint(moment)
    if before is None:
        return passed("what it held was not read before it was stopped, so it is not compared")
    now = move.fingerprint(host, since=before)
    emptied = [
        f"{name}: {part.count:,} before its stop, now {'not there' if name not in now.parts else 'nothing'}"
        for name, part in before.parts.items()
        if part.count and not (name in now.parts and now.parts[name].count)
    ]
    if emptied:
        return failed(
            f"{move.service} on {host} lost data by its stop: {'; '.join(emptied[:3])}. Expected: what it held before. "
            f"Restore its newest backup, and look why it does not keep its data: ssh {host} docker logs --tail 50 "
            f"{move.entry.container}",
            tuple(emptied),
        )
    if not any(part.holds is Validity.SINCE_CUTOVER for part in before.parts.values()):
        return passed(
            f"none of its {len(before.parts)} parts is empty; their content is not compared, clients write to it"
        )
    return compare_fingerprints(before, now, frozenset({Validity.SINCE_CUTOVER}))


def judge_dependants(move: ServiceMove) -> Judgement:
    """Judge whether each dependant does its work, wherever it is now."""
    links = move.context.scope.dependants_of(move.service)
    where = move.context.where()
    answers = [(link, judge_ready(move.context, link.from_, where[link.from_])) for link in links]
    wrong = [f"{link.from_} on {where[link.from_]}: {answer.text}" for link, answer in answers if not answer.passed]
    if wrong:
        seen = any(answer.verdict is Verdict.FAILED for _, answer in answers)
        return failed("; ".join(wrong)) if seen else unknown("; ".join(wrong))
    if not answers:
        return unknown(f"no dependant of {move.service} is known here, so none was asked")
    told = ", ".join(f"{link.from_} on {where[link.from_]} (as {link.name}:{link.port})" for link, _ in answers)
    return passed(f"{len(answers)} of {len(answers)} dependants answer: {told}", dependants=len(answers))


def judge_done(move: ServiceMove) -> Judgement:
    """Judge whether a move that the journal calls done still holds: target runs, source is kept and stopped."""
    name = move.entry.container
    silent = [host for host in (move.target, move.source) if not move.context.facts(host).docker_version]
    if silent:
        return unknown(
            f"{silent[0]}: Docker does not answer, so {name} could not be seen. Try: ssh {silent[0]} docker ps -a"
        )
    target = move.target_facts().container(name)
    kept = move.source_facts().container(kept_name(name))
    if target is None or not target.running:
        return failed(f"{move.target}: container {name} is {target.state if target else 'not there'}; expected running")
    if kept is None or kept.running:
        return failed(
            f"{move.source}: container {kept_name(name)} is {kept.state if kept else 'not there'}; expected "
            "kept and stopped"
        )
    return passed(f"{name} runs on {move.target}; {kept_name(name)} is kept and stopped on {move.source}")


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
            lines = [f"could not read: {error}"]
        body = {
            "service": move.service,
            "host": host,
            "title": f"{name} on {host}, before the undo: {reason[:200]}",
            "lines": lines,
        }
        move.context.run.record(RecordKind.CONTAINER_LOG, service=move.service, body=body)
