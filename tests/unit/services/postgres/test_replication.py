"""Whether a store can replicate, and what its answers mean: a replica takes over only when its answers show that
it holds everything.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from services.postgres.replication import PostgresReplication
from services.redis.replication import RedisReplication

POSTGRES: Final = PostgresReplication()
REDIS: Final = RedisReplication()
SERVER: Final = {"Config": {"Cmd": ["postgres", "-c", "max_connections=120"]}}
REDIS_SERVER: Final = {
    "Config": {"Cmd": ["redis-server", "/etc/redis.conf"]},
    "HostConfig": {"LogConfig": {"Type": "json-file"}},
}
GOOD: Final = "170005|replica|10|0|t|0|/var/lib/postgresql/data|f|0|0\nunlogged|0|postgres\nunlogged|0|shop\nasked\n"
CONTROL: Final = """\
Database system identifier:           7430000000000000000
Database cluster state:               {state}
Latest checkpoint location:           0/1A2B3C8
"""
INFO: Final = """\
# Server
redis_version:8.0.2
# Replication
role:master
connected_slaves:0
# Cluster
cluster_enabled:0
loglevel
notice
shutdown-timeout
10
dir
/data
dbfilename
dump.rdb
save
3600 1
appendonly
yes
appenddirname
appendonlydir
appendfilename
appendonly.aof

# Files
appendonlydir
dump.rdb
# End
"""
ID: Final = "3f" * 20


def test_a_postgres_that_can_replicate_does() -> None:
    """Version, settings, permission and place are as they must be."""
    assert POSTGRES.why_not(GOOD, SERVER) == ""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GOOD.replace("170005", "110022"), "older than 12"),
        (GOOD.replace("|replica|", "|minimal|"), "wal_level is minimal"),
        (GOOD.replace("|10|0|", "|10|9|"), "9 of 10 max_wal_senders"),
        (GOOD.replace("|t|0|", "|f|0|"), "no replication permission"),
        (GOOD.replace("|t|0|", "|t|2|"), "2 tablespaces"),
        (GOOD.replace("/data|f", "/other|f"), "the data lies in"),
        (GOOD.replace("|f|0|0", "|t|0|0"), "a standby itself"),
        (GOOD.replace("|f|0|0", "|f|1|0"), "1 replication slots would not travel"),
        (GOOD.replace("|f|0|0", "|f|0|1"), "1 databases let nobody in"),
        (GOOD.replace("unlogged|0|shop", "unlogged|2|shop"), "unlogged tables would come up empty: 2 in shop"),
        (GOOD.splitlines()[0] + "\nasked\n", "no database told of its unlogged tables"),
        (GOOD.replace("asked\n", ""), "did not tell"),
        ("", "did not tell"),
    ],
)
def test_a_postgres_that_can_not_says_why(answer: str, reason: str) -> None:
    """Each condition has its words, for the row that says that precopy was used instead."""
    assert reason in POSTGRES.why_not(answer, SERVER)


def test_a_postgres_started_by_something_else_is_left_to_precopy() -> None:
    """Its own command is not known well enough to run a standby with it."""
    assert "started by sh" in POSTGRES.why_not(GOOD, {"Config": {"Cmd": ["sh", "-c", "exec postgres"]}})


def test_postgres_has_ended_only_with_a_clean_shutdown() -> None:
    """A checkpoint of a server that was killed is not its end."""
    assert POSTGRES.end_position(CONTROL.format(state="shut down")) == "0/1A2B3C8"
    assert POSTGRES.end_position(CONTROL.format(state="in production")) == ""
    assert POSTGRES.end_position("") == ""


@pytest.mark.parametrize(
    ("replayed", "complete"), [("0/1A2B440", True), ("1/0", True), ("0/1A2B3C8", False), ("0/1A2B300", False)]
)
def test_a_standby_holds_everything_once_the_last_checkpoint_is_replayed(replayed: str, complete: bool) -> None:
    """The position after the record lies behind the record's own; positions are hexadecimal, not text."""
    assert (POSTGRES.why_not_complete(f"t|0/1A2B440|{replayed}|none", "0/1A2B3C8") == "") is complete


