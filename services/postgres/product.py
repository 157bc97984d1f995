"""PostgreSQL: ready over TCP, works for a client, and holds the same roles, schemas, rows, sequences and
large objects.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart
from engine.contracts.product import LogPattern, RestoreCommand, ServiceInstance
from engine.errors import UnreachableError
from engine.finding import say
from engine.journal.libpq import SERVICE, unset_parameters
from engine.verdict import Judgement, failed, passed
from services.postgres import fingerprint as prints
from services.postgres.replication import PostgresReplication

CONNECT_S: Final = 5
STATEMENT_MS: Final = 120_000
SETTINGS: Final = (
    f"-c statement_timeout={STATEMENT_MS} -c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c "
    "extra_float_digits=1 "
    "-c bytea_output=hex -c search_path=pg_catalog -c default_transaction_read_only=off"
)
"""One set of output settings: another TimeZone alone changes the text, and so the digest, of a timestamptz."""
OUTPUT: Final = "SET timezone = 'UTC'; SET datestyle = 'ISO'"
"""Once more after the login: libpq sends PGTZ and PGDATESTYLE with it, and they win over `options` (fe-protocol3.c,
build_startup_packet).
"""
PLAIN_WORDS: Final = "PGOPTIONS=-c lc_messages=C -c synchronous_commit=off"
"""So that an error is called ERROR in every installation; nobody needs the scratch copy after a crash."""


SSL_REQUEST: Final = contract.ProbeQuestion("postgres", struct.pack("!ii", 8, 80877103), (b"S", b"N"))
"""An SSLRequest is answered with one byte, before any login (docs: "Message Flow", SSL Session Encryption)."""


class Product(contract.Product):
    """The database server."""

    name = "postgres"
    image_names: tuple[str, ...] = ("postgres",)
    probe_question = SSL_REQUEST
    replication = PostgresReplication()
    acts_on_start = False
    stop_grace_s = 300
    clean_exit_codes: frozenset[int] = frozenset({0})
    ready_deadline_s = 120.0
    state_paths: tuple[str, ...] = ("/var/lib/postgresql/data",)
    writable_noise: tuple[str, ...] = ("/run/postgresql/*", "/var/run/postgresql/*", "/tmp/*", "/run/*")  # noqa: S108
    trouble: tuple[LogPattern, ...] = (
        LogPattern(r"\bPANIC:", say("the server gave up")),
        LogPattern(r"could not locate a valid checkpoint record", say("the data directory is damaged or incomplete")),
        LogPattern(
            r"not properly shut down; automatic recovery",
            say("the files were copied while the server ran or after a kill"),
        ),
        LogPattern(
            r"collation version mismatch", say("another C library sorts differently: text indexes may be wrong")
        ),
        LogPattern(r"no pg_hba\.conf entry", say("a client is refused at its present address")),
        LogPattern(r"password authentication failed", say("a client's password does not fit")),
        LogPattern(r"invalid page in block|page verification failed", say("a data page is damaged")),
        LogPattern(r"remaining connection slots are reserved", say("too many connections")),
        LogPattern(
            r"PostgreSQL init process complete",
            say("an empty cluster was made: the volume was not mounted where it should be"),
        ),
        LogPattern(r"No space left on device", say("the disk is full")),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(
            r"the database system is (starting up|shutting down)",
            say("clients that come during seconds of the cutover"),
        ),
        LogPattern(r"terminating connection due to administrator command", say("the clean stop itself")),
        LogPattern(r"incomplete startup packet", say("a TCP probe that says nothing")),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask over TCP for an answer of a server that is not in recovery."""
        where = say("{service} on {host}", service=at.service, host=at.container.host)
        try:
            with _connect(at) as connection:
                recovering = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        except UnreachableError as error:
            return failed(str(error))
        if recovering and recovering[0]:
            return failed(say("{where}: is in recovery. Expected: a primary that takes writes", where=where))
        return passed(say("{where}: answers queries and takes writes", where=where))

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Write, read and roll back in every database, through its own client protocol."""
        name = f"smoke_{nonce.replace('-', '_')}"
        databases = _databases(at)
        for database in databases:
            with _connect(at, database) as connection, connection.transaction(force_rollback=True):
                connection.execute(f"CREATE TEMP TABLE {name} (id int PRIMARY KEY, said text)")
                connection.execute(f"INSERT INTO {name} SELECT i, %s || i FROM generate_series(1, 100) i", (nonce,))  # noqa: S608 our own nonce
                row = connection.execute(
                    f"SELECT count(*), max(said) FROM {name} WHERE said LIKE %s",  # noqa: S608
                    (f"{nonce}%",),
                ).fetchone()
            if row is None or row[0] != 100:  # noqa: PLR2004 as many as were inserted
                return failed(
                    say(
                        "{service} on {host}: {database}: read back {row}. Expected: the 100 rows just written",
                        service=at.service,
                        host=at.container.host,
                        database=database,
                        row=row,
                    )
                )
        return passed(
            say(
                "{service} on {host}: 100 rows written, read and rolled back in each of {count} databases "
                "({databases})",
                service=at.service,
                host=at.container.host,
                count=len(databases),
                databases=", ".join(databases),
            ),
            databases=len(databases),
        )

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read roles, settings and, of every database, schema, rows, sequences and large objects."""
        parts: dict[str, FingerprintPart] = {}
        bounds = since.parts if since else {}
        changing = frozenset(map(str, at.options.get("changing_tables") or ()))
        with _connect(at) as connection:
            parts |= prints.cluster_parts(connection)
        for database in _databases(at):
            with _connect(at, database) as connection:
                parts |= prints.database_parts(connection, database, bounds, changing)
        return Fingerprint(at.service, parts)

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return its data directory; the image of 18 sets another one than those before (docker-library/postgres,
        Dockerfile).
        """
        return (container.env.get("PGDATA") or self.state_paths[0],)

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:
        """Return a dump of the whole cluster, roles and passwords included, over the local socket."""
        user = container.env.get("POSTGRES_USER", "postgres")
        argv = ("pg_dumpall", "--username", user, "--no-password", "--clean", "--if-exists")
        return (ContainerCommand(argv, timeout_s=4 * 3600, saves_as="cluster.sql"),)

    def save_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:
        """Return a checkpoint: what is dirty is written while it serves, and the one at its stop has little left (docs:
        "CHECKPOINT").
        """
        user = container.env.get("POSTGRES_USER", "postgres")
        argv = (
            "psql",
            "-X",
            "-q",
            "--no-password",
            "--username",
            user,
            "--dbname",
            "postgres",
            "--command",
            "CHECKPOINT",
        )
        return (ContainerCommand(argv, timeout_s=3600, does="let postgres write a checkpoint"),)

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:
        """Return how the dump comes back into a new cluster; the superuser it is restored as is there already.

        With --clean a dump wants to begin in the database postgres, and errors about that one role are normal
        (pg_dumpall, Notes).
        """
        user = container.env.get("POSTGRES_USER", "postgres")
        return (
            RestoreCommand(
                export="cluster.sql",
                replaces=container.env.get("PGDATA", self.state_paths[0]),
                argv=(
                    "env",
                    "LC_ALL=C",
                    PLAIN_WORDS,
                    "psql",
                    "-X",
                    "-q",
                    "-o",
                    "/dev/null",
                    "-U",
                    user,
                    "-d",
                    "postgres",
                ),
                timeout_s=4 * 3600,
                trouble=r"\b(ERROR|FATAL|PANIC):|server closed the connection",
                tolerated=(
                    r"ERROR:  current user cannot be dropped",
                    rf'ERROR:  role "{re.escape(user)}" already exists',
                ),
                not_kept=(prints.IDENTITY, prints.SLOTS_PART),
            ),
        )


def _databases(at: ServiceInstance) -> list[str]:
    with _connect(at) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
        ).fetchall()
    return [str(row[0]) for row in rows]


@contextmanager
def _connect(at: ServiceInstance, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection; a refused password is an AssertionError (looked, it is wrong), no answer is
    UnreachableError.
    """
    where = say("{service} on {host}", service=at.service, host=at.container.host)
    user = str(at.options.get("user", "postgres"))
    ours: dict[str, Any] = {
        "host": at.endpoint.host,
        "port": at.endpoint.port,
        "user": user,
        "dbname": database,
        "connect_timeout": CONNECT_S,
        "password": at.secrets["password"].reveal() if "password" in at.secrets else "",
        "options": SETTINGS,
        "application_name": "longshore",
    }
    os.environ.pop(SERVICE, None)
    try:
        connection = psycopg.connect(autocommit=True, **{**unset_parameters(), **ours})
        connection.execute(OUTPUT)
    except psycopg.OperationalError as error:
        raise _refused(where, user, str(error)) from None  # its text may hold the connection's parameters
    try:
        with connection:
            yield connection
    except psycopg.OperationalError as error:
        lines = str(error).splitlines()
        raise UnreachableError(
            say("{where}: the connection broke: {line}", where=where, line=lines[0] if lines else type(error).__name__)
        ) from None


def _refused(where: str, user: str, said: str) -> Exception:
    line = next(
        (line for line in said.splitlines() if "FATAL" in line or "refused" in line),
        said.splitlines()[0] if said else "no reason",
    )
    reason = line.rpartition("failed: ")[2][:200]
    if "password authentication failed" in said or "no pg_hba.conf entry" in said:
        return AssertionError(
            f"{where}: login refused for user {user}: {reason}. Expected: the password of the inventory's "
            "reference works"
        )
    return UnreachableError(say("{where}: no connection: {reason}", where=where, reason=reason))
