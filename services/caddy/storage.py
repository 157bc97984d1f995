"""What Caddy has: the configuration that runs, and the certificates, authorities and keys in its storage.

All is asked inside the container: its admin API listens on the container's loopback (docs: "API"), its storage belongs
to root (docs: "Conventions", File locations).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.contracts.container import ContainerCommand
from engine.contracts.product import ServiceInstance
from engine.errors import UnreachableError
from engine.finding import say
from services.clients.certificates import Certificate, leaf_of

INSIDE_S: Final = 30.0
STORAGE: Final = "/data/caddy"
ROOT: Final = f"{STORAGE}/pki/authorities/local/root.crt"
ADMIN: Final = "http://localhost:2019"
ASK: Final = f'wget -qO- "{ADMIN}$1" 2>/dev/null || curl -sf "{ADMIN}$1"'
LIST: Final = f"find {STORAGE} -type f -name '*.[ck][re][ty]' -exec stat -c '%a %n' {{}} +"
"""Modes and names of all .crt and .key files."""

READ_ALL: Final = 'for file; do cat "$file" || exit; echo "$0"; done'
"""Each file, then a mark: one command for all certificates."""

DIGESTS: Final = f"find {STORAGE} -type f -name '*.key' -exec sha256sum {{}} +"


@dataclass(frozen=True)
class Site:
    """One virtual host of the running configuration: its name, where it leads to, and all that is configured for it."""

    host: str
    upstreams: tuple[str, ...]
    routes: Mapping[str, Any]


def inside(at: ServiceInstance, *argv: str) -> str:
    """Return what a command says inside the container; raises UnreachableError when it fails."""
    answer = at.inside(ContainerCommand(argv, timeout_s=INSIDE_S))
    if answer.exit_code != 0:
        raise UnreachableError(
            say(
                "{where}: {first_argv} inside the container: exit {exit_code}: {error_text}",
                where=at.where,
                first_argv=argv[0],
                exit_code=answer.exit_code,
                error_text=answer.error_text[:160],
            )
        )
    return answer.text


def ask_admin(at: ServiceInstance, path: str) -> Any:
    """Return an answer of the admin API; raises UnreachableError when there is none."""
    text = inside(at, "sh", "-c", ASK, "sh", path)
    try:
        return json.loads(text)
    except ValueError:
        raise UnreachableError(
            say("{where}: admin API {path}: {text} is no JSON", where=at.where, path=path, text=repr(text[:80]))
        ) from None


def list_sites(configuration: Mapping[str, Any] | None) -> tuple[Site, ...]:
    """Return the virtual hosts with TLS of a configuration as the admin API returns it, by name."""
    servers = (((configuration or {}).get("apps") or {}).get("http") or {}).get("servers") or {}
    sites = [
        Site(host, tuple(dict.fromkeys(_dials(route))), route)
        for server in servers.values()
        if any(not str(listened).endswith(":80") for listened in server.get("listen") or ())
        for route in server.get("routes") or ()
        for match in route.get("match") or ()
        for host in match.get("host") or ()
    ]
    return tuple(sorted(sites, key=lambda site: site.host))


def _dials(route: Any) -> Iterator[str]:
    """Yield each address that a route leads to, however deep."""
    if isinstance(route, Mapping):
        if isinstance(route.get("dial"), str):
            yield route["dial"]
        for value in route.values():
            yield from _dials(value)
    elif isinstance(route, list):
        for value in route:
            yield from _dials(value)


def list_modes(at: ServiceInstance) -> dict[str, str]:
    """Return the mode of each certificate's and key's file, by its path below the storage."""
    pairs = (line.split(" ", 1) for line in inside(at, "sh", "-c", LIST).splitlines() if " " in line)
    return {path.removeprefix(f"{STORAGE}/"): mode for mode, path in pairs if path.endswith((".crt", ".key"))}


def list_key_digests(at: ServiceInstance) -> dict[str, str]:
    """Return a digest of each private key's file, by its path below the storage."""
    pairs = (line.split(None, 1) for line in inside(at, "sh", "-c", DIGESTS).splitlines() if line.strip())
    return {path.removeprefix(f"{STORAGE}/"): digest for digest, path in pairs}


def read_certificates(at: ServiceInstance, paths: list[str]) -> dict[str, Certificate]:
    """Return the leaf of each certificate's file, by its path below the storage."""
    mark = f"=={secrets.token_hex(8)}=="
    texts = inside(at, "sh", "-c", READ_ALL, mark, *(f"{STORAGE}/{path}" for path in paths)).split(f"{mark}\n")
    found = {}
    for path, text in zip(paths, texts, strict=False):
        try:
            found[path] = leaf_of(text)
        except ValueError:
            raise AssertionError(f"{at.where}: {path} holds no certificate. Expected: one in PEM") from None
    return found


def domain_of(path: str) -> str:
    """Return the name that a certificate's file is for: certificates/<authority>/<domain>/<domain>.crt."""
    return path.rsplit("/", 1)[-1].removesuffix(".crt").replace("wildcard_", "*")
