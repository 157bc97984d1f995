"""Redis' own replication: a replica that follows until the primary has stopped, then becomes a primary.

From version 7 on a primary that is ordered to stop pauses its clients' writes, waits for its replicas and says how many
of them hold everything (https://redis.io/docs/latest/commands/shutdown/). Where it saves a snapshot when it stops, that
file holds the position of the replication at its end too: the replica must have it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

OLDEST: Final = 7
SOCKET: Final = "/tmp/replica.sock"  # noqa: S108 in the replica's container, which is ours alone
IN_SYNC: Final = re.compile(r"(\d+) of (\d+) replicas are in sync when shutting down")
STOPPING: Final = re.compile(r"User requested shutdown|scheduling shutdown| is starting |Ready to accept connections")
"""Only what comes after the last of these is about the stop that was asked for: a log also holds the stops of
earlier attempts.
"""
SAVED: Final = "DB saved on disk"
POSITION: Final = re.compile(r"^snapshot (\S+) repl-id=([0-9a-f]{40}) repl-offset=(\d+)$", re.MULTILINE)
AT: Final = re.compile(r"offset (\d+) of ([0-9a-f]{40})")
CONDITIONS: Final = """\
INFO server
INFO replication
INFO cluster
CONFIG GET loglevel
CONFIG GET shutdown-timeout
CONFIG GET dir
CONFIG GET dbfilename
CONFIG GET save
CONFIG GET appendonly
CONFIG GET appenddirname
CONFIG GET appendfilename
"""
ASK: Final = 'redis-cli || exit 1; echo; echo "# Files"; cd /data && ls -A && echo "# End"'
END_IN_DATA: Final = r"""
import glob, sys
def value(data, at):
    first = data[at]
    if first >> 6 == 3:
        size = {0xC0: 1, 0xC1: 2, 0xC2: 4}[first]
        return str(int.from_bytes(data[at + 1 : at + 1 + size], "little", signed=True))
    return data[at + 1 : at + 1 + (first & 63)].decode("ascii")
for path in glob.glob("/data/*.rdb"):
    if path.startswith("/data/temp-"):
        continue
    with open(path, "rb") as file:
        data = file.read(4096)
    found = {}
    for name in (b"repl-id", b"repl-offset"):
        at = data.find(b"\xfa" + bytes([len(name)]) + name)
        if at >= 0:
            found[name.decode()] = value(data, at + 2 + len(name))
    print("snapshot", path.rpartition("/")[2], *("%s=%s" % item for item in found.items()))
