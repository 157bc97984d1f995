"""The moved service's old container still exists, is stopped and can't start by itself."""

from __future__ import annotations

from engine.container_names import kept_name
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import HostFacts


def judge_source_stays_stopped(facts: HostFacts, container: str) -> Judgement:
    """Judge whether the old container is there (under its own or its kept name), stopped, with restart policy `no`."""
    if not facts.docker_version:
        return unknown(
            f"{facts.host}: Docker does not answer, so {container} could not be seen. Expected: seen stopped. "
            f"Try: ssh {facts.host} docker ps -a"
        )
    kept = facts.container(kept_name(container))
    named = facts.container(container)
    if named is not None and named.running:
        return failed(
            f"{facts.host}: {container} runs, though it was moved. Expected: stopped: two writers lose data. Stop "
            "neither before you know "
            f"which one clients use. Look: ssh {facts.host} docker logs --since 1h {container}"
        )
    old = kept or named
    if old is None:
        return failed(
            f"{facts.host}: neither {kept_name(container)} nor {container} exists. Expected: the old container kept "
            "until "
            f"decommission. Find out who removed it: ssh {facts.host} docker events --since 24h --until 0s"
        )
    if old.running or old.state in {"restarting", "paused"}:
        return failed(
            f"{facts.host}: {old.name} is {old.state}. Expected: stopped. Look who started it: ssh "
            f"{facts.host} docker logs --since 1h {old.name}"
        )
    if old.restart_policy not in {"", "no"}:
        return failed(
            f"{facts.host}: {old.name} is stopped with restart policy {old.restart_policy}. Expected: no, or a reboot "
            f"starts it. Try: ssh {facts.host} docker update --restart no {old.name}"
        )
    return passed(f"{facts.host}: {old.name} is stopped ({old.state}, exit code {old.exit_code}), restart policy no")
