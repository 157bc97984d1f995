"""Identities of lab hosts, new for each lab: host keys, machine-id, engine ID, the client's key and ssh config."""

from __future__ import annotations

import json
import secrets
import shutil
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lab.docker_engine import run
from lab.settings import HOSTS, NAMES, STAND_INS, STATE, Choice, services_of

KEY: Final = "id_ed25519"
HOSTS_FILE: Final = STATE / "hosts.json"


def make_identities(
    addresses: dict[str, str], images: dict[str, str], *, choice: Choice, raised_at: datetime | None
) -> None:
    """Generate everything that makes this lab this lab, once; later calls keep it.

    `raised_at` is given when the hosts' disks are new: what was known of the old ones no longer holds.
    """
    STATE.mkdir(parents=True, exist_ok=True)
    STATE.parent.chmod(0o700)
    STATE.chmod(0o700)
    if not (STATE / KEY).exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "longshore-lab", "-f", str(STATE / KEY)])
    for plan in HOSTS:
        _make_host(plan.name)
    _make_backup_password()
    _write_known_hosts(addresses)
    _write_ssh_config(addresses)
    _write_hosts_json(addresses, images, choice, raised_at.isoformat() if raised_at else known_lab().get("raised_at"))


def known_lab() -> dict[str, Any]:
    """Return what is written of this checkout's lab; empty when it has none."""
    return dict(json.loads(HOSTS_FILE.read_text(encoding="utf-8"))) if HOSTS_FILE.exists() else {}


def identity_folder(host: str) -> Path:
    """Return the folder that the host's container reads as /identity."""
    return STATE / "identities" / host


def _make_host(host: str) -> None:
    folder = identity_folder(host)
    if (folder / "engine-id").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ssh_host_ed25519_key").unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host, "-f", str(folder / "ssh_host_ed25519_key")])
    (folder / "machine-id").write_text(uuid.uuid4().hex + "\n", encoding="utf-8")
    shutil.copyfile(STATE / f"{KEY}.pub", folder / "authorized_keys")
    (folder / "engine-id").write_text(str(uuid.uuid4()), encoding="utf-8")


def _make_backup_password() -> None:
    file = STATE / "secrets" / "backup_password"
    if not file.exists():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")


def host_key(host: str) -> str:
    """Return the host's public key as known_hosts writes it, without the name."""
    text = (identity_folder(host) / "ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
    return " ".join(text.split()[:2])


def _write_known_hosts(addresses: dict[str, str]) -> None:
    lines = [f"{host},{address} {host_key(host)}\n" for host, address in addresses.items()]
    (STATE / "known_hosts").write_text("".join(lines), encoding="utf-8")


def _write_ssh_config(addresses: dict[str, str]) -> None:
    blocks = [
        f"Host {host}\n"
        f"    HostName {address}\n"
        f"    User root\n"
        f"    IdentityFile {STATE / KEY}\n"
        f"    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {STATE / 'known_hosts'}\n"
        f"    GlobalKnownHostsFile /dev/null\n"
        f"    StrictHostKeyChecking yes\n"
        for host, address in addresses.items()
    ]
    (STATE / "ssh_config").write_text("\n".join(blocks), encoding="utf-8")


def known_choice() -> Choice:
    """Return which services this checkout's lab has; the core without one."""
    return Choice(known_lab().get("choice", Choice.CORE))


def _write_hosts_json(addresses: dict[str, str], images: dict[str, str], choice: Choice, raised_at: str | None) -> None:
    hosts: dict[str, Any] = {}
    for host, address in addresses.items():
        folder = identity_folder(host)
        hosts[host] = {
            "address": address,
            "ssh_host_key": host_key(host),
            "machine_id": (folder / "machine-id").read_text(encoding="utf-8").strip(),
            "engine_id": (folder / "engine-id").read_text(encoding="utf-8").strip(),
        }
    played = [
        service for reference, (service, _) in STAND_INS.items() if images.get(reference, "").startswith("stand-in")
    ]
    services = list(services_of(choice))
    content = {
        "name": NAMES.name,
        "choice": choice.value,
        "hosts": hosts,
        "services": services,
        "simulated": [service for service in played if service in services],
        "images": images,
        "raised_at": raised_at,
    }
    HOSTS_FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
