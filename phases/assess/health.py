"""Who serves now: questions about a moved service as a whole, and the logs that tell why it does not."""

from __future__ import annotations

from collections.abc import Callable
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
from services.fingerprints.compare import compare_fingerprints

LOG_LINES: Final = 200
LOG_DEADLINE_S: Final = 20.0
POLICY_OF_SOURCE: Final = ("disable-restart",)
POLICY_OF_TARGET: Final = ("commit", "stop-moved")
"""The deeds whose notes hold the restart policy that a container must have again."""


def judge_ready(world: RunContext, service: str, host: str) -> Judgement:
    """Wait until the service can do its work on a host, up to its product's deadline."""
    return _judge_ready(world, service, host, lambda: _ready_once(world, service, host))


def _judge_ready(world: RunContext, service: str, host: str, question: Callable[[], Judgement]) -> Judgement:
    product = world.product(service)
    world.waits(f"{service} on {host}", product.ready_deadline_s)
    try:
        answer = wait_until_passed(question, product.ready_deadline_s)
    except HostLostError as error:
        return unknown(str(error))  # no waiting brings it back
    except _HostSilentError as silent:
        return silent.answer
    return _seen(world, service, host, answer) if answer.verdict is Verdict.UNKNOWN else answer


def _seen(world: RunContext, service: str, host: str, answer: Judgement) -> Judgement:
    """Return the answer of a service that said nothing: its host answers, so it was looked at and is not ready; else
    nobody could look.
    """
    world.fleet.forget_facts(host)
    try:
        facts = world.facts(host)
        container = facts.container(world.entry(service).container) if facts.docker_version else None
    except NotObservedError:
        return answer
    if not facts.docker_version:
        return answer
    state = container.state if container else "not there"
    return failed(
        (
            f"{answer.text}; {host} answers, and {world.entry(service).container} is {state} there. Expected: "
            "running and ready"
        ),
        answer.details,
    )


def _ready_once(world: RunContext, service: str, host: str) -> Judgement:
    try:
        answer = world.product(service).ready(world.target(service, host))
    except HostLostError:
        raise
    except NotObservedError as error:
        world.fleet.forget_facts(host)
        return unknown(str(error))
    if not answer.passed:
        world.fleet.forget_facts(host)  # the next look sees whether it was restarted meanwhile
    return answer


class _HostSilentError(Exception):
    """The host itself does not answer; `answer` is what its service was asked."""

    def __init__(self, answer: Judgement) -> None:
        super().__init__(answer.text)
        self.answer = answer


def _ready_while_host_answers(world: RunContext, service: str, host: str) -> Judgement:
    """Ask once; raises when not even the host answers."""
    answer = _ready_once(world, service, host)
    if answer.verdict is Verdict.UNKNOWN:
        try:
            world.facts(host)
        except HostLostError:
            raise
        except NotObservedError:
            raise _HostSilentError(answer) from None
        world.fleet.forget_facts(host)
    return answer


def judge_serves_now(world: RunContext, service: str) -> Judgement:
    """Judge before a move whether the service does its work on its old host.

    A service that starts is waited for. A host that does not answer is not: nothing restarts it now.
    """
    host = world.move_of(service).source
    ready = _judge_ready(world, service, host, lambda: _ready_while_host_answers(world, service, host))
    return _judge_smoke_after(world, service, host, ready)


def judge_smoke(world: RunContext, service: str, host: str) -> Judgement:
    """Use the service's function through its published port."""
    nonce = f"longshore-{world.run.id[:8]}"
    return world.product(service).smoke(world.target(service, host, published=True), nonce)


def judge_source_serves(world: RunContext, service: str) -> Judgement:
    """Judge whether the service does its work on its old host: ready, and its function works."""
    return _judge_serves(world, service, world.move_of(service).source)


def _judge_serves(world: RunContext, service: str, host: str) -> Judgement:
    return _judge_smoke_after(world, service, host, judge_ready(world, service, host))


def _judge_smoke_after(world: RunContext, service: str, host: str, ready: Judgement) -> Judgement:
    if not ready.passed:
        return Judgement(ready.verdict, f"{service} on {host}: {ready.text}", details=ready.details)
    smoke = judge_smoke(world, service, host)
    text = f"{service} serves on {host}: {ready.text}; {smoke.text}"
    return Judgement(smoke.verdict, text, smoke.measured, smoke.details)


def judge_serves_again(world: RunContext, service: str, host: str, moment: str, policies: tuple[str, ...]) -> Judgement:
    """Judge whether a service serves on a host as it did before it was stopped there: it works, it restarts by itself,
    and it holds what it held.

    `moment` is the reading that was made of it before its stop, `policies` are the deeds that noted its restart policy.
    """
    serves = _judge_serves(world, service, host)
    if not serves.passed:
        return serves
    policy = _judge_policy(world, service, host, policies)
    if not policy.passed:
        return Judgement(policy.verdict, f"{serves.text}; {policy.text}")
    holds = _judge_holds(world, service, host, moment)
    return Judgement(
        holds.verdict,
        f"{serves.text}; {policy.text}; {holds.text}",
        {**serves.measured, **holds.measured},
        holds.details,
    )


