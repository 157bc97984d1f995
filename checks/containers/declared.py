"""Is the container what the inventory says: image, mounts, published ports, networks."""

from __future__ import annotations

from collections.abc import Collection

from checks.containers.configuration import asked_mounts
from engine.config.inventory import ServiceEntry
from engine.contracts.container import ContainerFacts
from engine.finding import say
from engine.verdict import Judgement, failed, passed

EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 compared, never bound


def judge_container_as_declared(entry: ServiceEntry, container: ContainerFacts) -> Judgement:
    """Judge whether inventory and container agree; every difference is listed."""
    differences = [
        *_image(entry, container),
        *_sets(say("mounts"), _declared_mounts(entry), _seen_mounts(container)),
        *_sets(say("ports"), _declared_ports(entry), _seen_ports(container)),
        *_sets(say("networks"), set(entry.networks), set(container.networks)),
        *_asked(entry, container),
    ]
    where = f"{container.host}: {container.name}"
    if differences:
        return failed(
            say(
                "{where}: {count} differences to inventory.yaml: {difference}. Expected: the inventory describes "
                "the container. Correct inventory.yaml, have the plan approved again",
                where=where,
                count=len(differences),
                difference=differences[0],
            ),
            tuple(differences),
        )
    asked = len(entry.mounts) + len(entry.ports) + len(entry.networks) + 1
    return passed(
        say(
            "{where}: image, mounts, ports and networks are as declared ({asked} facts compared)",
            where=where,
            asked=asked,
        ),
        facts=asked,
    )


def _image(entry: ServiceEntry, container: ContainerFacts) -> list[str]:
    return (
        []
        if container.image_ref == entry.image
        else [say("image is {image_ref}, declared {image}", image_ref=container.image_ref, image=entry.image)]
    )


def _sets(what: str, declared: Collection[str], seen: Collection[str]) -> list[str]:
    missing: list[str] = [
        say("{what}: {name} is declared, the container has it not", what=what, name=name)
        for name in sorted(set(declared) - set(seen))
    ]
    return missing + [
        say("{what}: {name} is not declared", what=what, name=name) for name in sorted(set(seen) - set(declared))
    ]


def _declared_mounts(entry: ServiceEntry) -> set[str]:
    return {f"{mount.kind} {mount.source} → {mount.path}".replace("  ", " ") for mount in entry.mounts}


def _seen_mounts(container: ContainerFacts) -> set[str]:
    seen = {f"{mount.kind} {mount.source} → {mount.destination}".replace("  ", " ") for mount in container.mounts}
    tmpfs = (container.raw.get("HostConfig") or {}).get("Tmpfs") or {}
    return seen | {f"tmpfs → {path}" for path in tmpfs}


def _asked(entry: ServiceEntry, container: ContainerFacts) -> list[str]:
    """Return the mounts that its configuration asks for and the inventory does not declare, whatever the engine lists
    as mounted.
    """
    declared = {(mount.path, mount.source if mount.kind != "tmpfs" else "") for mount in entry.mounts}
    asked = [one for one in asked_mounts(container.raw.get("HostConfig") or {}) if one[0] != "tmpfs"]
    return [
        say("mounts: {kind} {source} → {at} is asked for, and not declared", kind=kind, source=source, at=at)
        for kind, source, at, _ in asked
        if not _is_declared(at, source, declared)
    ]


def _is_declared(at: str, source: str, declared: Collection[tuple[str, str]]) -> bool:
    """Return whether a mount is declared; one without a source of its own is an anonymous volume, declared by where it
    is.
    """
    return (at, source) in declared or (source in {"", at} and at in {place for place, _ in declared})


def _declared_ports(entry: ServiceEntry) -> set[str]:
    return {_port(port.address, port.host, port.container, port.protocol) for port in entry.ports}


def _seen_ports(container: ContainerFacts) -> set[str]:
    return {_port(*published) for published in container.published}


def _port(address: str, host: int, container: int, protocol: str) -> str:
    prefix = "" if address in EVERY_ADDRESS else f"{address}:"
    return f"{prefix}{host}→{container}/{protocol}"
