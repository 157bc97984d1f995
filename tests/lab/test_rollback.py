"""A service goes back to its source: with all that was written since, or as it was and saying what stays behind."""

from __future__ import annotations

import pytest

from tests.lab import at_hand, killing
from tests.lab.at_hand import HOSTS, SOURCE, TARGETS

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def moved(prepared_lab: None) -> None:
    """Move postgres and redis on the prepared lab."""
    flags = ("--service", "postgres", "--service", "redis")
    at_hand.preflight_and_approve(*flags)
    migrate = at_hand.run_phase("migrate", "--apply", *flags)
    assert migrate.code == 0, migrate.output[-3000:]


def test_dry_run_says_what_was_written_and_changes_nothing(moved: None) -> None:
    """Without --apply it counts what was written since the cutover, says what becomes of it, and leaves every host as
    it is.
    """
    before = at_hand.snapshot(*HOSTS)
    ran = at_hand.run_phase("rollback", "--service", "postgres")
    assert ran.code == 0, ran.output[-3000:]
    text = at_hand.text_of(at_hand.row(ran, "postgres", "target-writes"))
    assert "is brought back to wf005" in text
    assert "public.events" in text
    assert at_hand.snapshot(*HOSTS) == before


def test_data_comes_back_even_when_killed_in_between(moved: None) -> None:
    """Killed while it brings the data back and started again, it ends: nothing lost, the old data set aside, the target
    left clean.
    """
    acknowledged = at_hand.orders("/state")
    argv = ("rollback", "postgres", "--lab", "--apply")
    killed = killing.run_until(lambda seen: (seen.kind, seen.key) == ("intent", "copy-back"), *argv, delay_s=0.5)
    assert killed.killed_at is not None, killed.output[-3000:]
    ended = killing.run_until(lambda _: False, *argv)
    assert ended.code == 0, ended.output[-4000:]
    assert killing.both_sides("postgres") == (True, False)
    assert killing.lost_writes(acknowledged) == []
    volumes = at_hand.leftovers(SOURCE)["volumes"]
    assert "postgres_data-longshore-aside-1" in volumes
    assert "postgres_data" not in at_hand.leftovers(TARGETS["postgres"])["volumes"]
    assert at_hand.inspect(SOURCE, "postgres")["HostConfig"]["RestartPolicy"]["Name"] != "no"
    assert killing.leftovers() == []


def test_writes_can_be_left_behind(moved: None) -> None:
    """With --discard-target-writes the source is used as it was: what was written since is counted, kept on the target,
    and not there.
    """
    at_hand.redis_cli(TARGETS["redis"], "SET", "written:since", "1")
    ran = at_hand.run_command(
        "rollback", "redis", "--lab", "--discard-target-writes", "what was written may go", "--apply", timeout_s=600.0
    )
    assert ran.code == 0, ran.output[-4000:]
    assert "NOT brought back: it stays on wf001" in at_hand.text_of(at_hand.row(ran, "redis", "target-writes"))
    assert killing.both_sides("redis") == (True, False)
    assert at_hand.redis_cli(SOURCE, "EXISTS", "written:since") == "0"
    assert "redis-longshore-discarded-1" in at_hand.containers(TARGETS["redis"])
    assert "redis_data" in at_hand.leftovers(TARGETS["redis"])["volumes"]
    at_hand.wait_for("orders works again", at_hand.orders_work)


@pytest.mark.full
def test_a_service_that_came_back_moves_again_only_when_asked(moved: None) -> None:
    """After its rollback a move is refused until --retry names it; then it is moved as any other."""
    flags = ("--service", "postgres")
    at_hand.preflight_and_approve(*flags)
    refused = at_hand.run_phase("migrate", "--apply", *flags)
    assert refused.code == 3, refused.output[-3000:]
    assert "--retry postgres" in refused.output
    acknowledged = at_hand.orders("/state")
    again = at_hand.run_phase("migrate", "--apply", "--retry", "postgres", *flags, timeout_s=600.0)
    assert again.code == 0, again.output[-4000:]
    assert killing.both_sides("postgres") == (False, True)
    assert killing.lost_writes(acknowledged) == []
