"""The moved service's old container still exists, is stopped and can't start automatically."""

from __future__ import annotations

from engine.container_names import kept_name
from engine.finding import say
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import HostFacts


def judge_source_stays_stopped(facts: HostFacts, container: str) -> Judgement:
    """Judge whether the old container is there (under its own or its kept name), stopped, with restart policy `no`."""
    if not facts.docker_version:
        return unknown(
            say(
                "{host}: Docker does not answer, so {container} could not be seen. Expected: seen stopped. Try: ssh "
                "{host} docker ps -a",
                host=facts.host,
                container=container,
            )
        )
    kept = facts.container(kept_name(container))
    named = facts.container(container)
    if named is not None and named.running:
        return failed(
            say(
                "{host}: {container} runs, though it was moved. Expected: stopped: two writers lose data. Stop "
                "neither before you know which one clients use. Look: ssh {host} docker logs --since 1h {container}",
                host=facts.host,
                container=container,
            )
        )
    old = kept or named
    if old is None:
        return failed(
            say(
                "{host}: neither {kept_name} nor {container} exists. Expected: the old container kept until "
                "decommission. Find out who removed it: ssh {host} docker events --since 24h --until 0s",
                host=facts.host,
                kept_name=kept_name(container),
                container=container,
            )
        )
    if old.running or old.state in {"restarting", "paused"}:
        return failed(
            say(
                "{host}: {name} is {state}. Expected: stopped. Look who started it: ssh {host} docker logs --since 1h "
                "{name}",
                host=facts.host,
                name=old.name,
                state=old.state,
            )
        )
    if old.restart_policy not in {"", "no"}:
        return failed(
            say(
                "{host}: {name} is stopped with restart policy {restart_policy}. Expected: no, or a reboot starts it. "
                "Try: ssh {host} docker update --restart no {name}",
                host=facts.host,
                name=old.name,
                restart_policy=old.restart_policy,
            )
        )
    return passed(
        say(
            "{host}: {name} is stopped ({state}, exit code {exit_code}), restart policy no",
            host=facts.host,
            name=old.name,
            state=old.state,
            exit_code=old.exit_code,
        )
    )
