"""Checks of where state lies: what a move would leave behind is FAILED by name."""

from __future__ import annotations

import pytest

from checks.containers.state_paths import (
    Change,
    Outside,
    changes_of,
    judge_anonymous_volumes,
    judge_kept_by_stop,
    judge_mount_rules,
    judge_shared_volumes,
    judge_state_paths,
    judge_volume_drivers,
    judge_writable_layer,
)
from engine.contracts.container import MountFacts
from engine.verdict import Verdict
from hosts.facts.model import VolumeFacts
from tests.fakes.facts import make_container, make_host, make_volume

COPY = {"/data": "copy"}


def diff(text: str) -> tuple[Change, ...]:
    """Return changes written as `docker diff` shows them."""
    return tuple(Change(line[0], line[2:]) for line in text.splitlines())


def test_changes_are_read_as_the_engine_lists_them() -> None:
    """Kinds and paths, spaces included; Docker lists none as null."""
    changes = [{"Path": "/var", "Kind": 0}, {"Path": "/var/a b", "Kind": 1}, {"Path": "/x", "Kind": 2}]
    assert changes_of(changes) == diff("C /var\nA /var/a b\nD /x")
    assert changes_of(None) == ()


def test_state_outside_mounts_fails_naming_it() -> None:
    """A database in the writable layer dies with the move."""
    changes = diff("C /var\nC /var/lib\nA /var/lib/app.db\nC /run\nA /run/app.pid\n")
    answer = judge_writable_layer(make_container(), changes, ("/run/*",))
    assert answer.verdict is Verdict.FAILED
    assert answer.details == ("A /var/lib/app.db",)


def test_noise_and_directories_above_mounts_pass() -> None:
    """The mount point's own directory is not state."""
    changes = diff("A /data\nC /run\nA /run/app.pid\n")
    assert judge_writable_layer(make_container(), changes, ("/run/*",)).passed


def test_changed_leaf_directory_counts() -> None:
    """A changed directory without a changed child may have lost a file."""
    assert judge_writable_layer(make_container(), diff("C /etc\n"), ()).verdict is Verdict.FAILED


def test_written_reason_lets_it_pass_visibly() -> None:
    """What is left behind is listed with its reason."""
    answer = judge_writable_layer(make_container(), diff("A /tmp/x\n"), (), "ignore: scratch files")
    assert answer.passed
    assert "scratch files" in answer.text
    assert answer.details == ("A /tmp/x",)


def test_mount_without_rule_fails_and_so_does_a_rule_without_mount() -> None:
    """The inventory and the container must agree both ways."""
    assert judge_mount_rules(make_container(), COPY).passed
    assert "volume at /data" in judge_mount_rules(make_container(), {}).text
    assert "/gone" in judge_mount_rules(make_container(), {**COPY, "/gone": "copy"}).text
    assert '"keep"' in judge_mount_rules(make_container(), {"/data": "keep"}).text


def test_state_path_off_the_mounts_fails() -> None:
    """A path that only begins like the mount's is not on it."""
    assert judge_state_paths(make_container(), ("/data",)).passed
    assert judge_state_paths(make_container(), ("/data2",)).verdict is Verdict.FAILED


def test_anonymous_volume_needs_a_rule() -> None:
    """64 hexadecimal digits are no name."""
    anonymous = make_container(mounts=(MountFacts("volume", "a" * 64, "/data", read_only=False),))
    assert judge_anonymous_volumes(anonymous, {}).verdict is Verdict.FAILED
    assert judge_anonymous_volumes(anonymous, COPY).passed


def test_driver_options_and_plugins_are_refused() -> None:
    """NFS behind the local driver is not plain local."""
    nfs = make_host(volumes=(make_volume("redis_data", options={"type": "nfs"}),))
    plugin = make_host(volumes=(make_volume("redis_data", driver="rexray"),))
    plain = make_host(volumes=(make_volume("redis_data"),))
    assert "type" in judge_volume_drivers(nfs, make_container(), COPY).text
    assert "rexray" in judge_volume_drivers(plugin, make_container(), COPY).text
    assert judge_volume_drivers(plain, make_container(), COPY).passed


def test_volume_written_by_a_container_that_stays_fails() -> None:
    """The other would keep writing to the old one; a reader is no writer."""
    sharer = make_container(name="backup")
    reader = make_container(name="reader", mounts=(MountFacts("volume", "redis_data", "/d", read_only=True),))
    answer = judge_shared_volumes(make_host(containers=(make_container(), sharer)), make_container(), COPY)
    assert answer.verdict is Verdict.FAILED
    assert "backup" in answer.text
    assert judge_shared_volumes(make_host(containers=(make_container(), reader)), make_container(), COPY).passed