def _judge_policy(world: RunContext, service: str, host: str, keys: tuple[str, ...]) -> Judgement:
    """Judge whether its container has the restart policy that was noted before a deed changed it."""
    began = attempt_began(world.journal, service)
    records = [
        one
        for one in world.journal.records(kind=(RecordKind.INTENT, RecordKind.NOTE, RecordKind.OUTCOME), service=service)
        if one.key in keys and one.seq > began
    ]
    noted = [policy for one in records if (policy := (one.body.get("note") or {}).get("restart_policy"))]
    if not records:
        return passed("its restart policy was not changed")
    name = world.entry(service).container
    inspect = inspect_container(world.fleet, host, name)
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


def _judge_holds(world: RunContext, service: str, host: str, moment: str) -> Judgement:
    """Judge whether it holds what was read of it before it was stopped; clients write again, so what lasts is compared,
    and nothing is empty.
    """
    before = world.recorded_fingerprint(service, moment)
    if before is None:
        return passed("what it held was not read before it was stopped, so it is not compared")
    now = world.product(service).fingerprint(world.target(service, host), since=before)
    emptied = [
        f"{name}: {part.count:,} before its stop, now {'not there' if name not in now.parts else 'nothing'}"
        for name, part in before.parts.items()
        if part.count and not (name in now.parts and now.parts[name].count)
    ]
    if emptied:
        return failed(
            f"{service} on {host} lost data by its stop: {'; '.join(emptied[:3])}. Expected: what it held before. "
            f"Restore its newest backup, and look why it does not keep its data: ssh {host} docker logs --tail 50 "
            f"{world.entry(service).container}",
            tuple(emptied),
        )
    if not any(part.holds is Validity.SINCE_CUTOVER for part in before.parts.values()):
        return passed(
            f"none of its {len(before.parts)} parts is empty; their content is not compared, clients write to it"
        )
    return compare_fingerprints(before, now, frozenset({Validity.SINCE_CUTOVER}))


def judge_dependants(world: RunContext, service: str) -> Judgement:
    """Judge whether each dependant does its work, wherever it is now."""
    links = world.scope.dependants_of(service)
    where = world.where()
    answers = [(link, judge_ready(world, link.from_, where[link.from_])) for link in links]
    wrong = [f"{link.from_} on {where[link.from_]}: {answer.text}" for link, answer in answers if not answer.passed]
    if wrong:
        seen = any(answer.verdict is Verdict.FAILED for _, answer in answers)
        return failed("; ".join(wrong)) if seen else unknown("; ".join(wrong))
    if not answers:
        return unknown(f"no dependant of {service} is known here, so none was asked")
    told = ", ".join(f"{link.from_} on {where[link.from_]} (as {link.name}:{link.port})" for link, _ in answers)
    return passed(f"{len(answers)} of {len(answers)} dependants answer: {told}", dependants=len(answers))


def judge_done(world: RunContext, service: str) -> Judgement:
    """Judge whether a move that the journal calls done still holds: target runs, source is kept and stopped."""
    move, name = world.move_of(service), world.entry(service).container
    silent = [host for host in (move.target, move.source) if not world.facts(host).docker_version]
    if silent:
        return unknown(
            f"{silent[0]}: Docker does not answer, so {name} could not be seen. Try: ssh {silent[0]} docker ps -a"
        )
    target = world.facts(move.target).container(name)
    kept = world.facts(move.source).container(kept_name(name))
    if target is None or not target.running:
        return failed(f"{move.target}: container {name} is {target.state if target else 'not there'}; expected running")
    if kept is None or kept.running:
        return failed(
            f"{move.source}: container {kept_name(name)} is {kept.state if kept else 'not there'}; expected "
            "kept and stopped"
        )
    return passed(f"{name} runs on {move.target}; {kept_name(name)} is kept and stopped on {move.source}")


def collect_logs(world: RunContext, service: str, reason: str) -> None:
    """Write the last log lines of the service's containers on both sides into the journal."""
    move, name = world.move_of(service), world.entry(service).container
    for host in (move.target, move.source):
        try:
            answer = world.fleet[host].run(["docker", "logs", "--tail", str(LOG_LINES), name], timeout_s=LOG_DEADLINE_S)
            lines = (answer.text + answer.error_text).splitlines()
        except NotObservedError as error:
            lines = [f"could not read: {error}"]
        body = {
            "service": service,
            "host": host,
            "title": f"{name} on {host}, before the undo: {reason[:200]}",
            "lines": lines,
        }
        world.run.record(RecordKind.CONTAINER_LOG, service=service, body=body)
