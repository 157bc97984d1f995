"""Redis: ready when loaded, works for a client, and holds the same keys, types, values and expiry times.

Options: `changing_keys` (patterns of keys that change all the time), `only_a_cache` (why its keys may be lost by the
move). Secrets: `password`. Its keys may be sessions or say whose data they hold: they are called by keyed digests in
all that is written down.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.mount_kinds import is_kept
from engine.contracts.product import KernelNeed, LogPattern, RestoreCommand, ServiceInstance
from engine.errors import NotObservedError, UnreachableError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed
from services.redis.replication import RedisReplication

TIMEOUT_S: Final = 10.0
BATCH: Final = 1000
NAMED_KEYS: Final = 200_000
"""Up to so many keys of a database each key's own digest is kept, so that a message can name it."""
SOON_MS: Final = 600_000
"""Keys that expire within ten minutes are left out: they may be gone before the other side is read."""
GONE: Final = -2
READERS: Final[dict[bytes, tuple[Any, ...]]] = {
    b"string": ("GET",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"hash": ("HGETALL",),
    b"stream": ("XRANGE", "-", "+"),
}
SAVE: Final = """\
ask() { redis-cli --raw "$@" 2>&1 | tr -d '\\r'; }
info=$(ask INFO persistence)
case "$info" in NOAUTH*|NOPERM*|WRONGPASS*|*"unknown command"*) exit 0;; esac
case "$info" in *aof_enabled:1*) exit 0;; *aof_enabled:0*) ;; *) echo "INFO persistence: $info" >&2; exit 1;; esac
case "$(ask CONFIG GET save)" in save) exit 0;; save*[0-9]*) ;; *) exit 0;; esac
for try in $(seq 600); do
    said=$(ask BGSAVE)
    case "$said" in NOPERM*|*"unknown command"*) exit 0;; esac
    case "$said" in *started*) break;; *progress*|*"can't BGSAVE"*) sleep 1;; *) echo "BGSAVE: $said" >&2; exit 1;; esac
done
case "$said" in *started*) ;; *) echo "BGSAVE: $said" >&2; exit 1;; esac
while info=$(ask INFO persistence); do
    case "$info" in *rdb_bgsave_in_progress:1*) sleep 0.2;; *rdb_bgsave_in_progress:0*) break;;
      *) echo "INFO persistence: $info" >&2; exit 1;; esac
done
case "$info" in *rdb_last_bgsave_status:ok*) ;; *) echo "its snapshot failed; its log says why" >&2; exit 1;; esac
"""
"""A snapshot is written while it serves, by a process of its own (commands: BGSAVE). At SIGTERM a server with save
points writes another,
and stays when that fails (docs: "Signals handling"); a full disk is found before, and one that is killed over its last
snapshot starts from this one. With an append-only file nothing is gained, and without save points nobody wants a file.
Where the container's own client is not let in (no REDISCLI_AUTH, an ACL, a renamed command) the snapshot at SIGTERM is
the only one."""
PLACE_SNAPSHOT: Final = """
import os, shutil, sys
folder = sys.argv[1]
snapshot, log = (os.path.join(folder, name) for name in ("dump.rdb", "appendonly.aof"))
with open(snapshot, "wb") as file:
    shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
size = os.path.getsize(snapshot)
with open(snapshot, "r+b") as file:
    file.seek(max(0, size - 49))
    end = file.read()
    if len(end) == 49 and end[0] == 255 and set(end[9:]) <= set(b"0123456789abcdef"):
        file.truncate(size - 40)
owner = os.stat(folder)
os.chown(snapshot, owner.st_uid, owner.st_gid)
os.link(snapshot, log)
"""
"""With an append-only file wanted, a server that finds none starts empty and reads no snapshot; an old-style one may
begin
with a snapshot (redis.conf, aof-use-rdb-preamble), and later servers take it over. `redis-cli --rdb -` leaves the 40
digits by which a diskless replication marks its end behind the checksum; an append-only file must not have them."""


PING: Final = contract.ProbeQuestion("redis", b"PING\r\n", (b"+PONG", b"-NOAUTH"))
"""One that wants a password says so: it answers."""


class Product(contract.Product):
    """The key-value store."""

    name = "redis"
    image_names: tuple[str, ...] = ("redis",)
    probe_question = PING
    replication = RedisReplication()
    acts_on_start = False
    stop_grace_s = 120
    clean_exit_codes = frozenset({0, 143})
    # https://redis.io/docs/latest/operate/oss_and_stack/management/admin/: a fork for saving fails or stalls otherwise.
    kernel_needs = (
        KernelNeed("vm.overcommit_memory", say("Redis' administration page: background saving may fail"), words=("1",)),
        KernelNeed(
            "transparent_hugepage",
            say("Redis' administration page: latency after each fork"),
            words=("madvise", "never"),
        ),
    )
    ready_deadline_s = 120.0
    state_paths: tuple[str, ...] = ("/data",)
    writable_noise: tuple[str, ...] = ("/tmp/*", "/run/*")  # noqa: S108
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r"Fatal error loading the DB|Bad file format reading the append only file|Wrong signature",
            say("its files can't be read"),
        ),
        LogPattern(r"Can't handle RDB format version", say("the files are of a newer Redis")),
        LogPattern(
            r"Background saving error|Can't save in background", say("it can't persist, and refuses writes for that")
        ),
        LogPattern(r"Out Of Memory allocating", say("it is out of memory")),
        LogPattern(r"Connecting to MASTER", say("it is a replica")),
        LogPattern(
            r"Creating AOF base file .* on server start", say("it started empty: the append-only files were not there")
        ),
        LogPattern(r"short read while loading the AOF|truncating the AOF", say("the append-only file was cut off")),
        LogPattern(r"No space left on device|Error writing to the AOF file", say("the disk is full")),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(
            r"overcommit_memory|Transparent Huge Pages",
            say("kernel settings of the host; worth mending, not harmful tonight"),
        ),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask for PONG of a server that has loaded its data."""
        where = say("{service} on {host}", service=at.service, host=at.container.host)
        try:
            with _connect(at) as client:
                client.ping()
                loading = client.info("persistence")["loading"]
        except UnreachableError as error:
            return failed(str(error))
        if loading:
            return failed(say("{where}: still loads its data", where=where))
        return passed(say("{where}: answers PING, its data is loaded", where=where))

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Set, read and remove a key of our own; persistence works as configured; the server is a primary."""
        where = say("{service} on {host}", service=at.service, host=at.container.host)
        with _connect(at) as client:
            client.set(nonce, nonce, ex=60)
            seen = client.get(nonce)
            client.delete(nonce)
            persistence, role = client.info("persistence"), client.info("replication")["role"]
            aof_wanted = client.config_get("appendonly").get("appendonly") == "yes"
            saves = bool(str(client.config_get("save").get("save", "")).strip())
        wrong = [
            text
            for text, bad in (
                (say("read back {seen}", seen=repr(seen)), seen != nonce.encode()),
                (say("role {role}", role=role), role != "master"),
                (say("append-only file is configured but not in use"), aof_wanted and not persistence["aof_enabled"]),
                (
                    say(
                        "last append {aof_last_write_status}",
                        aof_last_write_status=persistence.get("aof_last_write_status"),
                    ),
                    persistence.get("aof_last_write_status", "ok") != "ok",
                ),
                (
                    say(
                        "last snapshot {rdb_last_bgsave_status}",
                        rdb_last_bgsave_status=persistence["rdb_last_bgsave_status"],
                    ),
                    persistence["rdb_last_bgsave_status"] != "ok",
                ),
            )
            if bad
        ]
        if wrong:
            return failed(
                say(
                    "{where}: {wrong}. Expected: a primary that keeps what is written",
                    where=where,
                    wrong=joined("; ", wrong),
                )
            )
        mode = (
            say("persists by append-only file")
            if persistence["aof_enabled"]
            else say("persists by snapshots")
            if saves
            else say("keeps nothing on disk")
        )
        return passed(say("{where}: a key was set, read and removed; primary; {mode}", where=where, mode=mode))

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read every key of every database; keys that expire soon and those that change all the time are left out."""
        changing = tuple(map(str, at.options.get("changing_keys") or ()))
        parts: dict[str, FingerprintPart] = {}
        names: dict[str, str] = {}
        with _connect(at) as client:
            databases = (
                []
                if at.options.get("only_a_cache")
                else sorted(int(name.removeprefix("db")) for name in client.info("keyspace"))
            )
            parts["settings: persistence, memory, authentication"] = _settings(client)
            parts |= _server_parts(client)
        for database in databases:
            before = since.parts.get(f"db {database}: keys") if since else None
            with _connect(at, database) as client:
                parts[f"db {database}: keys"] = _keys(client, changing, before, at.sealed, names)
        at.names(names)
        return Fingerprint(at.service, parts)

    def lost_by_stop(self, at: ServiceInstance) -> tuple[str, ...]:
        """Return what a stop loses: at SIGTERM it saves only with save points or an append-only file (redis.conf:
        shutdown-on-sigterm, save).
        """
        if at.options.get("only_a_cache"):
            return ()
        try:
            with _connect(at) as client:
                keys = sum(int(about["keys"]) for about in client.info("keyspace").values())
                persistence = client.info("persistence")
                settings = {
                    name: str(client.config_get(name).get(name, ""))
                    for name in ("save", "appendonly", "shutdown-on-sigterm", "dir")
                }
        except redis.ResponseError as error:
            raise NotObservedError(
                say(
                    "{where}: its settings can't be read: {error}. Expected: INFO and CONFIG GET, to know what a stop "
                    "would lose",
                    where=at.where,
                    error=str(error)[:120],
                )
            ) from None
        return tuple(lost_with(settings, persistence, keys, at.container))

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return a snapshot as a replica would get it; the container's own REDISCLI_AUTH lets it in."""
        return (ContainerCommand(("sh", "-c", "redis-cli --rdb - 2>/dev/null"), timeout_s=3600, saves_as="dump.rdb"),)

    def save_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return how a store that lives by its snapshots writes one before it is stopped; the container's own
        REDISCLI_AUTH lets it in.
        """
        return (ContainerCommand(("sh", "-c", SAVE), timeout_s=3600, does="let redis write a snapshot"),)

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:  # noqa: ARG002
        """Return how the snapshot is put where the server looks for one when it starts, under the default
        file names.
        """
        data = self.state_paths[0]
        argv = ("python3", "-c", PLACE_SNAPSHOT, data)
        return (RestoreCommand("dump.rdb", data, argv, timeout_s=3600, before_start=True),)


def lost_with(
    settings: Mapping[str, str], persistence: Mapping[str, Any], keys: int, container: ContainerFacts
) -> Iterator[str]:
    """Yield what a stop of a server with these settings would lose, and how it can keep it."""
    keep = f"Try: docker exec {container.name} redis-cli CONFIG SET save '3600 1 300 100 60 10000'"
    cache = "or write in inventory.yaml why they may be lost: options: {only_a_cache: ...}"
    if str(persistence.get("aof_enabled")) != "1":
        if not settings["save"].strip():
            yield (
                f'save "", appendonly {settings["appendonly"] or "no"}: it keeps nothing on disk, a stop loses '
                f"its {keys:,} keys. {keep}, {cache}"
            )
        elif "nosave" in settings["shutdown-on-sigterm"]:
            yield (
                f"shutdown-on-sigterm {settings['shutdown-on-sigterm']}: a stop loses what was written since its "
                "last snapshot. Set it to default"
            )
    if (
        persistence.get("rdb_last_bgsave_status", "ok") != "ok"
        or persistence.get("aof_last_write_status", "ok") != "ok"
    ):
        yield "its last write to disk failed (INFO persistence): a stop may lose what is in its memory. Read its log"
    if settings["dir"] and not is_kept(container, settings["dir"]):
        yield (
            f"dir {settings['dir']}: its files lie on no mount that outlives it, so they stay behind. Put "
            f"{settings['dir']} on a volume"
        )


@contextmanager
def _connect(at: ServiceInstance, database: int = 0) -> Iterator[Any]:
    """Yield a client of one database; a refused password is an AssertionError, no answer is UnreachableError.

    It never connects again automatically: a new connection begins in the client's own database, whatever SELECT was
    sent before (redis-py, `Connection.on_connect`), so what was read half would continue elsewhere.
    """
    where = say("{service} on {host}", service=at.service, host=at.container.host)
    password = at.secrets["password"].reveal() if "password" in at.secrets else None
    try:
        with redis.Redis(
            host=at.endpoint.host,
            port=at.endpoint.port,
            db=database,
            password=password,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
        ) as client:
            yield client
    except redis.AuthenticationError as error:
        reason = str(error)[:120]
        raise AssertionError(
            f"{where}: login refused: {reason}. Expected: the password of the inventory's reference works"
        ) from None
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise UnreachableError(
            say("{where}: no answer: {name}: {error}", where=where, name=type(error).__name__, error=str(error)[:160])
        ) from None


def _settings(client: Any) -> FingerprintPart:
    names = (
        "appendonly",
        "appendfsync",
        "save",
        "maxmemory",
        "maxmemory-policy",
        "notify-keyspace-events",
        "databases",
    )
    values = [f"{name}={client.config_get(name).get(name)}" for name in names]
    values.append(f"password={'yes' if client.config_get('requirepass').get('requirepass') else 'no'}")
    return FingerprintPart(len(values), hashlib.sha256("\n".join(values).encode()).hexdigest())


def _server_parts(client: Any) -> dict[str, FingerprintPart]:
    """Return users and functions, which lie next to the keys; a server or a user without them (before 6.0 and 7.0, ACL
    rules) has no such part.
    """
    parts: dict[str, FingerprintPart] = {}
    for name, command in (("users and their rights", ("ACL", "LIST")), ("functions", ("FUNCTION", "LIST", "WITHCODE"))):
        try:
            found = client.execute_command(*command)
        except redis.ResponseError:
            continue
        if found:
            texts = sorted(repr(one) for one in found)
            parts[name] = FingerprintPart(len(texts), hashlib.sha256("\n".join(texts).encode()).hexdigest())
    return parts


def _keys(
    client: Any,
    changing: Collection[str],
    before: FingerprintPart | None,
    sealed: Callable[[str], str],
    said: dict[str, str],
) -> FingerprintPart:
    """Return the keys of the client's database; with `before`, only those that it knew. `said` gets what their
    digests stand for.

    A key that was to expire by now and is gone counts as unchanged: Redis did as configured.
    """
    now_ms = int(time.time() * 1000)
    names = {}
    for key, kind, expires_ms, value in _entries(client, changing):
        if 0 < expires_ms <= now_ms + SOON_MS:
            continue
        name = sealed(shown(key))
        names[name] = _sealed_digest(sealed, _name_digest(key, kind, expires_ms, value))
        if len(said) < NAMED_KEYS:
            said[name] = shown(key)
    if before is not None and before.names:
        expired = {
            name: digest
            for name, digest in before.names.items()
            if name not in names and _was_to_expire(digest, now_ms)
        }
        names = {name: digest for name, digest in {**names, **expired}.items() if name in before.names}
    digest = hashlib.sha256("\n".join(f"{name} {names[name]}" for name in sorted(names)).encode()).hexdigest()
    if len(names) > NAMED_KEYS:
        return FingerprintPart(len(names), digest, Validity.AT_CUTOVER)
    return FingerprintPart(len(names), digest, Validity.SINCE_CUTOVER, {}, names)


def _sealed_digest(sealed: Callable[[str], str], digest: str) -> str:
    """Return a key's digest as it may be written down, its expiry with it: of a short key and value the plain digest
    could be guessed.
    """
    content, at, expires = digest.partition("@")
    return sealed(content)[1:] + at + expires


def shown(key: bytes) -> str:
    """Return a key as text; other bytes as escapes."""
    return key.decode("utf-8", "backslashreplace")


def _name_digest(key: bytes, kind: bytes, expires_ms: int, value: Any) -> str:
    digest = hashlib.sha256(b"\0".join((key, kind, str(expires_ms).encode(), canonical(kind, value)))).hexdigest()[:16]
    return f"{digest}@{expires_ms}" if expires_ms > 0 else digest


def _was_to_expire(digest: str, now_ms: int) -> bool:
    _, _, expires_ms = digest.partition("@")
    return bool(expires_ms) and int(expires_ms) <= now_ms + SOON_MS


def _entries(client: Any, changing: Collection[str]) -> Iterator[tuple[bytes, bytes, int, Any]]:
    """Yield key, type, expiry (ms since the epoch, -1 without) and value of each key that is not said to change."""
    cursor = 0
    while True:
        cursor, found = client.scan(cursor, count=BATCH)
        keys = [
            key for key in dict.fromkeys(found) if not any(fnmatchcase(shown(key), pattern) for pattern in changing)
        ]
        about = _pipelined(client, [command for key in keys for command in (("TYPE", key), ("PEXPIRETIME", key))])
        kinds, expiries = about[::2], about[1::2]
        values = _pipelined(client, [_reader(kind, key) for kind, key in zip(kinds, keys, strict=True)])
        for key, kind, expires_ms, value in zip(keys, kinds, expiries, values, strict=True):
            if int(expires_ms) != GONE:
                yield key, _word(kind), int(expires_ms), value
        if cursor == 0:
            return


def _pipelined(client: Any, commands: list[tuple[Any, ...]]) -> list[Any]:
    """Return raw answers; response callbacks of the client would change types."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return list(pipeline.execute())


def _word(kind: Any) -> bytes:
    return kind.encode() if isinstance(kind, str) else bytes(kind)


def _reader(kind: Any, key: bytes) -> tuple[Any, ...]:
    command, *arguments = READERS.get(_word(kind), ("DUMP",))
    return (command, key, *arguments)


def canonical(kind: bytes, value: Any) -> bytes:
    """Return a value in one defined order: sets and hashes have none of their own."""
    if kind == b"set":
        value = sorted(value)
    if isinstance(value, dict):
        value = sorted(value.items())
    return repr(value).encode()
