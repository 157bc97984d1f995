"""Images of the lab: official ones where a registry answers, otherwise built from Debian's packages.

This machine's engine keeps them under names of the lab's own: a `postgres:17` that is there belongs to its user and is
neither used, overwritten nor removed. Only inside the lab's hosts do they have the names of the inventory.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from docker.errors import APIError, ImageNotFound

from lab.docker_engine import at_once, run
from lab.registry import Registry
from lab.settings import (
    CACHE,
    CADDY,
    GRAFANA,
    HOST_IMAGE,
    HOSTS,
    IMAGES,
    KEYCLOAK,
    LABEL,
    LOKI,
    METABASE,
    MINIO,
    N8N,
    ORDERS,
    PARCELS,
    POSTGRES,
    PROMETHEUS,
    RABBITMQ,
    REDIS,
    ROOT,
    STAND_INS,
    TEMPORAL,
    TOOLBOX,
    WAHA,
    Choice,
    LabError,
    local_name,
)

BASE: Final = "debian:trixie-slim"
OWN_BASE: Final = local_name(BASE)
SUITE: Final = "trixie"
BUILDS_AT_ONCE: Final = 3
BUILD_DEADLINE_S: Final = 1800
"""n8n's packages alone take five minutes on two cores, in parallel with two other builds longer."""
KEY_LABEL: Final = f"{LABEL}.key"
IMAGE_LABEL: Final = f"{LABEL}.image"
HOST_CA_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
FOLDERS: Final = {
    N8N: ROOT / "lab" / "images" / "n8n",  # the slowest first: the others are built in parallel
    KEYCLOAK: ROOT / "lab" / "images" / "keycloak",
    HOST_IMAGE: ROOT / "lab" / "images" / "host",
    TOOLBOX: ROOT / "hosts" / "toolbox",
    POSTGRES: ROOT / "lab" / "images" / "postgres",
    REDIS: ROOT / "lab" / "images" / "redis",
    PROMETHEUS: ROOT / "lab" / "images" / "prometheus",
    RABBITMQ: ROOT / "lab" / "images" / "rabbitmq",
    CADDY: ROOT / "lab" / "images" / "caddy",
    MINIO: ROOT / "lab" / "images" / "minio",
    LOKI: ROOT / "lab" / "images" / "loki",
    TEMPORAL: ROOT / "lab" / "images" / "temporal",
    GRAFANA: ROOT / "lab" / "images" / "grafana",
    METABASE: ROOT / "lab" / "images" / "metabase",
    WAHA: ROOT / "lab" / "images" / "waha",
    ORDERS: ROOT / "lab" / "images" / "orders",
    PARCELS: ROOT / "lab" / "images" / "parcels",
}
PULLED: Final = (POSTGRES, REDIS, PROMETHEUS, RABBITMQ, CADDY, MINIO, LOKI, KEYCLOAK, N8N, GRAFANA, METABASE, WAHA)
OFFICIAL, BUILT, FOUND = "official", "built from packages", "was there before the lab"
STAND_IN: Final = "stand-in"


def built(reference: str) -> str:
    """Return the origin of an image that was built here: a stand-in says so, and what it is."""
    if reference in STAND_INS:
        return f"{STAND_IN}: {STAND_INS[reference][1]}"
    return f"{BUILT}: the development server with SQLite, not the one with postgres" if reference == TEMPORAL else BUILT


