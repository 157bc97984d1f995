"""Who a host is, read over a connection whose host key the operator's own known_hosts already verified."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from engine.environment import Identity
from engine.errors import CouldNotLookError, UnreachableError
from engine.product import LAB_MARKER
from hosts.transport import SshHost

ASK_S: Final = 20.0
ASK: Final = (
    "cat /etc/machine-id; "
    "(docker info --format '{{.ID}}' 2>/dev/null || sudo -n docker info --format '{{.ID}}' 2>/dev/null || echo -); "
    f"[ -e {LAB_MARKER} ] && echo lab || echo real; "
    "ip -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \\([^ ]*\\).*/\\1/p'"
)


def read_identity(name: str, ssh_config: Path | None) -> Identity:
    """Return a host's identity; raises CouldNotLookError when ssh does not trust it yet or it does not answer."""
    flags = ("-F", str(ssh_config.resolve())) if ssh_config else ()
    folder = Path(tempfile.mkdtemp(prefix="ls-"))
    host = SshHost(name, "", folder, (*flags, "-o", "StrictHostKeyChecking=yes"))
    try:
        answer = host.run(["sh", "-c", ASK], timeout_s=ASK_S)
        machine_id, engine_id, kind, address = [*answer.text.split("\n"), "", "", "", ""][:4]
    finally:
        host.close()
        shutil.rmtree(folder, ignore_errors=True)
    if engine_id in {"", "-"}:
        raise UnreachableError(f"{name}: its Docker Engine does not answer. Expected: an engine ID. Try: ssh {name} docker info")
    return Identity(
        address=_address(name, flags, address.strip()), ssh_host_key=_verified_key(name, flags), machine_id=machine_id.strip(),
        engine_id=engine_id.strip(), lab=kind == "lab",
    )  # fmt: skip


def _effective(name: str, flags: tuple[str, ...]) -> dict[str, str]:
    """Return ssh's effective configuration for a host."""
    answer = subprocess.run(["ssh", *flags, "-G", name], capture_output=True, text=True, timeout=ASK_S, check=True)
    return {key: value for key, _, value in (line.partition(" ") for line in answer.stdout.splitlines())}


def _address(name: str, flags: tuple[str, ...], seen: str) -> str:
    hostname = _effective(name, flags).get("hostname", name)
    return hostname if hostname.replace(".", "").isdigit() or ":" in hostname else seen


def _verified_key(name: str, flags: tuple[str, ...]) -> str:
    """Return the ed25519 (else the first) key that known_hosts has for this host: the one that ssh just verified against."""
    config = _effective(name, flags)
    port = config.get("port", "22")
    host = config.get("hostkeyalias") or config.get("hostname", name)
    wanted = host if port == "22" else f"[{host}]:{port}"
    files = config.get("userknownhostsfile", "").split() + config.get("globalknownhostsfile", "").split()
    keys: list[str] = []
    for file in files:
        answer = subprocess.run(
            ["ssh-keygen", "-F", wanted, "-f", str(Path(file).expanduser())], capture_output=True, text=True, timeout=ASK_S, check=False
        )
        keys += [" ".join(line.split()[1:3]) for line in answer.stdout.splitlines() if line and not line.startswith("#")]
    if not keys:
        raise CouldNotLookError(f"{name}: no host key of {wanted} in known_hosts. Connect once by hand and compare it: ssh {name} true")
    return next((key for key in keys if key.startswith("ssh-ed25519")), keys[0])
