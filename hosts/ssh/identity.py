"""Who a host is, read over a connection that accepts one host key only: the one that is recorded.

Candidates are the keys that the operator's own known_hosts has for the host; the connection that succeeds proves which
one it was.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from engine.config.environment import Identity
from engine.constants import LAB_MARKER
from engine.contracts.container import CommandResult
from engine.errors import DeadlineError, InputError, NotObservedError, RefusedError, UnreachableError
from engine.finding import say
from hosts.ssh.client import SshHost

ASK_S: Final = 20.0
PREFERRED: Final = ("ssh-ed25519", "ecdsa-sha2-", "ssh-rsa")
ASK: Final = (
    "cat /etc/machine-id; "
    "(docker info --format '{{.ID}}' 2>/dev/null || sudo -n docker info --format '{{.ID}}' 2>/dev/null || echo -); "
    f"[ -e {LAB_MARKER} ] && echo lab || echo real; "
    "ip -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \\([^ ]*\\).*/\\1/p'"
)


def read_identity(name: str, ssh_config: Path | None) -> Identity:
    """Return a host's identity.

    Raises InputError when ssh refuses its own configuration, CouldNotLookError when ssh does not trust the host yet or
    it does not answer, RefusedError when it has none of the keys that known_hosts has for it.
    """
    flags = ("-F", str(ssh_config.resolve())) if ssh_config else ()
    config = read_ssh_settings(name, flags)
    answer, key = _ask(name, flags, _known_keys(name, config))
    machine_id, engine_id, kind, address = (line.strip() for line in [*answer.text.split("\n"), "", "", "", ""][:4])
    if engine_id in {"", "-"}:
        raise UnreachableError(
            say(
                "{name}: its Docker Engine does not answer. Expected: an engine ID. Try: ssh {name} docker info",
                name=name,
            )
        )
    hostname = config.get("hostname", name)
    numeric = hostname.replace(".", "").isdigit() or ":" in hostname
    return Identity(
        address=hostname if numeric else address,
        ssh_host_key=key,
        machine_id=machine_id,
        engine_id=engine_id,
        lab=kind == "lab",
    )


def _ask(name: str, flags: tuple[str, ...], keys: list[str]) -> tuple[CommandResult, str]:
    """Return the host's answer and the key that it had: a connection accepts only one, so that is the one it used."""
    folder = Path(tempfile.mkdtemp(prefix="ls-"))
    try:
        for number, key in enumerate(keys):
            place = folder / str(number)
            place.mkdir(mode=0o700)
            host = SshHost(name, "", place, (*flags, *only_key(name, key, place / "known_hosts")))
            try:
                return host.run(["sh", "-c", ASK], timeout_s=ASK_S), key
            except RefusedError:
                continue  # it has another key: perhaps the next one that is known for it
            finally:
                host.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise RefusedError(
        say(
            "{name}: none of the {count} host keys that known_hosts has for it is the host's. Expected: one of them. "
            "Compare what it says with the machine itself, then mend known_hosts: ssh {name} true",
            name=name,
            count=len(keys),
        )
    )


def only_key(name: str, key: str, known_hosts: Path) -> tuple[str, ...]:
    """Write a known_hosts with this one key and return the options that make ssh accept no other, and ask
    for its kind.
    """
    known_hosts.write_text(f"{name} {key}\n", encoding="utf-8")
    kind = key.split(maxsplit=1)[0]
    settings = {
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": name,
        "HostKeyAlgorithms": "rsa-sha2-512,rsa-sha2-256" if kind == "ssh-rsa" else kind,
    }
    return tuple(word for setting, value in settings.items() for word in ("-o", f"{setting}={value}"))


def read_ssh_settings(name: str, flags: tuple[str, ...]) -> dict[str, str]:
    """Return ssh's effective configuration for a host; raises InputError when ssh refuses its configuration."""
    answer = _run_here(["ssh", *flags, "-G", name])
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or [say("exit status {returncode}", returncode=answer.returncode)]
        raise InputError(
            say(
                "{name}: ssh refuses its configuration: {said}. Expected: one that it reads. Try: ssh {flags}",
                name=name,
                said=said[-1],
                flags=" ".join((*flags, "-G", name)),
            )
        )
    return {key: value for key, _, value in (line.partition(" ") for line in answer.stdout.splitlines())}


def _run_here(argv: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=ASK_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(
            say(
                "this machine: {argv} did not end within {ask_s:.0f} s. Try it by hand",
                argv=" ".join(argv),
                ask_s=ASK_S,
            )
        ) from error
    except FileNotFoundError as error:
        raise InputError(
            say(
                "this machine: no program {first_argv}. Expected: OpenSSH's client. Install it, then try again",
                first_argv=argv[0],
            )
        ) from error


def _known_keys(name: str, config: dict[str, str]) -> list[str]:
    """Return the keys that the operator's known_hosts has for this host, the best kind first."""
    port = config.get("port", "22")
    host = config.get("hostkeyalias") or config.get("hostname", name)
    wanted = host if port == "22" else f"[{host}]:{port}"
    files = config.get("userknownhostsfile", "").split() + config.get("globalknownhostsfile", "").split()
    keys: list[str] = []
    for file in files:
        keys += parse_known_keys(_run_here(["ssh-keygen", "-F", wanted, "-f", str(Path(file).expanduser())]).stdout)
    if not keys:
        raise NotObservedError(
            say(
                "{name}: no host key of {wanted} in known_hosts. Expected: one (a certificate authority alone can't "
                "be pinned). Connect once by hand and compare it: ssh {name} true",
                name=name,
                wanted=wanted,
            )
        )
    return sorted(dict.fromkeys(keys), key=_rank)


def parse_known_keys(text: str) -> list[str]:
    """Return "kind key" of each line of `ssh-keygen -F`; lines marked @revoked or @cert-authority are no host's key."""
    rows = (line.split() for line in text.splitlines() if not line.startswith(("#", "@")))
    return [" ".join(row[1:3]) for row in rows if len(row) > 2]  # noqa: PLR2004 names, kind, key


def _rank(key: str) -> int:
    return next((rank for rank, kind in enumerate(PREFERRED) if key.startswith(kind)), len(PREFERRED))
