"""Dependants use the new addresses themselves: killed in between and resumed, without the relay, and put back
exactly.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.lab import at_hand, killing
from tests.lab.at_hand import SOURCE, TARGETS

pytestmark = [pytest.mark.lab, pytest.mark.full]
VARIABLE: Final = "PGHOSTADDR"
"""libpq takes it before the host's name, so that the application needs no change."""
PUBLISHED: Final = "longshore-forward-published-postgres-5432"
NAMED: Final = "longshore-forward-apps-postgres-5432"
CONFIG: Final = "/srv/prometheus/prometheus.yml"
MONITOR: Final = TARGETS["prometheus"]


@pytest.fixture(scope="module")
def moved(prepared_lab: None) -> dict[str, Any]:
    """Move the core services, and return the application's container as it was."""
    at_hand.preflight_and_approve()
    migrate = at_hand.run_phase("migrate", "--apply")
    assert migrate.code == 0, migrate.output[-3000:]
    return at_hand.inspect(SOURCE, "orders")


def steady(raw: dict[str, Any]) -> dict[str, Any]:
    """Return what of a container must come back exactly: all that it was made with."""
    networks = {
        name: sorted(alias for alias in one["Aliases"] or [] if alias != raw["Id"][:12])
        for name, one in raw["NetworkSettings"]["Networks"].items()
    }
    config = {key: value for key, value in raw["Config"].items() if key != "Hostname"}
    return {
        "image": raw["Image"],
        "config": config,
        "host": raw["HostConfig"],
        "networks": networks,
        "mounts": raw["Mounts"],
    }


def environment(raw: dict[str, Any]) -> dict[str, str]:
    """Return a container's variables."""
    return dict(item.split("=", 1) for item in raw["Config"]["Env"])


def test_killed_in_between_it_resumes_and_the_relay_is_not_needed(moved: dict[str, Any]) -> None:
    """The application is made anew with the new address, nothing acknowledged is lost, and it works with every relay of
    postgres stopped.
    """
    first = at_hand.orders("/state")
    dry = at_hand.run_command("repoint", "postgres", "--lab")
    assert dry.code == 0, dry.output[-3000:]
    last = at_hand.orders("/state")
    argv = ("repoint", "postgres", "--lab", "--apply")
    killed = killing.run_until(
        lambda seen: (seen.kind, seen.key) == ("intent", "rewrite-references"), *argv, delay_s=4.0
    )
    assert killed.killed_at is not None, killed.output[-3000:]
    ended = killing.run_until(lambda _: False, *argv)
    assert ended.code == 0, ended.output[-4000:]

    orders, there = at_hand.inspect(SOURCE, "orders"), at_hand.containers(SOURCE)
    assert environment(orders) == environment(moved) | {VARIABLE: at_hand.address(TARGETS["postgres"])}
    assert NAMED not in there
    assert "orders-longshore-replaced" not in there
    at_hand.on_host(SOURCE, "docker", "stop", "--time", "1", PUBLISHED)
    at_hand.assert_data_flows()
    at_hand.on_host(SOURCE, "docker", "start", PUBLISHED)
    assert killing.lost_writes(first, last) == []  # of the container that was; the new one begins with a later number
    assert killing.lost_writes(at_hand.orders("/state")) == []
    assert killing.leftovers() == []
    assert killing.broken_chains() == []


def test_a_rollback_is_refused_until_it_is_put_back(moved: dict[str, Any]) -> None:
    """It names the command, and changes nothing."""
    before = at_hand.snapshot(SOURCE)

    ran = at_hand.run_command("rollback", "postgres", "--lab", "--apply")

    assert ran.code == 3, ran.output[-2000:]
    assert "nox -s repoint -- postgres --lab --revert --apply" in ran.output
    assert at_hand.snapshot(SOURCE) == before


def test_a_file_is_rewritten_in_place_and_nothing_else_of_it(moved: dict[str, Any]) -> None:
    """Prometheus scrapes the new address; owner, mode and inode of its file stay, and the evidence shows
    the one line.
    """
    before, facts = (
        at_hand.on_host(MONITOR, "cat", CONFIG),
        at_hand.on_host(MONITOR, "stat", "-c", "%u %g %a %i", CONFIG),
    )

    ran = at_hand.run_command("repoint", "prometheus", "--lab", "--apply")

    assert ran.code == 0, ran.output[-4000:]
    new = f"{at_hand.address(SOURCE)}:8080"
    assert at_hand.on_host(MONITOR, "cat", CONFIG) == before.replace("orders:8080", new)
    assert at_hand.on_host(MONITOR, "stat", "-c", "%u %g %a %i", CONFIG) == facts
    assert at_hand.row(ran, "prometheus", "rewrite-references")["details"] == [
        "/etc/prometheus/prometheus.yml:14", '- targets: ["orders:8080"]', f'+ targets: ["{new}"]',
    ]  # fmt: skip
    assert "longshore-forward-apps-orders-8080" not in at_hand.containers(MONITOR)


def test_the_night_after_everything_holds(moved: dict[str, Any]) -> None:
    """What was rewritten on purpose is no drift, and the page of links knows every connection."""
    validate = at_hand.run_phase("validate")

    assert validate.code == 0, validate.output[-4000:]
    links = at_hand.run_command("links", "--lab")
    assert links.code == 0, links.output[-2000:]


def test_it_is_put_back_exactly(moved: dict[str, Any]) -> None:
    """Container, file and relays are what they were, to the time of the file; a rollback has nothing in its way."""
    kept = at_hand.on_host(MONITOR, "sh", "-c", "cd /var/lib/longshore/references && stat -c %Y lab-prometheus-*-0")

    ran = at_hand.run_command("repoint", "prometheus", "postgres", "--lab", "--revert", "--apply")

    assert ran.code == 0, ran.output[-4000:]
    assert steady(at_hand.inspect(SOURCE, "orders")) == steady(moved)
    assert '["orders:8080"]' in at_hand.on_host(MONITOR, "cat", CONFIG)
    assert at_hand.on_host(MONITOR, "stat", "-c", "%Y", CONFIG) == kept
    assert NAMED in at_hand.containers(SOURCE)
    assert at_hand.on_host(MONITOR, "ls", "/var/lib/longshore/references") == ""
    at_hand.assert_data_flows()
    assert at_hand.run_command("rollback", "postgres", "--lab").code == 0


def test_a_pattern_that_fits_twice_changes_nothing(moved: dict[str, Any]) -> None:
    """How often it fits is said before any action."""
    at_hand.on_host(MONITOR, "sh", "-c", f"cp -p {CONFIG} /root/kept; echo '# targets: [\"orders:8080\"]' >> {CONFIG}")
    try:
        ran = at_hand.run_command("repoint", "prometheus", "--lab", "--apply")
        assert "fits 2 times. Expected: exactly once" in at_hand.text_of(
            at_hand.row(ran, "prometheus", "confirm-references")
        )
        assert ran.code == 1, ran.output[-2000:]
        assert at_hand.on_host(MONITOR, "grep", "-c", "orders:8080", CONFIG).strip() == "2"
    finally:
        at_hand.on_host(MONITOR, "sh", "-c", f"cat /root/kept > {CONFIG}; rm /root/kept")
