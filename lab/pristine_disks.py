"""The untouched state of each host's disk, kept as a volume, so that a warm start is a copy.

A few sets are kept, so that changing between two versions of the lab costs nothing: making another begins with removing
the oldest. A set counts once its marker is there, a volume made last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from docker.errors import NotFound

from lab import hosts, services
from lab.docker_engine import at_once, pipe, run
from lab.settings import (
    HOST_IMAGE,
    HOSTS,
    KEPT,
    LABEL,
    NAMES,
    PREFIX,
    ROOT,
    STATE,
    TOOLBOX,
    Choice,
    HostPlan,
    local_name,
)

SOURCES: Final = (
    "services.py",
    "containers.py",
    "planted_secrets.py",
    "seeds.py",
    "settings.py",
    "pristine_disks.py",
    "prometheus/*",
)
SOURCES_OF_ALL: Final = ("loki/*", "products/*.py")
"""What else decides the disks of a lab with all services."""
HANDED_OUT: Final = (
    "minio_app_access_key",
    "minio_app_secret_key",
    "keycloak_login",
    "n8n_api_key",
    "metabase_api_key",
)
GOLDEN_LABEL: Final = NAMES.golden_label
KEPT_SETS: Final = 3
LOAD_DEADLINE_S: Final = 1800
"""All thirteen services' images are four gigabytes: far beyond what loading them takes on a machine that does nothing
else.
"""
COPYING: Final = f"{PREFIX}-copying"
"""The container that copies disks: by its name, so that one whose caller was killed is found and ended."""


def key_of(client: Any, choice: Choice) -> str:
    """Return a digest over what decides the hosts' disks: the hosts' own image, the services' images, seeds and
    options.
    """
    digest = hashlib.sha256(choice.encode())
    patterns = (*SOURCES, *SOURCES_OF_ALL) if choice is Choice.ALL else SOURCES
    for file in sorted(file for pattern in patterns for file in (ROOT / "lab").glob(pattern)):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    wanted = [("", HOST_IMAGE), *((plan.name, reference) for plan in HOSTS for reference in plan.images(choice))]
    for host, reference in wanted:
        digest.update(f"{host} {client.images.get(local_name(reference)).id}".encode())
    return digest.hexdigest()[:16]


def _volume(key: str, plan: HostPlan) -> str:
    return f"{PREFIX}-golden-{key}-{plan.name}"


def passwords_of(key: str) -> dict[str, str]:
    """Return the passwords of the services on a set of kept disks."""
    found: dict[str, str] = json.loads(_passwords_file(key).read_text(encoding="utf-8"))
    return found


def _passwords_file(key: str) -> Path:
    return KEPT / f"golden-{key}.json"


def _marker(key: str) -> str:
    return f"{PREFIX}-golden-{key}-complete"


def is_there(client: Any, key: str) -> bool:
    """Return whether all golden disks, their passwords and the mark of their completeness are kept."""
    wanted = {_marker(key), *(_volume(key, plan) for plan in HOSTS)}
    kept = {volume.name for volume in client.volumes.list(filters={"label": f"{GOLDEN_LABEL}={key}"})}
    return wanted <= kept and _passwords_file(key).exists()


def restore(client: Any, key: str) -> None:
    """Give every host a fresh copy of its golden disk."""
    for plan in HOSTS:
        client.volumes.create(plan.volume, labels={LABEL: "1"})
    copy_disks(client, [(_volume(key, plan), plan.volume) for plan in HOSTS])


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


def copy_disks(client: Any, pairs: list[tuple[str, str]]) -> None:
    """Copy disks; all volumes are seen through one mount, since links don't cross mounts."""
    volumes = Path(client.info()["DockerRootDir"]) / "volumes"
    copies = "\n".join(
        f'copy_disk /volumes/{source}/_data /volumes/{target}/_data & copies="${{copies:-}} $!"'
        for source, target in pairs
    )
    script = f"set -eu\n{COPY_DISK}\n{copies}\nfor copy in $copies; do wait $copy; done\n"
    stop_copying(client)
    named = ("--name", COPYING, "--network", "none", "--label", f"{LABEL}=1")
    run(["docker", "run", "--rm", *named, "-v", f"{volumes}:/volumes", TOOLBOX, "sh", "-c", script])


