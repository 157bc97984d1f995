"""Who could start the stopped source again or remove it, or would not survive its stop: Compose, systemd, cron, Swarm,
watchtower, prune.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.contracts.container import ContainerFacts
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed
from hosts.facts.model import HostFacts

UPDATERS: Final = ("watchtower", "ouroboros", "diun", "portainer")


@dataclass(frozen=True)
class Guard:
    """One thing that could start the source again: what kind (compose, systemd, …) and where it is found."""

    kind: str
    where: str


def list_guards(facts: HostFacts, container: ContainerFacts, mentions: Iterable[str]) -> tuple[Guard, ...]:
    """Return whoever could start the container again, or remove it once it is stopped, as far as labels, containers and
    files show.
    """
    return (
        *(Guard("prune", path) for path in facts.around.pruning()),
        *_from_labels(container.labels),
        *_from_updaters(facts, container),
        *(Guard("systemd" if "systemd" in path else "cron", path) for path in mentions),
    )


def judge_guards(
    facts: HostFacts, container: ContainerFacts, mentions: Iterable[str], held: Mapping[str, str]
) -> Judgement:
    """Judge whether each who could start the source again is held; `held` maps a kind to how, as the plan says."""
    guards = list_guards(facts, container, mentions)
    loose = [guard for guard in guards if not held.get(guard.kind)]
    where = f"{container.host}: {container.name}"
    if loose:
        return failed(
            say(
                "{where}: {loose_count} of {guards_count} could start it again after the move, or remove what is kept "
                "of it: {text}. Expected: each held, with how it is held written in the inventory (restart_guards:). "
                "A revived source is two writers, a pruned one no way back",
                where=where,
                loose_count=len(loose),
                guards_count=len(guards),
                text=_text(loose[0]),
            ),
            tuple(_text(guard) for guard in guards),
            guards_loose=len(loose),
        )
    details = tuple(say("{text}: {held}", text=_text(guard), held=held[guard.kind]) for guard in guards)
    return passed(
        say("{where}: {count} could start it again or remove it, all held", where=where, count=len(guards)),
        details,
        guards=len(guards),
    )


def judge_movable(container: ContainerFacts) -> Judgement:
    """Judge whether the container can be moved at all: nothing that stop would delete or that is tied to this host."""
    reasons = unmovable_reasons(container.raw)
    where = f"{container.host}: {container.name}"
    if reasons:
        return failed(
            say(
                "{where}: can't be moved by this tool: {reasons}. Expected: a plain container of its own. Recreate it "
                "without that on its host first, or move it by hand",
                where=where,
                reasons=joined("; ", reasons),
            ),
            tuple(reasons),
        )
    return passed(
        say(
            "{where}: nothing ties it to its host (removal at stop, shared namespaces, Swarm, devices asked for)",
            where=where,
        )
    )


def unmovable_reasons(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why an inspected container can't be moved: `--rm`, another container's namespaces, Swarm, GPU runtimes."""
    host_config: Mapping[str, Any] = raw.get("HostConfig") or {}
    labels: Mapping[str, str] = (raw.get("Config") or {}).get("Labels") or {}
    reasons = [say("started with --rm: its stop deletes it")] if host_config.get("AutoRemove") else []
    reasons.extend(
        say("shares {mode} with another container", mode=mode.removesuffix("Mode").lower())
        for mode in ("NetworkMode", "IpcMode", "PidMode")
        if str(host_config.get(mode) or "").startswith("container:")
    )
    if any(name.startswith("com.docker.swarm.") for name in labels):
        reasons.append(say("belongs to a Swarm service"))
    if host_config.get("DeviceRequests"):
        reasons.append(say("asks for devices (GPU)"))
    runtime = host_config.get("Runtime") or "runc"
    if runtime != "runc":
        reasons.append(say("runs under runtime {runtime}", runtime=runtime))
    return tuple(reasons)


def _from_labels(labels: Mapping[str, str]) -> list[Guard]:
    found = []
    if project := labels.get("com.docker.compose.project"):
        directory = labels.get("com.docker.compose.project.working_dir", "directory not known")
        files = labels.get("com.docker.compose.project.config_files", "file not known")
        found.append(Guard("compose", f"project {project} in {directory} ({files})"))
    if stack := labels.get("com.docker.stack.namespace") or labels.get("com.docker.swarm.service.name"):
        found.append(Guard("swarm", f"service {stack}"))
    return found


def _from_updaters(facts: HostFacts, container: ContainerFacts) -> list[Guard]:
    """Return running containers that restart or recreate others."""
    return [
        Guard(name, f"container {other.name} ({other.image_ref})")
        for other in facts.containers
        if other.running and other.name != container.name
        for name in _matching(UPDATERS, other.image_ref)
    ]


def _matching(names: Collection[str], text: str) -> list[str]:
    return [name for name in names if name in text.lower()]


def _text(guard: Guard) -> str:
    return f"{guard.kind}: {guard.where}"