@pytest.mark.parametrize(
    "source",
    ["/srv/shop/data", "/srv/shop", "/srv/shop/data/uploads", "/", "/srv/shop/data/", "/srv/shop/../shop//data"],
)
def test_a_writer_above_or_below_the_data_is_a_writer(source: str) -> None:
    """Its path need not be the same string: it keeps writing to what was copied."""
    shop = make_container(name="shop", mounts=(MountFacts("bind", "/srv/shop/data", "/data", read_only=False),))
    worker = make_container(name="worker", mounts=(MountFacts("bind", source, "/x", read_only=False),))
    reader = make_container(name="reader", mounts=(MountFacts("bind", source, "/x", read_only=True),))

    assert judge_shared_volumes(make_host(containers=(shop, worker)), shop, COPY).verdict is Verdict.FAILED
    assert judge_shared_volumes(make_host(containers=(shop, reader)), shop, COPY).passed


@pytest.mark.parametrize(
    ("mount", "volumes"),
    [
        (MountFacts("bind", "/var/lib/docker/volumes/redis_data/_data", "/x", read_only=False), ()),
        (MountFacts("bind", "/var/lib/docker/volumes", "/x", read_only=False), ()),
        (
            MountFacts("bind", "/disk2/redis/_data", "/x", read_only=False),
            (make_volume("redis_data", mountpoint="/disk2/redis/_data"),),
        ),
        (
            MountFacts("volume", "other", "/x", read_only=False),
            (make_volume("other", options={"o": "bind", "device": "/var/lib/docker/volumes"}),),
        ),
    ],
)
def test_a_writer_by_the_path_of_the_volume_is_a_writer(mount: MountFacts, volumes: tuple[VolumeFacts, ...]) -> None:
    """A volume lies at its mount point, wherever a bind mount or another volume comes from."""
    host = make_host(containers=(make_container(), make_container(name="backup", mounts=(mount,))), volumes=volumes)

    assert "also mounted by backup" in judge_shared_volumes(host, make_container(), COPY).text
    assert judge_shared_volumes(host, make_container(), COPY, {"writer backup": "it only reads there"}).passed


def test_neighbours_are_no_writers() -> None:
    """A path that only begins with the same letters, memory, and another volume."""
    shop = make_container(name="shop", mounts=(MountFacts("bind", "/srv/shop", "/data", read_only=False),))
    mounts = (
        MountFacts("bind", "/srv/shop2", "/x", read_only=False),
        MountFacts("tmpfs", "", "/y", read_only=False),
        MountFacts("volume", "shop", "/z", read_only=False),
    )

    assert judge_shared_volumes(
        make_host(containers=(shop, make_container(name="other", mounts=mounts))), shop, COPY
    ).passed


def test_state_in_memory_is_lost_by_the_stop() -> None:
    """A tmpfs over a state path is no mount that keeps it, whether docker inspect calls it one or only its
    options do.
    """
    memory = make_container(mounts=(MountFacts("tmpfs", "", "/data", read_only=False),))
    over = make_container(raw={"HostConfig": {"Tmpfs": {"/data/queue": ""}}})

    assert "lies in memory (tmpfs)" in judge_state_paths(memory, ("/data",)).text
    assert "lies in memory (tmpfs)" in judge_state_paths(over, ("/data/queue",)).text
    assert "emptied by its stop, as tmpfs: /data/queue" in judge_state_paths(over, ("/data",)).text


def test_state_of_the_product_outside_its_mounts_is_never_ignored() -> None:
    """A written reason covers caches; what the product knows to be state would be lost whatever is written, and doubts
    need the reason.
    """
    outside = Outside(noise=("/tmp/*",), doubts=("/tmp/files*",), state=("*.mv.db",))
    h2, media, cache = (
        Change("A", "/metabase.db/metabase.db.mv.db"),
        Change("A", "/tmp/files/a.jpg"),
        Change("A", "/tmp/x"),
    )

    assert "is state of its product" in judge_writable_layer(make_container(), [h2], outside, "only caches").text
    assert judge_writable_layer(make_container(), [media], outside).verdict is Verdict.FAILED
    assert judge_writable_layer(make_container(), [media], outside, "fetched at once").passed
    assert judge_writable_layer(make_container(), [cache], outside).passed


def test_what_a_stop_would_lose_fails() -> None:
    """Each loss fails; no loss named is nothing lost."""
    assert judge_kept_by_stop("wf005: redis", ('save "": it loses 3 keys',)).verdict is Verdict.FAILED
    assert judge_kept_by_stop("wf005: redis", ()).passed
