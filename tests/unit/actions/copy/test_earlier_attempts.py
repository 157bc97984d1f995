"""What an attempt left whose undo could not finish is removed by the next one, and nothing else is."""

from __future__ import annotations

from typing import Any, Final

import pytest

from actions.common.route import Route
from actions.copy import endpoints
from actions.copy.earlier_attempts import ROLES, WAYS, earlier_labels, remove_earlier
from actions.copy.ssh_channel import key_comment, key_directory
from actions.outage import probe
from actions.replication import replica
from engine.errors import ActionError
from tests.fakes.fleet import FakeFleet
from tests.fakes.host import FakeHost

HELPERS: Final = "aaa lab/redis/1 copy\nbbb lab/redis/2 replica\nccc lab/redis/3 copy\nddd lab/redis/1 service\n"
FOREIGN: Final = "eee lab/redis-cache/1 copy\nfff other/redis/1 copy\nggg lab/redis/1 \n"
KEYS: Final = ("lab/redis/1", "lab/redis/3", "lab/redis-cache/1", "other/redis/1")


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Catch what is written to the hosts' audit logs."""
    written: list[str] = []
    monkeypatch.setattr(
        "actions.common.route.append_audit", lambda host, entry, **_: written.append(f"{host.name}: {entry['text']}")
    )
    return written


def hosts(*, removed: tuple[int, str, str] = (0, "", "")) -> dict[str, FakeHost]:
    """Return the source and the target, both full of what attempts leave."""
    keys = "\n".join(key_comment(label, "replica") for label in KEYS)
    answers = {
        "docker ps": (0, HELPERS + FOREIGN, ""),
        "docker rm": removed,
        "grep -oE": (0, keys, ""),
    }
    return {name: FakeHost(name, dict(answers)) for name in ("wf005", "wf001")}


def route_of(made: dict[str, FakeHost], attempt: int) -> Route:
    """Return the move of redis from wf005 to wf001 in one of its attempts."""
    fleet: Any = FakeFleet(made)
    return Route(fleet, "redis", "redis", "wf005", "wf001", f"lab/redis/{attempt}")


def test_helpers_keys_and_passwords_of_earlier_attempts_are_removed(audit: list[str]) -> None:
    """On both hosts, by label and comment: those of this attempt, of other services and environments stay."""
    made = hosts()
    remove_earlier(route_of(made, 3))
    for host in made.values():
        asked = [argv for argv, _ in host.asked]
        assert [argv[argv.index("rm") :] for argv in asked if "docker" in argv and "rm" in argv] == [
            ["rm", "--force", "--volumes", "aaa", "bbb"]
        ]
        assert [argv[-1] for argv in asked if "authorize" in argv] == ["longshore:replica:lab/redis/1:key"]
        directories = next(argv[argv.index("--") + 1 :] for argv in asked if "-rf" in argv)
        assert set(directories) == {key_directory(f"lab/redis/{attempt}", way) for attempt in (1, 2) for way in WAYS}
    assert sorted(line.partition(":")[0] for line in audit) == ["wf001", "wf005"]


def test_a_first_attempt_asks_nothing(audit: list[str]) -> None:
    """There is none before it."""
    made = hosts()
    remove_earlier(route_of(made, 1))
    assert [host.asked for host in made.values()] == [[], []]
    assert audit == []
    assert earlier_labels("lab/redis/3") == ("lab/redis/1", "lab/redis/2")


@pytest.mark.usefixtures("audit")
def test_a_helper_that_can_not_be_removed_stops_the_copy() -> None:
    """It could still write to the place that is copied to; one that is gone already is no trouble."""
    gone = hosts(removed=(1, "", "Error response from daemon: No such container: aaa"))
    remove_earlier(route_of(gone, 3))
    stuck = hosts(removed=(1, "", "Error response from daemon: container aaa: driver failed"))
    with pytest.raises(ActionError, match=r"wf001: 2 helpers .* could not be removed: .* docker rm -f aaa bbb"):
        remove_earlier(route_of(stuck, 3))


def test_all_ways_and_helpers_of_a_move_are_known() -> None:
    """They are those that a copy, a replica and the probe use."""
    assert set(WAYS) == {endpoints.PURPOSE, replica.PURPOSE, "standby"}
    assert set(ROLES) == {endpoints.ROLE, replica.ROLE, probe.ROLE}
