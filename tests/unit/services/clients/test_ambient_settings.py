"""What surrounds the operator (proxies, netrc, PG*, AWS_*, certificates' variables) changes neither who is asked nor
what is sent.
"""

from __future__ import annotations

import base64
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.contracts.host import Endpoint
from engine.errors import NotObservedError
from engine.journal.database import open_store, parameters_of
from engine.journal.location import place_of
from engine.redaction.redactor import Secret
from hosts.local.prometheus import Prometheus, bearer
from services.caddy import sites
from services.grafana.product import Product as Grafana
from services.loki.client import send
from services.minio import client
from services.postgres import product as postgres
from services.rabbitmq.client import ask_management
from services.temporal import client as temporal_client
from services.waha.product import Product as Waha
from tests.fakes.http_product import target

pytestmark = pytest.mark.usefixtures("loopback")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{}"


@dataclass
class Server:
    """One port of the loopback, and what came to it."""

    port: int
    seen: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return all that came as text."""
        return b"".join(self.seen).decode("latin-1")


@contextmanager
def serving(answer: Callable[[socket.socket, Server], None]) -> Iterator[Server]:
    """Serve each connection with `answer`, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        answer(connection, server)
                    except OSError:
                        continue

        threading.Thread(target=accept, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def _http(connection: socket.socket, server: Server) -> None:
    server.seen.append(connection.recv(65_536))
    connection.sendall(OK)


def _refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A corporate proxy in every variable that names one, and a ~/.netrc for any host."""
    (tmp_path / ".netrc").write_text("default login intruder password from-netrc\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serving(_http) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
            for variable in (name, name.upper()):
                monkeypatch.setenv(variable, f"http://127.0.0.1:{server.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield server


ASKED: dict[str, Callable[[Any], Any]] = {
    "ready over HTTP": lambda at: Waha().ready(at),
    "a JSON API with its key": lambda at: Waha().smoke(at, "longshore-1"),
    "a JSON API with its password": lambda at: Grafana().fingerprint(at, None),
    "loki": lambda at: send(at, "GET", "/ready"),
    "rabbitmq's management": lambda at: ask_management(at, "GET", "/api/overview"),
    "minio": lambda at: client.connect(at).list_buckets(),
    "prometheus over days": lambda at: Prometheus(at.endpoint.url(), bearer(Secret("s3cr3t-key"))).ask_range(
        "up", NOON, NOON, 60
    ),
    "temporal": lambda at: temporal_client.ask(at, temporal_client.list_namespaces, deadline_s=1),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_a_proxy_of_the_operators_machine_sees_nothing_and_answers_nothing(
    ask: Callable[[Any], Any], proxy: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing listens nothing is ready, and no key leaves for the proxy."""
    monkeypatch.setattr(temporal_client, "CONNECT_S", 1.0)
    secrets = {
        "api_key": "s3cr3t-key",
        "admin_password": "s3cr3t-key",
        "password": "s3cr3t-key",
        "access_key": "a",
        "secret_key": "s3cr3t-key",
    }
    endpoint = Endpoint("127.0.0.1", _refused_port())
    at = replace(target("service", {}, secrets), endpoint=endpoint, at_port=lambda _port: endpoint)
    try:
        answer = ask(at)
    except NotObservedError:
        answer = None

    assert answer is None or not answer.passed
    assert proxy.seen == []


def test_netrc_adds_no_credential(proxy: Server) -> None:
    """A question without a credential goes without one, one with its own goes with that."""
    with serving(_http) as server:
        endpoint = Endpoint("127.0.0.1", server.port)
        with suppress(NotObservedError):
            Prometheus(endpoint.url()).ask_range("up", NOON, NOON, 60)
        Waha().ready(replace(target("waha"), endpoint=endpoint))
        with suppress(AssertionError, KeyError, TypeError):
            Grafana().fingerprint(replace(target("grafana", {}, {"admin_password": "ours"}), endpoint=endpoint), None)

    assert base64.b64encode(b"intruder:from-netrc").decode() not in server.text
    assert "Authorization: Basic " + base64.b64encode(b"admin:ours").decode() in server.text
    assert proxy.seen == []


def test_aws_variables_and_files_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile that does not exist, another region, endpoint, retry mode or a session's token stay out of MinIO's
    requests.
    """
    config = tmp_path / "config"
    config.write_text(
        "[default]\nregion = eu-west-9\ns3 =\n  addressing_style = virtual\n  payload_signing_enabled = "
        "true\n[plugins]\nx = nowhere\n"
    )
    for name, value in {
        "AWS_PROFILE": "no-such-profile",
        "AWS_DEFAULT_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": str(config),
        "AWS_ACCESS_KEY_ID": "AMBIENT",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SESSION_TOKEN": "ambient-token",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_REGION": "eu-west-9",
        "AWS_DEFAULT_REGION": "eu-west-9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_CA_BUNDLE": "/none",
        "AWS_DATA_PATH": "/none",
        "AWS_MAX_ATTEMPTS": "7",
        "AWS_SDK_UA_APP_ID": "ambient-app",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "nonsense",
    }.items():
        monkeypatch.setenv(name, value)

    def listing(connection: socket.socket, server: Server) -> None:
        server.seen.append(connection.recv(65_536))
        body = b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))

    with serving(listing) as server:
        at = replace(
            target("minio", {}, {"access_key": "OURKEY", "secret_key": "ours-ours"}),
            endpoint=Endpoint("127.0.0.1", server.port),
        )
        client.connect(at).list_buckets()

    assert "Credential=OURKEY/" in server.text
    assert "/us-east-1/s3/" in server.text
    assert "ambient" not in server.text.lower()


def _postgres(connection: socket.socket, server: Server) -> None:
    """Refuse TLS, note what the client says at its start, ask for its password, refuse it."""
    reader = connection.makefile("rb")
    while True:
        (size,) = struct.unpack("!i", reader.read(4))
        body = reader.read(size - 4)
        if struct.unpack("!i", body[:4])[0] not in {80877103, 80877104}:  # SSLRequest, GSSENCRequest
            break
        connection.sendall(b"N")
    server.seen.append(body)
    connection.sendall(b"R" + struct.pack("!ii", 8, 3))
    kind, head = reader.read(1), reader.read(4)
    if not head:
        return  # it has no password to give
    server.seen.append(kind + reader.read(struct.unpack("!i", head)[0] - 4))
    said = b"SFATAL\0C28P01\0Mpassword authentication failed\0\0"
    connection.sendall(b"E" + struct.pack("!i", len(said) + 4) + said)


@pytest.mark.parametrize("password", ["ours", None])
def test_pg_variables_and_pgpass_change_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str | None
) -> None:
    """Another address, database, password, service or demand of the operator's shell has no effect on whom we ask and
    what we say.
    """
    pgpass = tmp_path / ".pgpass"
    pgpass.write_text("*:*:*:*:from-pgpass\n")
    pgpass.chmod(0o600)
    with serving(_postgres) as elsewhere, serving(_postgres) as server:
        for name, value in {
            "HOME": str(tmp_path),
            "PGPASSFILE": str(pgpass),
            "PGPASSWORD": "from-variable",
            "PGHOSTADDR": "127.0.0.2",
            "PGPORT": str(elsewhere.port),
            "PGSERVICE": "no-such-service",
            "PGSSLMODE": "verify-full",
            "PGREQUIREAUTH": "scram-sha-256",
            "PGDATABASE": "other",
            "PGUSER": "other",
            "PGTARGETSESSIONATTRS": "standby",
            "PGCLIENTENCODING": "LATIN1",
            "PGOPTIONS": "-c work_mem=1",
            "PGAPPNAME": "ambient",
            "PGCHANNELBINDING": "require",
            "PGSSLROOTCERT": "system",
        }.items():
            monkeypatch.setenv(name, value)
        at = replace(
            target("postgres", {}, {"password": password} if password else {}),
            endpoint=Endpoint("127.0.0.1", server.port),
        )
        with pytest.raises(AssertionError if password else NotObservedError) as refused:
            postgres._databases(at)

    assert elsewhere.seen == []
    assert "database\0postgres" in server.text
    assert "user\0postgres" in server.text
    assert "longshore" in server.text
    for ambient in ("from-", "ambient", "LATIN1", "work_mem", "other"):
        assert ambient not in server.text, ambient
    assert server.seen[1:] == ([b"pours\0"] if password else []), refused.value


@pytest.mark.parametrize("password", ["ours", "from-pgpass"])
def test_pg_variables_do_not_lead_the_journal_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str
) -> None:
    """What the URL does not say is libpq's default; a password that it does not hold may stand in ~/.pgpass, in no
    other file.
    """
    for name, said in ((".pgpass", "from-pgpass"), ("other", "from-variable")):
        (tmp_path / name).write_text(f"*:*:*:*:{said}\n")
        (tmp_path / name).chmod(0o600)
    with serving(_postgres) as elsewhere, serving(_postgres) as server:
        for name, value in {
            "HOME": str(tmp_path),
            "PGPASSFILE": str(tmp_path / "other"),
            "PGPASSWORD": "from-variable",
            "PGHOSTADDR": "127.0.0.2",
            "PGPORT": str(elsewhere.port),
            "PGSERVICE": "no-such-service",
            "PGSSLMODE": "verify-full",
            "PGREQUIREAUTH": "scram-sha-256",
            "PGUSER": "other",
            "PGDATABASE": "other",
            "PGOPTIONS": "-c work_mem=1",
            "PGTARGETSESSIONATTRS": "standby",
            "PGCHANNELBINDING": "require",
        }.items():
            monkeypatch.setenv(name, value)
        given = ":ours" if password == "ours" else ""
        place = place_of("production", Secret(f"postgresql://ops{given}@127.0.0.1:{server.port}/state"))
        with pytest.raises(NotObservedError, match="password authentication failed"):
            open_store(place)

    assert elsewhere.seen == []
    assert server.seen[1] == b"p" + password.encode() + b"\0"
    for ours in ("user\0ops", "database\0state", "application_name\0longshore"):
        assert ours in server.text
    assert "work_mem" not in server.text


def test_what_the_journals_url_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter of the URL is the operator's word, not the shell's."""
    monkeypatch.setenv("PGSSLMODE", "disable")
    given = parameters_of(
        place_of("production", Secret("postgresql://ops@db/state?sslmode=verify-full&sslrootcert=/etc/roots.pem"))
    )

    assert not {"sslmode", "sslrootcert", "host", "user", "dbname"} & set(given)
    assert given["sslcert"] == "/nonexistent/longshore"
    elsewhere = parameters_of(place_of("production", Secret("postgresql:///state?host=db:5433")))
    assert not {"host", "port"} & set(elsewhere), "a port behind a host's name is the URL's too"
    assert elsewhere["user"] == ""


def test_output_settings_are_set_once_more_after_the_login() -> None:
    """Libpq sends PGTZ and PGDATESTYLE with the login; what is set afterwards wins."""
    assert "SET timezone = 'UTC'" in postgres.OUTPUT
    assert "SET datestyle = 'ISO'" in postgres.OUTPUT


def test_certificates_variables_change_nobodys_trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A root that SSL_CERT_FILE names is not trusted, and no session's keys go to SSLKEYLOGFILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    context = sites._context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert getattr(context, "keylog_filename", None) is None
    file = Path(ssl.get_default_verify_paths().openssl_cafile)
    assert bool(context.cert_store_stats()["x509_ca"]) == file.is_file()
