"""Can a host be used at all: it answers, Docker answers, versions, architecture and clock fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from engine.errors import NotObservedError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import HostFacts

MINIMUM_DOCKER: Final = (20, 10)
"""First engine whose API (1.41) the recreated containers rely on; also Debian 12's."""

CLOCK_LIMIT_S: Final = 1.0
"""services.md 0.9: tokens, TOTP and key expiry are wall-clock; Temporal tolerates about 5 s."""


def judge_reached(facts: HostFacts | NotObservedError) -> Judgement:
    """Judge whether ssh reached a host and its facts could be read; being pinned is checked before any command."""
    if isinstance(facts, NotObservedError):
        return unknown(str(facts))
    return passed(
        say(
            "{host}: ssh answers ({os_name}, kernel {kernel}, {architecture})",
            host=facts.host,
            os_name=facts.os_name,
            kernel=facts.kernel,
            architecture=facts.architecture,
        )
    )


def judge_docker(facts: HostFacts) -> Judgement:
    """Judge whether the host's Docker Engine answered; without an answer nothing on it can be known."""
    if not facts.docker_version:
        seen = facts.docker_error or say("no answer")
        return unknown(
            say(
                "{host}: Docker does not answer: {seen}. Expected: a running engine. Try: ssh {host} docker version",
                host=facts.host,
                seen=seen,
            )
        )
    return passed(
        say(
            "{host}: Docker {docker_version} answers, {count} containers",
            host=facts.host,
            docker_version=facts.docker_version,
            count=len(facts.containers),
        )
    )


def judge_versions(
    facts: HostFacts, architectures: Mapping[str, str], minimum: tuple[int, int] = MINIMUM_DOCKER
) -> Judgement:
    """Judge whether the engine is new enough and all hosts have one architecture; `architectures` maps
    hosts to theirs.
    """
    engine = _judge_engine(facts, minimum)
    if not engine.passed:
        return engine
    others = {host: architecture for host, architecture in architectures.items() if architecture != facts.architecture}
    if not facts.architecture:
        return unknown(
            say("{host}: architecture not known. Expected: an answer. Try: ssh {host} uname -m", host=facts.host)
        )
    if others:
        seen = joined(
            ", ",
            (
                say("{host} {architecture}", host=host, architecture=architecture or say("not known"))
                for host, architecture in sorted(others.items())
            ),
        )
        return failed(
            say(
                "{host}: architecture {architecture}, but {seen}. Expected: one on all {count} hosts, images are "
                "moved unchanged. Choose another target in migration_plan.json",
                host=facts.host,
                architecture=facts.architecture,
                seen=seen,
                count=len(architectures),
            )
        )
    return passed(
        say(
            "{text}, {architecture} like all {count} hosts",
            text=engine.text,
            architecture=facts.architecture,
            count=len(architectures),
        ),
        docker_version=facts.docker_version,
    )


def _judge_engine(facts: HostFacts, minimum: tuple[int, int]) -> Judgement:
    wanted = joined(".", (str(number) for number in minimum))
    match = re.match(r"(\d+)\.(\d+)", facts.docker_version)
    if not match:
        return unknown(
            say(
                '{host}: Docker version not understood: "{docker_version}". Expected: {wanted} or newer. Try: ssh '
                "{host} docker version",
                host=facts.host,
                docker_version=facts.docker_version,
                wanted=wanted,
            )
        )
    if (int(match[1]), int(match[2])) < minimum:
        return failed(
            say(
                "{host}: Docker {docker_version}. Expected: {wanted} or newer. Upgrade the engine on this host before "
                "the window",
                host=facts.host,
                docker_version=facts.docker_version,
                wanted=wanted,
            ),
            docker_version=facts.docker_version,
        )
    return passed(
        say(
            "{host}: Docker {docker_version} ({wanted} or newer)",
            host=facts.host,
            docker_version=facts.docker_version,
            wanted=wanted,
        ),
        docker_version=facts.docker_version,
    )


def judge_clock(facts: HostFacts, limit_s: float = CLOCK_LIMIT_S) -> Judgement:
    """Judge whether the host's clock agrees with this machine's, in seconds; UNKNOWN when the measurement is too coarse
    to decide.
    """
    offset_s, give_or_take_s = facts.clock_offset_s, facts.clock_uncertainty_s
    look = f"Try: ssh {facts.host} timedatectl status"
    if offset_s is None:
        return unknown(
            say(
                "{host}: its clock could not be read. Expected: a time from date +%s. Try: ssh {host} date +%s.%N",
                host=facts.host,
            )
        )
    seen = f"{offset_s:+.2f} s ± {give_or_take_s:.2f} s"
    words, judge = f"{facts.host}: clock within {limit_s:g} s of this machine's ({seen})", passed
    if abs(offset_s) - give_or_take_s > limit_s:
        words, judge = (
            f"{facts.host}: clock is {seen} off this machine's. Expected: within {limit_s:g} s. {look}",
            failed,
        )
    elif abs(offset_s) + give_or_take_s > limit_s:
        words = (
            f"{facts.host}: clock is {seen} off this machine's: too coarse to decide. Expected: within {limit_s:g} "
            f"s for sure. {look}"
        )
        judge = unknown
    return judge(words, clock_offset_s=offset_s, clock_uncertainty_s=give_or_take_s)
