"""Redis asked over its wire: one database at a time, no name of a key in what is written, and what a stop
would lose.
"""

from __future__ import annotations

import pytest

from engine.contracts.container import MountFacts
from engine.errors import UnreachableError
from services.fingerprints.compare import compare_fingerprints
from services.redis.product import Product
from tests.fakes.redis_server import FakeRedis, serving_redis

pytestmark = pytest.mark.usefixtures("loopback")
DATA = (MountFacts("volume", "redis_data", "/data", read_only=False),)
SESSION = "sess:Xk29fLq0aZ8-3mNvBt77PpQwErTyUiOp"


def test_a_connection_that_breaks_never_continues_in_another_database() -> None:
    """Cut in the middle of database 3 the reading ends; it does not count the keys of database 0 as those of 3."""
    fake = FakeRedis(
        {0: {f"zero:{n}": "0" for n in range(20)}, 3: {f"three:{n}": "3" for n in range(20)}}, break_at="3 SCAN 10"
    )
    with serving_redis(fake), pytest.raises(UnreachableError, match="no answer"):
        Product().fingerprint(fake.target(), None)


def test_each_database_is_read_by_itself() -> None:
    """Equal names in two databases are two things, and one that is gone is missed where it was."""
    fake = FakeRedis({0: {"a": "1", "b": "2"}, 3: {"a": "1", "b": "2", "c": "3"}})
    with serving_redis(fake):
        at = fake.target()
        before = Product().fingerprint(at, None)
        del fake.databases[3]["c"]
        seen = compare_fingerprints(before, Product().fingerprint(at, before))

    assert (before.parts["db 0: keys"].count, before.parts["db 3: keys"].count) == (2, 3)
    assert f"db 3: keys: missing {at.sealed('c')}" in seen.text


def test_names_of_keys_are_in_no_fingerprint_and_in_no_message() -> None:
    """A key may be a session or say whose it is: records have digests, and only the private folder gets the names."""
    names: dict[str, str] = {}
    fake = FakeRedis({0: {SESSION: "x", "reset:ana@example.org:7f4c2b9e": "y", "user:cpf:123.456.789-09": "z"}})
    with serving_redis(fake):
        at = fake.target()
        object.__setattr__(at, "names", names.update)
        before = Product().fingerprint(at, None)
        fake.databases[0] = {}
        gone = compare_fingerprints(before, Product().fingerprint(at, before))

    written = repr(before) + gone.text + repr(gone.details) + repr(before.parts["db 0: keys"].names)
    for name in (SESSION, "ana@example.org", "123.456.789-09", "sess:"):
        assert name not in written
    assert at.sealed(SESSION) in gone.text
    assert names[at.sealed(SESSION)] == SESSION


KEPT = "rdb_last_bgsave_status"


@pytest.mark.parametrize(
    ("config", "persistence", "mounts", "said"),
    [
        (
            {"appendonly": "no", "save": ""},
            {},
            DATA,
            'save "", appendonly no: it keeps nothing on disk, a stop loses its 3 keys',
        ),
        ({"appendonly": "no", "shutdown-on-sigterm": "nosave"}, {}, DATA, "shutdown-on-sigterm nosave"),
        ({"appendonly": "no"}, {KEPT: "err"}, DATA, "its last write to disk failed"),
        ({"dir": "/tmp"}, {}, DATA, "dir /tmp: its files lie on no mount"),
        (
            {},
            {},
            (MountFacts("tmpfs", "", "/data", read_only=False),),
            "dir /data: its files lie on no mount that outlives it",
        ),
        ({}, {}, DATA, ""),
        ({"appendonly": "no"}, {}, DATA, ""),
    ],
)
def test_what_a_stop_would_lose_is_reported_before_the_stop(
    config: dict[str, str], persistence: dict[str, str], mounts: tuple[MountFacts, ...], said: str
) -> None:
    """A server without save points and append-only file, with data in memory or outside its volume, comes back empty
    even on its own host.
    """
    with serving_redis(FakeRedis({0: {"a": "1", "b": "2", "c": "3"}}, config, persistence)) as fake:
        lost = Product().lost_by_stop(fake.target(mounts=mounts))

    assert bool(lost) == bool(said)
    assert not said or said in lost[0]


def test_a_cache_may_be_lost_when_the_inventory_says_why() -> None:
    """Then its keys are in no fingerprint either: they would be missed on the target."""
    with serving_redis(FakeRedis({0: {"a": "1"}}, {"appendonly": "no", "save": ""})) as fake:
        at = fake.target({"only_a_cache": "filled again within minutes"}, mounts=DATA)
        assert Product().lost_by_stop(at) == ()
        assert list(Product().fingerprint(at, None).parts) == ["settings: persistence, memory, authentication"]


def test_tmpfs_of_docker_run_counts_as_memory() -> None:
    """`--tmpfs /data` is no mount for docker inspect, and over a volume's folder it hides the volume."""
    with serving_redis(FakeRedis({0: {"a": "1"}})) as fake:
        lost = Product().lost_by_stop(fake.target(mounts=DATA, raw={"HostConfig": {"Tmpfs": {"/data": "size=64m"}}}))

    assert "dir /data" in lost[0]
