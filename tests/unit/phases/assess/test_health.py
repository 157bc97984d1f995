"""Services are asked side by side, and each answer, a refusal to look too, is that of its own service."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import HostLostError, UnreachableError
from engine.redaction.redactor import Redactor, Secret
from engine.verdict import Judgement, Verdict, failed, passed
from phases.assess import health, readiness
from phases.session.prefetch import MOST_AT_ONCE, Prefetch

NAMES = ("n8n", "postgres", "redis", "minio")


def test_all_are_asked_in_parallel_and_reported_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """All four are asked before any has answered; what one raises is raised in its own row, each time."""
    together = threading.Barrier(MOST_AT_ONCE, timeout=10)
    asked = []

    def answer(service: str) -> Judgement:
        together.wait()
        asked.append(service)
        if service == "redis":
            raise UnreachableError("wf005: no answer")
        return failed("not ready") if service == "minio" else passed(f"{service} serves")

    monkeypatch.setattr(health, "judge_serves_now", answer)
    monkeypatch.setattr(readiness, "judge_state", lambda service: (passed(f"{service} on mounts"),))
    itself: Any = str
    sources = Prefetch(itself)
    sources.ask(NAMES)

    assert sources.serves("postgres").text == "postgres serves"
    assert sources.serves("minio").text == "not ready"
    for _ in range(2):
        with pytest.raises(UnreachableError, match="wf005: no answer"):
            sources.serves("redis")
    assert sources.state("n8n")[0].text == "n8n on mounts"
    sources.end()
    assert sorted(asked) == sorted(NAMES)


def test_no_secret_is_lost_that_is_learnt_side_by_side() -> None:
    """Eight threads register secrets at once; each of them is redacted afterwards."""
    redactor = Redactor()
    secrets = [f"secret-{number:05}-word" for number in range(400)]
    start = threading.Barrier(8, timeout=10)

    def learn(part: list[str]) -> None:
        start.wait()
        for secret in part:
            redactor.register(Secret(secret))

    threads = [threading.Thread(target=learn, args=(secrets[number::8],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    text = redactor.known(" ".join(secrets))
    assert not [secret for secret in secrets if secret in text]


def test_a_dead_host_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person said that it is dead: the answer is UNKNOWN at once, not after the product's deadline."""

    def not_asked(*_args: Any) -> Any:
        raise HostLostError("wf001: not asked: declared lost (its disk burnt)")

    product = SimpleNamespace(ready_deadline_s=600.0, ready=lambda _target: passed("ready"))
    context: Any = SimpleNamespace(
        product=lambda _service: product, target=not_asked, waits=lambda _what, _deadline_s: None
    )

    answer = health.judge_ready(context, "redis", "wf001")

    assert (answer.verdict, answer.text) == (Verdict.UNKNOWN, "wf001: not asked: declared lost (its disk burnt)")


@pytest.mark.parametrize(
    ("docker", "verdict"),
    [("27.0", Verdict.FAILED), ("", Verdict.UNKNOWN), (None, Verdict.UNKNOWN)],
    ids=["host answers", "engine is silent", "host is silent"],
)
def test_a_silent_service_on_a_host_that_answers_is_not_ready(docker: str | None, verdict: Verdict) -> None:
    """Its container exited, say: that was seen, so the move is undone. Only when nobody could look is nothing known."""

    def target(*_args: Any) -> Any:
        raise UnreachableError("redis on wf001: no answer")

    def facts(_host: str) -> Any:
        if docker is None:
            raise UnreachableError("wf001: no answer")
        return SimpleNamespace(docker_version=docker, container=lambda _name: SimpleNamespace(state="exited"))

    product = SimpleNamespace(ready_deadline_s=0.0, ready=lambda _target: passed("ready"))
    context: Any = SimpleNamespace(
        product=lambda _service: product,
        target=target,
        waits=lambda _what, _deadline_s: None,
        facts=facts,
        fleet=SimpleNamespace(forget_facts=lambda _host: None),
        entry=lambda _service: SimpleNamespace(container="redis"),
    )

    answer = health.judge_ready(context, "redis", "wf001")

    assert answer.verdict is verdict
    assert ("redis is exited there" in answer.text) is (verdict is Verdict.FAILED)
