"""Who serves now: questions about a moved service as a whole, and the logs that tell why it does not."""

from __future__ import annotations

from typing import Final

from checks.source import kept_name
from engine.errors import BuriedError, CouldNotLookError
from engine.verdict import Judgement, failed, passed, unknown
from moves.asking import wait_until_passed
from moves.world import World

LOG_LINES: Final = 200
LOG_DEADLINE_S: Final = 20.0
DEPENDANT_DEADLINE_S: Final = 30.0


def judge_ready(world: World, service: str, host: str) -> Judgement:
    """Wait until the service can do its work on a host, up to its product's deadline."""
    product = world.product(service)
    world.waits(f"{service} on {host}", product.ready_deadline_s)
    try:
        return wait_until_passed(lambda: _ready_once(world, service, host), product.ready_deadline_s)
    except BuriedError as error:
        return unknown(str(error))  # no waiting brings it back


def _ready_once(world: World, service: str, host: str) -> Judgement:
    try:
        answer = world.product(service).ready(world.target(service, host))
    except BuriedError:
        raise
    except CouldNotLookError as error:
        world.fleet.forget_facts(host)
        return unknown(str(error))
    if not answer.passed:
        world.fleet.forget_facts(host)  # the next look sees whether it was restarted meanwhile
    return answer


def judge_smoke(world: World, service: str, host: str) -> Judgement:
    """Use the service's function through its published port."""
    nonce = f"longshore-{world.run.id[:8]}"
    return world.product(service).smoke(world.target(service, host, published=True), nonce)


def judge_source_serves(world: World, service: str) -> Judgement:
    """Judge whether the service does its work on its old host: ready, and its function works."""
    return _judge_serves(world, service, world.move_of(service).source)


def judge_target_serves(world: World, service: str) -> Judgement:
    """Judge whether the service does its work on its new host: ready, and its function works."""
    return _judge_serves(world, service, world.move_of(service).target)


def _judge_serves(world: World, service: str, host: str) -> Judgement:
    ready = judge_ready(world, service, host)
    if not ready.passed:
        return Judgement(ready.verdict, f"{service} on {host}: {ready.text}", details=ready.details)
    smoke = judge_smoke(world, service, host)
    text = f"{service} serves on {host}: {ready.text}; {smoke.text}"
    return Judgement(smoke.verdict, text, smoke.measured, smoke.details)


def judge_dependants(world: World, service: str) -> Judgement:
    """Judge whether each dependant does its work, wherever it is now."""
    links = world.scope.dependants_of(service)
    where = world.where()
    answers = [(link, judge_ready(world, link.from_, where[link.from_])) for link in links]
    wrong = [f"{link.from_} on {where[link.from_]}: {answer.text}" for link, answer in answers if not answer.passed]
    if wrong:
        return failed("; ".join(wrong))
    if not answers:
        return unknown(f"no dependant of {service} is known here, so none was asked")
    told = ", ".join(f"{link.from_} on {where[link.from_]} (as {link.name}:{link.port})" for link, _ in answers)
    return passed(f"{len(answers)} of {len(answers)} dependants answer: {told}", dependants=len(answers))


def judge_done(world: World, service: str) -> Judgement:
    """Judge whether a move that the journal calls done still holds: target runs, source is kept and stopped."""
    move, name = world.move_of(service), world.entry(service).container
    target = world.facts(move.target).container(name)
    kept = world.facts(move.source).container(kept_name(name))
    if target is None or not target.running:
        return failed(f"{move.target}: container {name} is {target.state if target else 'not there'}; expected running")
    if kept is None or kept.running:
        return failed(f"{move.source}: container {kept_name(name)} is {kept.state if kept else 'not there'}; expected kept and stopped")
    return passed(f"{name} runs on {move.target}; {kept_name(name)} is kept and stopped on {move.source}")


def collect_logs(world: World, service: str, reason: str) -> None:
    """Write the last log lines of the service's containers on both sides into the journal."""
    move, name = world.move_of(service), world.entry(service).container
    for host in (move.target, move.source):
        try:
            answer = world.fleet[host].run(["docker", "logs", "--tail", str(LOG_LINES), name], timeout_s=LOG_DEADLINE_S)
            lines = (answer.text + answer.error_text).splitlines()
        except CouldNotLookError as error:
            lines = [f"could not read: {error}"]
        body = {"service": service, "host": host, "title": f"{name} on {host}, before the undo: {reason[:200]}", "lines": lines}
        world.run.record("log", service=service, body=body)