def test_a_standby_that_does_not_answer_is_not_complete() -> None:
    """No answer is never a yes."""
    assert POSTGRES.why_not_complete("", "0/1A2B3C8")
    assert POSTGRES.why_not_following("")
    assert POSTGRES.why_not_promoted("")


def test_a_standby_follows_when_it_streams_and_is_near() -> None:
    """Streaming, and less than a segment of the log behind."""
    assert POSTGRES.why_not_following("t|0/3000000|0/3000000|streaming") == ""
    assert "behind" in POSTGRES.why_not_following("t|0/9000000|0/3000000|streaming")
    assert "receiver none" in POSTGRES.why_not_following("t|0/3000000|0/3000000|none")


def test_a_password_with_colons_is_escaped() -> None:
    """The file of libpq has colons between its fields."""
    assert POSTGRES.password_file("app", "a:b\\c") == "*:*:*:app:a\\:b\\\\c\n"


def test_the_standbys_settings_let_nobody_in() -> None:
    """No TCP, a socket in its own container, and the server's own options before ours, which win."""
    entrypoint, command = POSTGRES.standby(["postgres", "-c", "listen_addresses=*"], "app", 42001)
    assert entrypoint == ["postgres"]
    assert command.index("listen_addresses=*") < command.index("listen_addresses=")


def test_a_redis_that_can_replicate_does() -> None:
    """Version 7 or later, a primary, no cluster, a log that shows the start."""
    assert REDIS.why_not(INFO, REDIS_SERVER) == ""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("8.0.2", "6.2.14", "does not wait for its replica"),
        ("role:master", "role:slave", "its role is slave"),
        ("cluster_enabled:0", "cluster_enabled:1", "part of a cluster"),
        ("notice", "warning", "its loglevel is warning"),
        ("\n10\n", "\n0\n", "shutdown-timeout is 0"),
        ("connected_slaves:0", "connected_slaves:1", "1 replicas follow it already"),
        ("dir\n/data", "dir\n/data/redis", "its data lies in /data/redis"),
        ("save\n3600 1\nappendonly\nyes", "save\n\nappendonly\nno", "keeps nothing on its disk"),
        ("dump.rdb\n# End", "dump.rdb\nusers.acl\n# End", "users.acl in /data would not travel"),
        ("# End", "", "was not told"),
    ],
)
def test_a_redis_that_can_not_says_why(old: str, new: str, reason: str) -> None:
    """Each condition has its words."""
    assert reason in REDIS.why_not(INFO.replace(old, new), REDIS_SERVER)


def test_a_redis_whose_log_goes_elsewhere_can_not() -> None:
    """Only its log shows whether the replica holds everything."""
    elsewhere: dict[str, Any] = {**REDIS_SERVER, "HostConfig": {"LogConfig": {"Type": "syslog"}}}
    assert "its log goes to syslog" in REDIS.why_not(INFO, elsewhere)
    assert "did not tell" in REDIS.why_not("NOAUTH Authentication required.", REDIS_SERVER)


@pytest.mark.parametrize(
    ("log", "end"),
    [
        ("1:M * 1 of 1 replicas are in sync when shutting down.", "1 of 1 replicas in sync"),
        ("1:M * 0 of 1 replicas are in sync when shutting down.", ""),
        ("1:M * 0 of 0 replicas are in sync when shutting down.", ""),
        (
            (
                "1:M * 1 of 1 replicas are in sync when shutting down.\nstarted again\n1:M * 0 of 1 replicas are "
                "in sync when shutting down."
            ),
            "",
        ),
        ("1:M * Redis is now ready to exit, bye bye...", ""),
    ],
)
def test_redis_says_whether_all_replicas_hold_everything(log: str, end: str) -> None:
    """The last word counts; none is none."""
    assert REDIS.end_position(log) == end


STOPS: Final = f"""\
1:M 23:10:01.000 * User requested shutdown...
1:M 23:10:01.100 * 1 of 1 replicas are in sync when shutting down.
1:M 23:10:01.200 # Redis is now ready to exit, bye bye...
1:C 23:12:00.000 * oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo
1:M 01:55:00.000 * Connection with replica client id #7 lost.
1:M 01:56:00.000 * User requested shutdown...
1:M 01:56:00.200 # Redis is now ready to exit, bye bye...
snapshot dump.rdb repl-id={ID} repl-offset=900
"""


