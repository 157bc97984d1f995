"""The untouched state of each host's disk, kept as a volume, so that a warm start is a copy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from docker.errors import NotFound

from lab import hosts, services
from lab.machine import pipe, run
from lab.settings import CACHE, HOSTS, LABEL, PREFIX, ROOT, TOOLBOX, HostPlan, local_name


def key_of(client: Any) -> str:
    """Return a digest over what decides the hosts' disks: images, seeds, options of the services."""
    digest = hashlib.sha256()
    for file in ("services.py", "seeds.py", "settings.py", "golden.py", "prometheus/prometheus.yml", "prometheus/rules.yml"):
        digest.update((ROOT / "lab" / file).read_bytes())
    for plan in HOSTS:
        for reference in plan.images:
            digest.update(f"{plan.name} {client.images.get(local_name(reference)).id}".encode())
    return digest.hexdigest()[:16]


def _volume(key: str, plan: HostPlan) -> str:
    return f"{PREFIX}-golden-{key}-{plan.name}"


def _passwords_file(key: str) -> Path:
    return CACHE / f"golden-{key}.json"


def is_there(client: Any, key: str) -> bool:
    """Return whether all golden disks and their passwords are kept."""
    if not _passwords_file(key).exists():
        return False
    try:
        for plan in HOSTS:
            client.volumes.get(_volume(key, plan))
    except NotFound:
        return False
    return True


def restore(client: Any, key: str) -> None:
    """Give every host a fresh copy of its golden disk."""
    for plan in HOSTS:
        client.volumes.create(plan.volume, labels={LABEL: "1"})
    _copy(client, [(_volume(key, plan), plan.volume) for plan in HOSTS])


COPY_DISK: Final = """
copy_disk() {
    mkdir -p "$2/var/lib/docker/overlay2"
    rsync -aHAX --exclude=/var/lib/docker/overlay2 "$1/" "$2/"
    for layer in "$1"/var/lib/docker/overlay2/*; do
        how=-al
        case "$layer" in *-init) how=-a ;; esac
        [ ! -e "$layer-init" ] || how=-a
        cp $how "$layer" "$2/var/lib/docker/overlay2/"
    done
}
"""
"""Layers of images are never written again: linking them instead of copying makes a reset a matter of seconds."""


def _copy(client: Any, pairs: list[tuple[str, str]]) -> None:
    """Copy disks; all volumes are seen through one mount, since links don't cross mounts."""
    volumes = Path(client.info()["DockerRootDir"]) / "volumes"
    copies = "\n".join(f"copy_disk /volumes/{source}/_data /volumes/{target}/_data" for source, target in pairs)
    script = f"set -eu\n{COPY_DISK}\n{copies}\n"
    run(["docker", "run", "--rm", "--network", "none", "--label", f"{LABEL}=1", "-v", f"{volumes}:/volumes", TOOLBOX, "sh", "-c", script])


def build(client: Any, key: str, addresses: dict[str, str], say: Callable[[str], None]) -> None:
    """Make the disks from nothing: load images, create and seed the services, stop cleanly, keep a copy."""
    for plan in HOSTS:
        client.volumes.create(plan.volume, labels={LABEL: "1"})
        hosts.start(client, plan, addresses[plan.name])
    for plan in HOSTS:
        hosts.wait_for_host(plan)
        say(f"{plan.name}: loading {len(plan.images)} images")
        _load(plan)
    passwords = services.make_passwords()
    services.create_services(passwords, say)
    services.wait_for_services()
    say("stopping the hosts cleanly, to keep their disks")
    for plan in HOSTS:
        hosts.stop(client, plan)
    for plan in HOSTS:
        client.volumes.create(_volume(key, plan), labels={f"{LABEL}.golden": key})
    _copy(client, [(plan.volume, _volume(key, plan)) for plan in HOSTS])
    _keep_passwords(key, passwords)


def _load(plan: HostPlan) -> None:
    """Load a host's images and give them there the names of the inventory."""
    names = {reference: local_name(reference) for reference in plan.images}
    pipe(["docker", "save", *names.values()], hosts.ssh_argv(plan.name, "docker", "load", "--quiet"))
    script = "; ".join(f"docker tag {name} {reference}; docker rmi {name}" for reference, name in names.items() if name != reference)
    hosts.ssh(plan.name, f"set -e; {script or 'true'}")


def _keep_passwords(key: str, passwords: dict[str, str]) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    file = _passwords_file(key)
    file.touch(mode=0o600)
    file.write_text(json.dumps(passwords), encoding="utf-8")


def remove_all(client: Any) -> None:
    """Forget all golden disks and their passwords."""
    for volume in client.volumes.list(filters={"label": f"{LABEL}.golden"}):
        volume.remove(force=True)
    for file in CACHE.glob("golden-*.json"):
        file.unlink()