def key_of(folder: Path) -> str:
    """Return a digest over the files that build an image."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder)} {file.stat().st_mode & 0o111}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def ensure_images(client: Any, say: Callable[[str], None], choice: Choice) -> dict[str, str]:
    """Make sure that every image of a choice is there; return where each came from, by its name in the inventory."""
    registry = Registry(client, say)
    needed = {HOST_IMAGE}.union(*(plan.images(choice) for plan in HOSTS))
    folders = {reference: folder for reference, folder in FOLDERS.items() if reference in needed}
    there = {
        reference: origin for reference, folder in folders.items() if (origin := _origin(client, reference, folder))
    }
    wanted = [reference for reference in folders if reference not in there]
    pulled = {
        reference: OFFICIAL
        for reference in wanted
        if reference in PULLED and registry.pull(reference, local_name(reference))
    }
    missing = [reference for reference in wanted if reference not in pulled]
    if missing:
        _ensure_base(client, registry, say)
        at_once(lambda reference: _build(reference, say), missing, at_most=BUILDS_AT_ONCE)
    _remove(client, _older_builds(client))
    return there | pulled | {reference: built(reference) for reference in missing}


def _origin(client: Any, reference: str, folder: Path) -> str | None:
    """Return where the image that is there came from; None when there is none, or one built from older files."""
    try:
        labels = client.images.get(local_name(reference)).labels or {}
    except ImageNotFound:
        return None
    if IMAGE_LABEL in labels:
        return built(reference) if labels.get(KEY_LABEL) == key_of(folder) else None
    return {TOOLBOX: FOUND, **dict.fromkeys(PULLED, OFFICIAL)}.get(reference)


def _build(reference: str, say: Callable[[str], None]) -> None:
    name, folder = local_name(reference), FOLDERS[reference]
    say(f"{reference}: building from packages")
    labels = ("--label", f"{KEY_LABEL}={key_of(folder)}", "--label", f"{IMAGE_LABEL}=1")
    argv = [
        "docker",
        "build",
        "--network",
        "host",
        "--build-arg",
        f"BASE={OWN_BASE}",
        *labels,
        "--tag",
        name,
        str(folder),
    ]
    run(argv, deadline_s=BUILD_DEADLINE_S)
    say(f"{reference}: built")


def _ensure_base(client: Any, registry: Registry, say: Callable[[str], None]) -> None:
    try:
        client.images.get(OWN_BASE)
    except ImageNotFound:
        if not registry.pull(BASE, OWN_BASE):
            say(f"{BASE}: bootstrapping it from packages")
            _import_base(client)


def _import_base(client: Any) -> None:
    archive = CACHE / f"base-{SUITE}.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = archive.with_suffix(".part.tar")
        run(["mmdebstrap", "--variant=minbase", "--include=ca-certificates,curl,procps", SUITE, str(part)])
        part.rename(archive)
    raw = f"{OWN_BASE}-raw"
    run(["docker", "import", "--change", f"LABEL {IMAGE_LABEL}=1", str(archive), raw])
    _trust_this_machines_authorities(client, raw)
    client.images.remove(raw)


def _trust_this_machines_authorities(client: Any, raw: str) -> None:
    """Make the base of the raw one with this machine's CA bundle: company proxies sign with their own authority."""
    repository, _, tag = OWN_BASE.partition(":")
    container = client.containers.create(raw, command=["true"])
    try:
        if HOST_CA_BUNDLE.exists():
            container.put_archive("/etc/ssl/certs", _archive_of(HOST_CA_BUNDLE))
        container.commit(repository=repository, tag=tag)
    except APIError as error:
        raise LabError(
            f"{OWN_BASE}: could not take over this machine's CA bundle: {error.explanation}. Expected: "
            f"{HOST_CA_BUNDLE} in it. Look: docker info"
        ) from error
    finally:
        container.remove(force=True)


def _archive_of(file: Path) -> bytes:
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(file, arcname=file.name)
        return buffer.getvalue()


def remove_images(client: Any) -> list[str]:
    """Remove every image that the lab made and the kept base; return what could not be removed, with the reason."""
    refused = _remove(client, [*_own_names(client), *_older_builds(client)])
    (CACHE / f"base-{SUITE}.tar").unlink(missing_ok=True)
    return refused


def _remove(client: Any, names: list[str]) -> list[str]:
    refused = []
    for name in names:
        try:
            client.images.remove(name)
        except ImageNotFound:
            continue
        except APIError as error:
            refused.append(f"{name}: {error.explanation}")
    return refused


def _own_names(client: Any) -> list[str]:
    """Return the names of the lab's own space, and the toolbox if the lab built it."""
    tags = {tag for image in client.images.list() for tag in image.tags}
    names = sorted(tag for tag in tags if tag.startswith(f"{IMAGES}/"))
    if TOOLBOX in tags and IMAGE_LABEL in (client.images.get(TOOLBOX).labels or {}):
        names.append(TOOLBOX)
    return names


def _older_builds(client: Any) -> list[str]:
    """Return the images of the lab that lost their names to newer ones."""
    return [image.id for image in client.images.list(filters={"label": IMAGE_LABEL, "dangling": True})]
