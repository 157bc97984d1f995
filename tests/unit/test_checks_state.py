"""Checks of where state lies: what a move would leave behind is FAILED by name."""

from __future__ import annotations

from checks.state import (
    Change,
    changes_of,
    judge_anonymous_volumes,
    judge_mount_rules,
    judge_shared_volumes,
    judge_state_paths,
    judge_volume_drivers,
    judge_writable_layer,
)
from engine.model import MountFacts
from engine.verdict import Verdict
from tests.unit.making_facts import make_container, make_host, make_volume

COPY = {"/data": "copy"}


def diff(text: str) -> tuple[Change, ...]:
    """Return changes written as `docker diff` shows them."""
    return tuple(Change(line[0], line[2:]) for line in text.splitlines())


def test_changes_are_read_as_the_engine_tells_them() -> None:
    """Kinds and paths, spaces included; none is told as null."""
    told = [{"Path": "/var", "Kind": 0}, {"Path": "/var/a b", "Kind": 1}, {"Path": "/x", "Kind": 2}]
    assert changes_of(told) == diff("C /var\nA /var/a b\nD /x")
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
    """A path like the mount's, but beside it, is not on it."""
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
    """The other would go on writing to the old one; a reader is no writer."""
    sharer = make_container(name="backup")
    reader = make_container(name="reader", mounts=(MountFacts("volume", "redis_data", "/d", read_only=True),))
    answer = judge_shared_volumes(make_host(containers=(make_container(), sharer)), make_container(), COPY)
    assert answer.verdict is Verdict.FAILED
    assert "backup" in answer.text
    assert judge_shared_volumes(make_host(containers=(make_container(), reader)), make_container(), COPY).passed