def test_an_earlier_attempts_line_says_nothing_of_this_stop() -> None:
    """The tunnel broke before the second stop: what the log said of the first one proves nothing, and nothing is
    complete without it.
    """
    end = REDIS.end_position(STOPS)

    assert end == ""
    assert REDIS.why_not_complete("role:slave\nmaster_link_status:down\nmaster_sync_in_progress:0\n", end)


def test_another_replica_in_sync_is_not_ours() -> None:
    """Two of two, or one of two: nobody can know which of them is ours."""
    for line in ("2 of 2", "1 of 2"):
        assert (
            REDIS.end_position(f"* User requested shutdown...\n{line} replicas are in sync when shutting down.\n") == ""
        )


SAVED: Final = f"""\
* User requested shutdown...
* 1 of 1 replicas are in sync when shutting down.
* Saving the final RDB snapshot before exiting.
* DB saved on disk
snapshot dump.rdb repl-id={ID} repl-offset=4711
"""


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (f"master_replid:{ID}\nslave_repl_offset:4711\n", ""),
        (f"master_replid:{ID}\nslave_repl_offset:4710\n", "stands at 4710, the source ended at 4711"),
        (f"master_replid:{'ab' * 20}\nslave_repl_offset:4711\n", "follows abab"),
        (f"master_replid:{ID}\n", "no offset"),
        ("", "it follows None"),
    ],
)
def test_a_replica_must_stand_where_the_sources_last_snapshot_says(info: str, reason: str) -> None:
    """The source wrote its position when it stopped: the replica is asked for its own, of the same history."""
    end = REDIS.end_position(SAVED)
    assert end == f"1 of 1 replicas in sync, offset 4711 of {ID}"

    why = REDIS.why_not_complete(f"role:slave\nmaster_sync_in_progress:0\n{info}", end)

    assert (reason in why) if reason else not why


def test_a_snapshot_without_its_position_proves_nothing() -> None:
    """It was saved at the stop and should say where; without that the replica may lack its end."""
    assert REDIS.end_position(SAVED.rpartition("snapshot")[0]) == ""


def test_the_position_is_read_from_a_snapshots_head(tmp_path: Path, local_program: None) -> None:
    """Auxiliary fields as Redis writes them: a short number as an integer, a long one as text."""
    for offset in (b"\xc1\x67\x12", b"\xc2\x80\x96\x98\x00", b"\x0b12345678901"):
        head = (
            b"REDIS0012\xfa\x09redis-ver\x058.0.2\xfa\x07repl-id\x28"
            + ID.encode()
            + b"\xfa\x0brepl-offset"
            + offset
            + b"\xfe\x00"
        )
        (tmp_path / "dump.rdb").write_bytes(head)
        (tmp_path / "temp-12.rdb").write_bytes(b"REDIS0012")
        program = REDIS.end_in_data().replace("/data/", f"{tmp_path}/")
        said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        number = {b"\xc1": 4711, b"\xc2": 10_000_000}.get(offset[:1], 12345678901)
        assert said == f"snapshot dump.rdb repl-id={ID} repl-offset={number}\n"


def test_a_replica_follows_when_all_is_loaded_and_on_disk() -> None:
    """Its link is up, and its own append-only file holds what it loaded."""
    good = "role:slave\nmaster_link_status:up\nmaster_sync_in_progress:0\nloading:0\nasync_loading:0\n"
    good += "aof_rewrite_in_progress:0\naof_rewrite_scheduled:0\n"
    assert REDIS.why_not_following(good) == ""
    assert REDIS.why_not_following(good.replace("async_loading:0\n", "")) == ""
    assert "master_link_status down" in REDIS.why_not_following(good.replace("up", "down"))
    assert "aof_rewrite_in_progress 1" in REDIS.why_not_following(
        good.replace("progress:0\naof_rewrite_s", "progress:1\naof_rewrite_s")
    )
    assert REDIS.why_not_following("")


def test_a_redis_password_is_one_word_of_the_input() -> None:
    """Quotes and backslashes in it end nothing."""
    _, stdin = REDIS.connect('a"b\\c d', 42001)
    assert stdin == b'CONFIG SET masterauth "a\\"b\\\\c d"\nREPLICAOF 127.0.0.1 42001\n'
