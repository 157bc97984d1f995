"""PostgreSQL's own replication: a physical standby by pg_basebackup, fed until the primary has stopped, then promoted.

A primary that is shut down sends everything, its last checkpoint included, to each standby before it ends
(https://www.postgresql.org/docs/17/warm-standby.html, "Streaming Replication"; source: walsender.c, WalSndDone).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

OLDEST: Final = 120_000
"""standby.signal came with version 12."""

CONDITIONS: Final = """\
SELECT current_setting('server_version_num'), current_setting('wal_level'), current_setting('max_wal_senders'),
  (SELECT count(*) FROM pg_stat_replication), (SELECT rolsuper OR rolreplication FROM pg_roles
    WHERE rolname = current_user),
  (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
    current_setting('data_directory'),
  pg_is_in_recovery(), (SELECT count(*) FROM pg_replication_slots WHERE NOT temporary),
  (SELECT count(*) FROM pg_database WHERE NOT datallowconn AND datname <> 'template0');
"""
UNLOGGED: Final = "SELECT count(*) FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'm', 'S')"
"""Of an unlogged relation a standby has the definition only. https://www.postgresql.org/docs/17/sql-createtable.html,
UNLOGGED
"""
ASK: Final = """\
set -e
user=$1; unlogged=$2; shift 2
ask() { psql -X -q -A -t -w -v ON_ERROR_STOP=1 -U "$user" "$@"; }
ask -d postgres
ask -d postgres -c 'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1' | while IFS= read -r database; do
  export PGDATABASE="$database"
  count=$(ask -c "$unlogged" < /dev/null)
  printf 'unlogged|%s|%s\n' "$count" "$database"
done
echo asked
"""
"""The settings of the server, then of each database how many unlogged tables it has."""
STATUS: Final = """\
SELECT pg_is_in_recovery(), coalesce(pg_last_wal_receive_lsn(), '0/0'), coalesce(pg_last_wal_replay_lsn(), '0/0'),
  coalesce((SELECT status FROM pg_stat_wal_receiver), 'none');
"""
SOCKETS: Final = "/tmp"  # noqa: S108 in the replica's container, which is ours alone
LAG_BYTES: Final = 16 << 20
STATE: Final = re.compile(r"^Database cluster state: +(.+)$", re.MULTILINE)
CHECKPOINT: Final = re.compile(r"^Latest checkpoint location: +([0-9A-F]+/[0-9A-F]+)$", re.MULTILINE)


class PostgresReplication:
    """See `engine.contracts.replication.Replication`."""

    port = 5432
    data_at = "/var/lib/postgresql/data"
    wants_owner = True

    def conditions(self, user: str) -> tuple[list[str], bytes]:
        """Ask the server over the local socket."""
        return ["sh", "-c", ASK, "ask", user, UNLOGGED], CONDITIONS.encode()

    def why_not(self, output: str, inspect: Mapping[str, Any]) -> str:
        """Judge version, settings, permission and what a base copy would not carry."""
        lines = output.strip().splitlines()
        answer = lines[0].split("|") if lines else []
        if len(answer) != 10 or lines[-1] != "asked":  # noqa: PLR2004 as many as were asked for
            return f"the server did not report its settings ({output.strip()[:120] or 'no answer'})"
        version, wal_level, senders, used, allowed, spaces, directory, recovering, slots, closed = answer
        unlogged = {name: int(count) for _, count, name in (line.split("|", 2) for line in lines[1:-1])}
        loses = [f"{count} in {name}" for name, count in unlogged.items() if count]
        command = [str(word) for word in inspect["Config"].get("Cmd") or ()]
        reasons = {
            f"version {version} is older than 12": int(version) < OLDEST,
            f"wal_level is {wal_level}, not replica or logical": wal_level not in {"replica", "logical"},
            f"{used} of {senders} max_wal_senders are in use, two more are needed": int(senders) - int(used) < 2,  # noqa: PLR2004
            "the user has no replication permission": allowed != "t",
            f"{spaces} tablespaces lie outside of the data directory": spaces != "0",
            f"the data lies in {directory}, not in {self.data_at}": directory != self.data_at,
            "it is a standby itself": recovering != "f",
            f"{slots} replication slots would not travel: whoever reads from them would miss what comes": slots != "0",
            f"{closed} databases let nobody in, so nobody can see what they hold": closed != "0",
            "no database listed its unlogged tables": not unlogged,
            f"unlogged tables would come up empty: {', '.join(loses[:5])}": bool(loses),
            f"it is started by {' '.join(command)[:60] or 'nothing'}, not by postgres": command[:1] != ["postgres"],
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def password_file(self, user: str, password: str) -> str:
        """Return a line of libpq's password file."""
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        return f"*:*:*:{user}:{escaped}\n"

    def base_copy(self, user: str, port: int) -> list[str]:
        """Copy the cluster with all log that is written meanwhile."""
        connection = f"host=127.0.0.1 port={port} user={user} passfile=/replica/password connect_timeout=10"
        return [
            "pg_basebackup",
            "--dbname",
            connection,
            "--pgdata",
            self.data_at,
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-password",
        ]

    def before_standby(self) -> list[str]:
        """Make it a standby; nothing else is written into its data, so nothing has to be removed from it later."""
        return ["touch", f"{self.data_at}/standby.signal"]

    def standby(self, command: list[str], user: str, port: int) -> tuple[list[str] | None, list[str]]:
        """Run the server with its own settings, reachable by nobody else, following the tunnel."""
        primary = f"host=127.0.0.1 port={port} user={user} passfile=/replica/password application_name=longshore"
        ours = {
            "listen_addresses": "",
            "unix_socket_directories": SOCKETS,
            "primary_conninfo": primary,
            "hot_standby": "on",
            "archive_mode": "off",
        }
        return ["postgres"], [
            "-D",
            self.data_at,
            *command[1:],
            *(word for item in ours.items() for word in ("-c", f"{item[0]}={item[1]}")),
        ]

    def connect(self, password: str, port: int) -> tuple[list[str], bytes]:  # noqa: ARG002
        """It follows from its start."""
        return [], b""

    def status(self, user: str) -> tuple[list[str], bytes]:
        """Ask the standby."""
        return [*_psql(user), "-h", SOCKETS], STATUS.encode()

    def why_not_following(self, output: str) -> str:
        """Judge whether it streams, and is close."""
        answer = output.strip().split("|")
        if len(answer) != 4:  # noqa: PLR2004 as many as were asked for
            return f"the standby does not answer yet ({output.strip()[:120]})"
        recovering, received, replayed, receiver = answer
        if recovering != "t" or receiver != "streaming":
            return f"receiver {receiver}"
        lag = _bytes(received) - _bytes(replayed)
        return f"{lag:,} bytes behind" if lag > LAG_BYTES else ""

    def end_of_source(self) -> list[str]:
        """Read the control file of the stopped cluster."""
        return ["pg_controldata", "-D", self.data_at]

    def end_in_data(self) -> str:
        """Return nothing: the control file says so."""
        return ""

    def end_position(self, output: str) -> str:
        """Return where its last checkpoint lies, when that was the one of a clean shutdown."""
        state, checkpoint = STATE.search(output), CHECKPOINT.search(output)
        return checkpoint[1] if state and checkpoint and state[1] == "shut down" else ""

    def why_not_complete(self, output: str, end: str) -> str:
        """Judge whether the last checkpoint's record itself was replayed: the position after it lies behind it."""
        answer = output.strip().split("|")
        replayed = answer[2] if len(answer) == 4 else "0/0"  # noqa: PLR2004
        return (
            ""
            if _bytes(replayed) > _bytes(end)
            else f"replayed up to {replayed}, the source ended with the checkpoint at {end}"
        )

    def promote(self, user: str) -> tuple[list[str], bytes]:
        """Make it a primary, on a time line of its own."""
        return [*_psql(user), "-h", SOCKETS], b"SELECT pg_promote(true, 60);\n"

    def why_not_promoted(self, output: str) -> str:
        """Judge whether it has left recovery."""
        return "" if output.startswith("f|") else "still in recovery"


def _psql(user: str) -> list[str]:
    return ["psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", "postgres"]


def _bytes(position: str) -> int:
    high, _, low = position.partition("/")
    return (int(high, 16) << 32) + int(low, 16)
