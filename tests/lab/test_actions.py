"""One service moved on the real lab by its actions alone, looked at on both hosts, and undone without a trace."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from actions.common.route import Route, inspect_container
from actions.container.commit import Commit
from actions.container.source import DisableRestart, RenameSource, StopSource
from actions.container.target import CreateTarget, StartTarget
from actions.container_spec.saved_spec import SaveSourceSpec
from actions.copy.locations import places_to_copy
from actions.copy.precopy import Precopy
from actions.copy.ssh_channel import Peer, list_keys
from actions.copy.volumes import CopyVolumes, VerifyVolumes
from actions.images.ship import ShipImage
from actions.outage.probe import MeasureOutage, StartProbe
from actions.outage.vantage_point import choose_probe_target
from actions.relays.planning import wanted_forwarders
from actions.relays.reconcile import apply_forwarders
from engine.config.environment import load_environment
from engine.config.inventory import load_inventory
from engine.config.plan import load_plan
from engine.config.scope import Scope, build_scope
from engine.contracts.action import Action, Note
from engine.errors import ManualInterventionError
from hosts.fleet import Fleet, open_hosts

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICE: Final = "redis"
GRACE_S: Final = 60

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def scope() -> Scope:
    """Return the lab's redis; fails when the lab is not up."""
    inventory = load_inventory(ROOT / "inventory.yaml")
    plan = load_plan(ROOT / "migration_plan.json", inventory)
    environment = load_environment(ROOT / "environments" / "lab.yaml")
    return build_scope(inventory, plan, environment, services=(SERVICE,), waves=())


@pytest.fixture(scope="module")
def fleet(scope: Scope) -> Iterator[Fleet]:
    """Open the lab's hosts."""
    with open_hosts(tuple(scope.environment.hosts), scope.environment, ROOT / "state/lab/ssh_config") as fleet:
        target = scope.moves[0].target
        before = {image.id for image in fleet.facts(target).images}
        yield fleet
        fleet.forget_facts(target)
        for image in fleet.facts(target).images:
            if image.id not in before:
                fleet[target].run(["docker", "image", "rm", "--force", image.id], timeout_s=60.0)


class Hand:
    """Performs actions one by one as the saga does, and undoes them in reverse."""

    def __init__(self) -> None:
        """Start with nothing done."""
        self.done: list[Action] = []
        self.notes: dict[str, Note] = {}

    def perform(self, action: Action) -> Note:
        """Do and verify; the note must be JSON-able."""
        note = self.notes.setdefault(action.key, {})
        self.done.append(action)
        action.do(note)
        judgement = action.verify(note)
        assert judgement.passed, judgement.text
        json.dumps(note)
        return note

    def undo(self) -> None:
        """Undo all, the last first, twice each: undo is idempotent."""
        while self.done:
            action = self.done.pop()
            for _ in range(2):
                action.undo(self.notes[action.key])


def route_of(fleet: Fleet, scope: Scope) -> Route:
    """Return redis' way."""
    move = scope.moves[0]
    return Route(fleet, SERVICE, scope.services[SERVICE].container, move.source, move.target, f"lab/{SERVICE}/1")


def actions_until_start(scope: Scope, route: Route) -> tuple[Action, ...]:
    """Return the move's actions before the commit."""
    pin = scope.environment.hosts[route.target]
    peer = Peer(route.target, pin.address, pin.ssh_host_key)
    entry = scope.services[SERVICE]
    container = route.fleet.facts(route.source).container(route.container)
    assert container is not None
    places = places_to_copy(container.mounts, {mount.path: mount.rule for mount in entry.mounts})
    copying = CopyVolumes(route, places, peer)
    aim = choose_probe_target(scope, SERVICE, {name: item.host for name, item in scope.services.items()})
    assert aim is not None
    return (
        ShipImage(route, peer),
        SaveSourceSpec(route),
        StartProbe(route, aim),
        Precopy(copying, 1.0),
        DisableRestart(route),
        StopSource(route, GRACE_S),
        copying,
        VerifyVolumes(route, places, None, copying.proving()),
        CreateTarget(route),
        StartTarget(route, GRACE_S),
    )