"""
"""Run in the toolbox over the stopped source's data: where its replication stood when the snapshot was taken. The
snapshot's first bytes
say it, as auxiliary fields: https://rdb.fnordig.de/file_format.html (strings and integers as lengths), redis rdb.c
rdbSaveInfoAuxFields"""


class RedisReplication:
    """See `engine.contracts.replication.Replication`."""

    port = 6379
    data_at = "/data"
    wants_owner = False

    def conditions(self, user: str) -> tuple[list[str], bytes]:  # noqa: ARG002 its own REDISCLI_AUTH lets it in
        """Ask the server, and what lies next to its data."""
        return ["sh", "-c", ASK], CONDITIONS.encode()

    def why_not(self, output: str, inspect: Mapping[str, Any]) -> str:
        """Judge version, role, and whether its log will say that the replica holds everything."""
        answers, _, rest = output.partition("# Files\n")
        listed, ended, _ = rest.partition("# End")
        facts, lines = _facts(answers), [line.strip().strip('"') for line in answers.splitlines()]
        version = facts.get("redis_version", "")
        if not version:
            return f"the server did not report its version ({output.strip()[:80] or 'no answer'})"

        def setting(name: str, otherwise: str) -> str:
            return lines[lines.index(name) + 1] if name in lines[:-1] else otherwise

        command = [str(word) for word in inspect["Config"].get("Cmd") or ()]
        loglevel, timeout = setting("loglevel", "not reported"), setting("shutdown-timeout", "0")
        driver = str(((inspect.get("HostConfig") or {}).get("LogConfig") or {}).get("Type") or "json-file")
        own = {
            setting("dbfilename", "dump.rdb"),
            setting("appenddirname", "appendonlydir"),
            setting("appendfilename", "appendonly.aof"),
        }
        others = sorted(
            name for name in set(listed.split("\n")) - own - {"", "lost+found"} if not name.startswith("temp-")
        )
        keeps = bool(setting("save", "")) or setting("appendonly", "no") == "yes"
        reasons = {
            f"version {version} does not wait for its replica when it stops; 7.0 does": int(version.split(".")[0])
            < OLDEST,
            f"its role is {facts.get('role')}": facts.get("role") != "master",
            "it is part of a cluster": facts.get("cluster_enabled") == "1",
            (
                f"{facts.get('connected_slaves', 'not reported how many')} "
                "replicas follow it already: its log would "
                "not say which of them holds everything"
            ): facts.get("connected_slaves") != "0",
            f"its loglevel is {loglevel}: its log would not say whether the replica holds everything": loglevel
            not in {"notice", "verbose", "debug"},
            "its shutdown-timeout is 0: it would not wait for its replica": timeout == "0",
            f"its log goes to {driver}, where it can't be read": driver not in {"json-file", "local", "journald"},
            f"it is started by {' '.join(command)[:60] or 'nothing'}, not by redis-server": command[:1]
            != ["redis-server"],
            f"its data lies in {setting('dir', 'no place that it reports')}, not in {self.data_at}": setting("dir", "")
            != self.data_at,
            (
                "it keeps nothing on its disk (neither save nor appendonly), so its replica would keep nothing either"
            ): not keeps,
            f"{', '.join(others[:5])} in {self.data_at} would not travel": bool(others),
            f"what lies in {self.data_at} was not reported": not ended,
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def password_file(self, user: str, password: str) -> str:  # noqa: ARG002
        """Return nothing: the password goes to the replica itself."""
        return ""

    def base_copy(self, user: str, port: int) -> list[str]:  # noqa: ARG002
        """The replica copies automatically."""
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
        wanted = {
            "role": "slave",
            "master_link_status": "up",
            "master_sync_in_progress": "0",
            "loading": "0",
            "async_loading": "0",
        }
        wanted |= {"aof_rewrite_in_progress": "0", "aof_rewrite_scheduled": "0"}
        return ", ".join(
            f"{name} {facts.get(name, 'not reported')}"
            for name, value in wanted.items()
            if facts.get(name, value if name.startswith("async") else "") != value
        )

    def end_of_source(self) -> list[str]:
        """Its log says so."""
        return []

    def end_in_data(self) -> str:
        """Return the program that reads the position from its snapshot."""
        return END_IN_DATA

    def end_position(self, output: str) -> str:
        """Return what the source said of its one replica when it stopped, and where it ended, when that one held
        everything.
        """
        last = list(STOPPING.finditer(output))
        since = output[last[-1].end() :] if last else output
        found = IN_SYNC.findall(since)
        if not found or found[-1] != ("1", "1"):
            return ""
        if SAVED not in since:
            return "1 of 1 replicas in sync"
        positions = POSITION.findall(output)
        return f"1 of 1 replicas in sync, offset {positions[0][2]} of {positions[0][1]}" if len(positions) == 1 else ""

    def why_not_complete(self, output: str, end: str) -> str:
        """Judge that it still is the replica of then, and where the source's position is known that it is there."""
        facts, position = _facts(output), AT.search(end)
        if not end or facts.get("role") != "slave":
            return f"role {facts.get('role')}, source said: {end or 'nothing'}"
        if facts.get("master_sync_in_progress") != "0":
            return "its copy of the source did not come to its end"
        if position is None:
            return ""
        offset, history = facts.get("slave_repl_offset", ""), facts.get("master_replid")
        if history != position[2]:
            return f"it follows {history}, the source ended as {position[2]}"
        return (
            ""
            if offset.isdigit() and int(offset) >= int(position[1])
            else f"it is at {offset or 'no offset'}, the source ended at {position[1]}"
        )

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
