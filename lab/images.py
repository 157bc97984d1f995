"""Images of the lab: official ones where a registry answers, otherwise built from Debian's packages."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from docker.errors import APIError, ImageNotFound

from lab.machine import run
from lab.settings import CACHE, HOST_IMAGE, LABEL, ORDERS, POSTGRES, PROMETHEUS, REDIS, ROOT, TOOLBOX, LabError

BASE: Final = "debian:trixie-slim"
SUITE: Final = "trixie"
KEY_LABEL: Final = "longshore.lab.key"
PULL_DEADLINE_S: Final = 60
HOST_CA_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
FOLDERS: Final = {
    HOST_IMAGE: ROOT / "lab" / "images" / "host",
    TOOLBOX: ROOT / "hosts" / "toolbox",
    POSTGRES: ROOT / "lab" / "images" / "postgres",
    REDIS: ROOT / "lab" / "images" / "redis",
    PROMETHEUS: ROOT / "lab" / "images" / "prometheus",
    ORDERS: ROOT / "lab" / "images" / "orders",
}
PULLED: Final = (POSTGRES, REDIS, PROMETHEUS)
OFFICIAL, BUILT = "official", "built from packages"


def key_of(folder: Path) -> str:
    """Return a digest over the files that build an image."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder)} {file.stat().st_mode & 0o111}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def ensure_images(client: Any, say: Callable[[str], None]) -> dict[str, str]:
    """Make sure that every image is there; return where each came from (also kept in the cache folder)."""
    file = CACHE / "images.json"
    origins: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for reference, folder in FOLDERS.items():
        if not _is_current(client, reference, folder, origins):
            origins[reference] = _fetch(client, reference, folder, say)
    CACHE.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(origins, indent=1), encoding="utf-8")
    return {reference: origins[reference] for reference in FOLDERS}


def _is_current(client: Any, reference: str, folder: Path, origins: dict[str, str]) -> bool:
    try:
        image = client.images.get(reference)
    except ImageNotFound:
        return False
    if origins.get(reference) == OFFICIAL:
        return True
    return bool((image.labels or {}).get(KEY_LABEL) == key_of(folder))


def _fetch(client: Any, reference: str, folder: Path, say: Callable[[str], None]) -> str:
    if reference in PULLED and _pull(client, reference):
        say(f"{reference}: pulled")
        return OFFICIAL
    _ensure_base(client, say)
    say(f"{reference}: building from packages")
    run(
        [
            "docker",
            "build",
            "--network",
            "host",
            "--label",
            f"{KEY_LABEL}={key_of(folder)}",
            "--label",
            f"{LABEL}.image=1",
            "--tag",
            reference,
            str(folder),
        ]
    )
    return BUILT


def _pull(client: Any, reference: str) -> bool:
    try:
        subprocess.run(["docker", "pull", "--quiet", reference], capture_output=True, timeout=PULL_DEADLINE_S, check=True)
    except (subprocess.SubprocessError, OSError):
        return False
    return bool(client.images.get(reference))


def _ensure_base(client: Any, say: Callable[[str], None]) -> None:
    try:
        client.images.get(BASE)
    except ImageNotFound:
        if not _pull(client, BASE):
            say(f"{BASE}: no registry answers; bootstrapping it from packages")
            _import_base(client)


def _import_base(client: Any) -> None:
    archive = CACHE / f"base-{SUITE}.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = archive.with_suffix(".part.tar")
        run(["mmdebstrap", "--variant=minbase", "--include=ca-certificates,curl,procps", SUITE, str(part)])
        part.rename(archive)
    run(["docker", "import", "--change", f"LABEL {LABEL}.image=1", str(archive), BASE])
    _trust_this_machines_authorities(client)


def _trust_this_machines_authorities(client: Any) -> None:
    """Put this machine's CA bundle into the base: company proxies sign with their own authority."""
    if not HOST_CA_BUNDLE.exists():
        return
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(HOST_CA_BUNDLE, arcname="ca-certificates.crt")
        container = client.containers.create(BASE, command=["true"])
        try:
            container.put_archive("/etc/ssl/certs", buffer.getvalue())
            repository, _, tag = BASE.partition(":")
            container.commit(repository=repository, tag=tag)
        except APIError as error:
            raise LabError(f"{BASE}: could not take over this machine's CA bundle: {error.explanation}") from error
        finally:
            container.remove(force=True)


def remove_images(client: Any) -> None:
    """Remove every image that the lab built or pulled, and the kept base."""
    for reference in (*FOLDERS, BASE):
        try:
            client.images.remove(reference, force=True)
        except ImageNotFound:
            continue
    for name in (f"base-{SUITE}.tar", "images.json"):
        (CACHE / name).unlink(missing_ok=True)