def traces(fleet: Fleet, hosts: tuple[str, ...]) -> dict[str, Any]:
    """Return what could be left behind: containers, volumes, networks, keys, directories in /run."""
    found = {}
    for host in hosts:
        script = (
            "docker ps -a --format '{{.Names}} {{.State}}' | sort; docker volume ls -q | sort; "
            "docker network ls --format '{{.Name}}' | sort; ls -d /run/longshore-* 2>/dev/null; true"
        )
        found[host] = fleet[host].run(["sh", "-c", script], timeout_s=30.0).text, list_keys(fleet, host)
    return found


@pytest.mark.full
@pytest.mark.usefixtures("fresh_lab")
def test_move_is_undone_without_a_trace(scope: Scope, fleet: Fleet) -> None:
    """Up to the running target and back: both hosts are as they were, the source answers and restarts as before."""
    route = route_of(fleet, scope)
    hosts = (route.source, route.target)
    before = traces(fleet, hosts)
    policy = (inspect_container(fleet, route.source, route.container) or {})["HostConfig"]["RestartPolicy"]
    hand = Hand()
    try:
        for action in actions_until_start(scope, route):
            hand.perform(action)
    finally:
        hand.undo()
    assert traces(fleet, hosts) == before
    after = inspect_container(fleet, route.source, route.container)
    assert after is not None
    assert after["State"]["Running"]
    assert after["HostConfig"]["RestartPolicy"] == policy
    assert hand.notes["start-probe"]["outage"]["seconds"] > 0


@pytest.mark.full
@pytest.mark.usefixtures("fresh_lab")
def test_commit_switches_clients_and_is_not_undone_by_itself(scope: Scope, fleet: Fleet) -> None:
    """After the commit a client on the source's network reaches the target; put back by hand at the end."""
    route = route_of(fleet, scope)
    hosts = (route.source, route.target)
    here = {name: item.host for name, item in scope.services.items()}
    there = {**here, SERVICE: route.target}
    commit = Commit(route, wanted_forwarders(scope, there), wanted_forwarders(scope, here), hosts)
    hand = Hand()
    before = traces(fleet, hosts)
    try:
        actions = actions_until_start(scope, route)
        for action in actions:
            hand.perform(action)
        probe = next(action for action in actions if isinstance(action, StartProbe))
        hand.perform(commit)
        hand.perform(RenameSource(route))
        note = hand.perform(MeasureOutage(route, probe.aim))
        assert 0 < note["outage"]["seconds"] < 120
        with pytest.raises(ManualInterventionError, match="may have written"):
            commit.undo(hand.notes["commit"])
    finally:
        hand.done = [action for action in hand.done if action.key != "commit"]
        apply_forwarders(fleet, "lab", hosts, wanted_forwarders(scope, here))
        hand.undo()
    assert traces(fleet, hosts) == before


@pytest.mark.usefixtures("kept_prepared_lab")
def test_temporary_key_can_do_nothing_else(scope: Scope, fleet: Fleet) -> None:
    """The lab's own address is not the source's: the line for the source is refused from elsewhere (from=)."""
    from actions.copy.ssh_channel import open_channel  # noqa: PLC0415

    route = route_of(fleet, scope)
    pin = scope.environment.hosts[route.target]
    peer = Peer(route.target, pin.address, pin.ssh_host_key)
    with open_channel(
        fleet, route.source, peer, move_label=route.move_label, purpose="test", forced_command="echo forced", valid_s=60
    ) as channel:
        argv = [
            *channel.ssh(),
            channel.destination(),
            "cat /etc/shadow",
        ]
        local = [word.replace("/key/", f"{channel.directory}/") for word in argv]
        answer = fleet[route.source].run(local, timeout_s=30.0)
        assert answer.text == "forced\n"
        key = fleet[route.source].run(["cat", f"{channel.directory}/id"], timeout_s=10.0).stdout
        stolen = Path(scope.environment.ssh_config or ROOT).parent / "stolen-key"
        stolen.write_bytes(key)
        stolen.chmod(0o600)
        try:
            elsewhere = subprocess.run(
                ["ssh", "-F", "none", "-i", str(stolen), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o",
                 "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"root@{pin.address}", "true"],
                capture_output=True, timeout=30, check=False,
            )  # fmt: skip
        finally:
            stolen.unlink()
        assert elsewhere.returncode == 255
        assert b"Permission denied" in elsewhere.stderr
    assert not list_keys(fleet, route.target)
