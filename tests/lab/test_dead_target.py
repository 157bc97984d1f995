"""The new host dies after a move: its service goes back only when a person says so, and is stopped there
when it rises.
"""

from __future__ import annotations

import pytest

from tests.lab import at_hand, killing
from tests.lab.at_hand import SOURCE, TARGETS

SERVICE = "redis"
TARGET = TARGETS[SERVICE]
BACK = ("rollback", SERVICE, "--lab", "--apply")

pytestmark = [pytest.mark.lab, pytest.mark.full]


def test_a_service_comes_back_from_a_dead_host(prepared_lab: None) -> None:
    """Refused while the host answers and while its writes are not given up; then it serves from its old host again.

    The host rises with the service running, since it restarts by itself: the next run stops it there before anything
    else.
    """
    flags = ("--service", SERVICE)
    at_hand.preflight_and_approve(*flags)
    assert at_hand.run_phase("migrate", "--apply", *flags).code == 0
    dead = ("--target-lost", "its disk burnt")
    alive = at_hand.run_command(*BACK, *dead, "--discard-target-writes", "what was written may go")
    assert alive.code == 3, alive.output[-3000:]
    assert f"{TARGET}: answers through ssh" in alive.output

    at_hand.lab("break", "host-stopped")
    try:
        kept = at_hand.run_command(*BACK, *dead)
        assert kept.code == 3, kept.output[-3000:]
        assert "add --discard-target-writes" in kept.output
        ran = at_hand.run_command(*BACK, *dead, "--discard-target-writes", "what was written may go")
        assert ran.code == 0, ran.output[-4000:]
        assert at_hand.inspect(SOURCE, SERVICE)["State"]["Running"]
        at_hand.wait_for("orders works again", at_hand.orders_work)
    finally:
        at_hand.heal()
    at_hand.wait_for("the risen service", lambda: at_hand.containers(TARGET)[SERVICE]["State"]["Running"], 60.0)

    assert at_hand.run_phase("prepare", "--apply", *flags).code in {0, 1, 2}

    assert killing.both_sides(SERVICE) == (True, False)
    assert at_hand.inspect(TARGET, SERVICE)["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert at_hand.orders_work()
