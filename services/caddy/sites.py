"""Virtual hosts asked as a browser does: TLS with the name, a trusted chain, and an answer of what is behind it."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.contracts.host import Endpoint
from engine.contracts.product import ServiceInstance
from engine.errors import UnreachableError
from engine.finding import say
from services.clients.certificates import Certificate, read_der

TIMEOUT_S: Final = 10.0
READ_BYTES: Final = 65_536
REDIRECTS: Final = frozenset({301, 302, 307, 308})


@dataclass(frozen=True)
class Answer:
    """What came back through TLS: the served leaf, the status and the beginning of the body."""

    certificate: Certificate
    status: int
    body: str


def sni_of(host: str) -> str:
    """Return a name that a virtual host answers to: a wildcard's own one is made up."""
    return host.replace("*", "longshore", 1)


@contextmanager
def _secured(at: ServiceInstance, host: str, root_pem: str) -> Iterator[tuple[ssl.SSLSocket, str]]:
    """Yield a TLS connection to a virtual host, and the name that was asked for; raises AssertionError for an untrusted
    certificate.
    """
    name, context = sni_of(host), _context()
    if root_pem:
        context.load_verify_locations(cadata=root_pem)
    try:
        with _connect(at.endpoint) as plain, context.wrap_socket(plain, server_hostname=name) as secured:
            yield secured, name
    except ssl.SSLCertVerificationError as error:
        raise AssertionError(
            f"{host}: certificate: {error.verify_message}. Expected: a trusted chain for {name}"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(
            say(
                "{where}: {host}: no answer through TLS: {name}: {error}",
                where=at.where,
                host=host,
                name=type(error).__name__,
                error=str(error)[:120],
            )
        ) from None


def _context() -> ssl.SSLContext:
    """Return a client's context that trusts the roots of this system, whatever SSL_CERT_FILE, SSL_CERT_DIR and
    SSLKEYLOGFILE say.

    `ssl.create_default_context` follows them (Python's documentation, "ssl": get_default_verify_paths,
    keylog_filename).
    """
    context, roots = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.get_default_verify_paths()
    file = roots.openssl_cafile if Path(roots.openssl_cafile).is_file() else None
    folder = roots.openssl_capath if Path(roots.openssl_capath).is_dir() else None
    if file or folder:
        context.load_verify_locations(file, folder)
    return context


def shake_hands(at: ServiceInstance, host: str, root_pem: str) -> Certificate:
    """Return the leaf that a virtual host serves, without asking anything of what is behind it."""
    with _secured(at, host, root_pem) as (secured, _):
        return _leaf(secured)


def ask_site(at: ServiceInstance, host: str, path: str, root_pem: str) -> Answer:
    """Return the answer to GET `path` at a virtual host; raises AssertionError for an untrusted certificate,
    UnreachableError without answer.
    """
    with _secured(at, host, root_pem) as (secured, name):
        certificate = _leaf(secured)
        status, body = _get(secured, name, path)
    return Answer(certificate, status, body)


def _leaf(secured: ssl.SSLSocket) -> Certificate:
    return read_der(secured.getpeercert(binary_form=True) or b"")


def ask_plain(at: ServiceInstance, endpoint: Endpoint, host: str) -> tuple[int, str]:
    """Return status and Location of a request without TLS; raises UnreachableError."""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/", headers={"Host": sni_of(host)})
        answer = connection.getresponse()
        return answer.status, str(answer.headers.get("Location", ""))
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(
            say("{where}: {host}: no answer without TLS: {name}", where=at.where, host=host, name=type(error).__name__)
        ) from None
    finally:
        connection.close()


def _connect(endpoint: Endpoint) -> socket.socket:
    return socket.create_connection((endpoint.host, endpoint.port), timeout=TIMEOUT_S)


def _get(secured: ssl.SSLSocket, name: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(name)
    connection.sock = secured
    connection.request("GET", path, headers={"Host": name, "User-Agent": "longshore", "Connection": "close"})
    answer = connection.getresponse()
    return answer.status, answer.read(READ_BYTES).decode("utf-8", "replace")
