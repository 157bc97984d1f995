"""Redis' own replication: a replica that follows until the primary has stopped, then becomes a primary.

From version 7 on a primary that is told to stop pauses its clients' writes, waits for its replicas and says how many of them
hold everything (https://redis.io/docs/latest/commands/shutdown/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

OLDEST: Final = 7
SOCKET: Final = "/tmp/replica.sock"  # noqa: S108 in the replica's container, which is ours alone
IN_SYNC: Final = re.compile(r"(\d+) of (\d+) replicas are in sync when shutting down")


class RedisReplication:
    """See `services.replication.Replication`."""

    port = 6379
    data_at = "/data"
    wants_owner = False

    def conditions(self, user: str) -> tuple[list[str], bytes]:  # noqa: ARG002 its own REDISCLI_AUTH lets it in
        """Ask the server."""
        return ["redis-cli"], b"INFO server\nINFO replication\nINFO cluster\nCONFIG GET loglevel\nCONFIG GET shutdown-timeout\n"

    def why_not(self, output: str, inspect: Mapping[str, Any]) -> str:
        """Judge version, role, and whether its log will tell that the replica holds everything."""
        facts = _facts(output)
        version, lines = facts.get("redis_version", ""), [line.strip().strip('"') for line in output.splitlines()]
        if not version:
            return f"the server did not tell its version ({output.strip()[:80] or 'no answer'})"
        command = [str(word) for word in inspect["Config"].get("Cmd") or ()]
        loglevel = lines[lines.index("loglevel") + 1] if "loglevel" in lines else "not told"
        timeout = lines[lines.index("shutdown-timeout") + 1] if "shutdown-timeout" in lines else "0"
        driver = str(((inspect.get("HostConfig") or {}).get("LogConfig") or {}).get("Type") or "json-file")
        reasons = {
            f"version {version} does not wait for its replica when it stops; 7.0 does": int(version.split(".")[0]) < OLDEST,
            f"its role is {facts.get('role')}": facts.get("role") != "master",
            "it is part of a cluster": facts.get("cluster_enabled") == "1",
            f"its loglevel is {loglevel}: its log would not tell whether the replica holds everything": loglevel in {"warning", "nothing"},
            "its shutdown-timeout is 0: it would not wait for its replica": timeout == "0",
            f"its log goes to {driver}, where it can't be read": driver not in {"json-file", "local", "journald"},
            f"it is started by {' '.join(command)[:60] or 'nothing'}, not by redis-server": command[:1] != ["redis-server"],
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def password_file(self, user: str, password: str) -> str:  # noqa: ARG002
        """Return nothing: the password goes to the replica itself."""
        return ""

    def base_copy(self, user: str, port: int) -> list[str]:  # noqa: ARG002
        """The replica copies by itself."""
        return []

    def before_standby(self) -> list[str]:
        """Nothing."""
        return []

    def standby(self, command: list[str], user: str, port: int) -> tuple[list[str] | None, list[str]]:  # noqa: ARG002
        """Run the server as it is, reachable by nobody else."""
        return None, [*command, "--port", "0", "--unixsocket", SOCKET, "--unixsocketperm", "700"]

    def connect(self, password: str, port: int) -> tuple[list[str], bytes]:
        """Make it follow; the password is known to the running server only, never to a file."""
        lines = [f"CONFIG SET masterauth {_quoted(password)}"] if password else []
        return ["redis-cli", "-s", SOCKET], "\n".join([*lines, f"REPLICAOF 127.0.0.1 {port}", ""]).encode()

    def status(self, user: str) -> tuple[list[str], bytes]:  # noqa: ARG002
        """Ask the replica."""
        return ["redis-cli", "-s", SOCKET], b"INFO replication\nINFO persistence\n"

    def why_not_following(self, output: str) -> str:
        """Judge whether its link is up, all is loaded and its own files hold it."""
        facts = _facts(output)
        wanted = {"role": "slave", "master_link_status": "up", "master_sync_in_progress": "0", "loading": "0", "async_loading": "0"}
        wanted |= {"aof_rewrite_in_progress": "0", "aof_rewrite_scheduled": "0"}
        return ", ".join(
            f"{name} {facts.get(name, 'not told')}"
            for name, value in wanted.items()
            if facts.get(name, value if name.startswith("async") else "") != value
        )

    def end_of_source(self) -> list[str]:
        """Its log tells."""
        return []

    def end_position(self, output: str) -> str:
        """Return what the source said of its replicas when it stopped, when all held everything."""
        found = IN_SYNC.findall(output)
        return f"{found[-1][0]} of {found[-1][1]} replicas in sync" if found and found[-1][0] == found[-1][1] != "0" else ""

    def why_not_complete(self, output: str, end: str) -> str:
        """Judge that it still is the replica of then: the source itself said that it holds everything."""
        facts = _facts(output)
        return "" if end and facts.get("role") == "slave" else f"role {facts.get('role')}, source said: {end or 'nothing'}"

    def promote(self, user: str) -> tuple[list[str], bytes]:  # noqa: ARG002
        """Make it a primary."""
        return ["redis-cli", "-s", SOCKET], b'REPLICAOF NO ONE\nCONFIG SET masterauth ""\n'

    def why_not_promoted(self, output: str) -> str:
        """Judge its role."""
        role = _facts(output).get("role")
        return "" if role == "master" else f"role {role}"


def _facts(output: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in output.splitlines())}


def _quoted(text: str) -> str:
    """Return a word as redis-cli reads it from its input."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