def stop_copying(client: Any) -> None:
    """End a copy whose caller is gone; it would hold the disks that are to be removed."""
    try:
        client.containers.get(COPYING).remove(force=True)
    except NotFound:
        return


def build(client: Any, key: str, choice: Choice, addresses: dict[str, str], say: Callable[[str], None]) -> None:
    """Make the disks from nothing: load images, create and seed the services, stop cleanly, keep a copy."""
    _make_room(client)
    for plan in HOSTS:
        client.volumes.create(plan.volume, labels={LABEL: "1"})
        hosts.start(client, plan, addresses[plan.name])
    say("loading the images into the hosts")
    at_once(lambda plan: _load(plan, choice), HOSTS)
    passwords = services.make_passwords(choice)
    services.create_services(passwords, say, choice)
    services.wait_for_services(choice)
    say("stopping the hosts cleanly, to keep their disks")
    at_once(lambda plan: hosts.stop(client, plan), HOSTS)
    for plan in HOSTS:
        client.volumes.create(_volume(key, plan), labels={GOLDEN_LABEL: key})
    copy_disks(client, [(plan.volume, _volume(key, plan)) for plan in HOSTS])
    _keep_passwords(key, passwords)
    client.volumes.create(_marker(key), labels={GOLDEN_LABEL: key})


def _load(plan: HostPlan, choice: Choice) -> None:
    """Load a host's images and give them there the names of the inventory."""
    hosts.wait_for_host(plan)
    names = {reference: local_name(reference) for reference in plan.images(choice)}
    pipe(
        ["docker", "save", *names.values()],
        hosts.ssh_argv(plan.name, "docker", "load", "--quiet"),
        deadline_s=LOAD_DEADLINE_S,
    )
    script = "; ".join(
        f"docker tag {name} {reference}; docker rmi {name}" for reference, name in names.items() if name != reference
    )
    hosts.ssh(plan.name, f"set -e; {script or 'true'}")


def _keep_passwords(key: str, passwords: dict[str, str]) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    file = _passwords_file(key)
    file.touch(mode=0o600)
    file.write_text(json.dumps(passwords), encoding="utf-8")


def _make_room(client: Any) -> None:
    """Remove incomplete sets, and of the complete ones all but the newest that may stay in addition to a new one."""
    stop_copying(client)
    volumes = client.volumes.list(filters={"label": GOLDEN_LABEL})
    made_at = {volume.attrs["Labels"][GOLDEN_LABEL]: "" for volume in volumes}
    made_at |= {key: volume.attrs["CreatedAt"] for key in made_at for volume in volumes if volume.name == _marker(key)}
    complete = sorted((key for key in made_at if made_at[key]), key=made_at.__getitem__)
    for key in set(made_at) - set(complete[1 - KEPT_SETS :]):
        _remove(client, key)


def _remove(client: Any, key: str) -> None:
    for volume in client.volumes.list(filters={"label": f"{GOLDEN_LABEL}={key}"}):
        volume.remove(force=True)
    _passwords_file(key).unlink(missing_ok=True)


def hand_out_secrets(key: str) -> None:
    """Write those passwords of a set that the operator of this checkout's lab needs by reference."""
    passwords = passwords_of(key)
    for name in (name for name in HANDED_OUT if name in passwords):
        file = STATE / "secrets" / name
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(passwords[name] + "\n", encoding="utf-8")


def remove_all(client: Any) -> None:
    """Forget all golden disks, also incomplete ones and those of older sources, and their passwords."""
    stop_copying(client)
    for volume in client.volumes.list(filters={"label": GOLDEN_LABEL}):
        volume.remove(force=True)
    for file in KEPT.glob("golden-*.json"):
        file.unlink()
