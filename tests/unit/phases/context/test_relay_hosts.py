"""A run's hosts are all hosts on which relays stand: one by one, in any order, there and back, relays are right
everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from actions.relays.before_start import own_links
from actions.relays.planning import wanted_forwarders
from actions.relays.reconcile import apply_forwarders, judge_forwarders, refuse_outside
from actions.rollback.start_returned import SwitchClientsBack
from engine.config.environment import Environment
from engine.config.inventory import Inventory, load_inventory
from engine.config.plan import Plan, load_plan
from engine.config.scope import Scope, build_scope
from engine.errors import NotObservedError, RefusedError
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor
from engine.verdict import Verdict
from phases.context import routes
from phases.context.link_state import as_repointed
from phases.context.relay_hosts import judge_relay_hosts, with_relay_hosts
from phases.context.run_context import where_now
from phases.context.service_move import ServiceMove
from phases.migrate import recipe as migrate
from phases.rollback import recipe as rollback
from services.registry import product
from tests.fakes.facts import make_host
from tests.fakes.relay_hosts import RelayFleet, RelayHost

ROOT: Final = Path(__file__).resolve().parents[4]
ADDRESSES: Final = {"wf001": 11, "wf002": 12, "wf005": 15, "wf006": 16}
THERE: Final = ("in_progress", "committed", "done")
BACK: Final = ("rolling_back", "returned", "rolled_back")


def files() -> tuple[Inventory, Plan, Environment]:
    """Return the repository's own files, with a backup on a fourth host."""
    inventory = load_inventory(ROOT / "inventory.yaml")
    hosts = {
        name: {
            "address": f"192.0.2.{last}",
            "ssh_host_key": "ssh-ed25519 AAAA",
            "machine_id": f"{last:032x}",
            "engine_id": name,
        }
        for name, last in ADDRESSES.items()
    }
    backup = {"host": "wf006", "path": "/var/b", "password": "env:X"}
    return inventory, load_plan(ROOT / "migration_plan.json", inventory), Environment.model_validate(
        {"environment": "production", "hosts": hosts, "backup": backup}
    )  # fmt: skip


class Nights:
    """A journal and four hosts; each night holds only the hosts of its own run."""

    def __init__(self, folder: Path) -> None:
        """Begin with nothing moved."""
        self.files = files()
        self.journal = Journal.open(folder / "state" / "p.sqlite", redactor=Redactor())
        self.run = self.journal.start_run(command="migrate", environment="production")
        self.hosts = {name: RelayHost(name) for name in ADDRESSES}

    def scope(self, *services: str) -> Scope:
        """Return the scope of a run of these services, all of them without any."""
        return with_relay_hosts(as_repointed(build_scope(*self.files, services=services), self.journal), self.journal)

    def go(self, service: str, *, back: bool = False) -> None:
        """Move a service alone, or roll it back alone, as far as relays go."""
        scope = self.scope(service)
        move = next(move for move in scope.moves if move.service == service)
        before = where_now(scope, self.journal)
        after = {**before, service: move.source if back else move.target}
        fleet: Any = RelayFleet(self.hosts[name] for name in scope.hosts)
        wanted, now = wanted_forwarders(scope, after), wanted_forwarders(scope, before)
        refuse_outside(scope.hosts, wanted | now)
        if not back:
            apply_forwarders(fleet, "production", scope.hosts, now | own_links(scope, service, after))
        apply_forwarders(fleet, "production", scope.hosts, wanted)
        for state in BACK if back else THERE:
            self.run.record("move_state", service=service, body={"state": state})

    def judge(self) -> None:
        """See exactly the wanted relays on all four hosts, and no key without its relay."""
        scope = self.scope()
        wanted = wanted_forwarders(scope, where_now(scope, self.journal))
        fleet: Any = RelayFleet(self.hosts.values())
        judged = judge_forwarders(fleet, "production", tuple(ADDRESSES), wanted)
        assert judged.passed, judged.details
        assert sum(len(host.volumes) for host in self.hosts.values()) == 2 * len(wanted)
        for relay in wanted:
            assert relay.far.host == where_now(scope, self.journal)[relay.far.name], (
                "never to a relay, nor to where it was"
            )


@pytest.mark.parametrize("there", list(permutations(("n8n", "postgres", "redis"))), ids="-".join)
def test_moved_and_rolled_back_one_by_one_in_every_order_relays_are_right_on_all_hosts(
    there: tuple[str, ...], tmp_path: Path
) -> None:
    """Whatever host the dependants are on; each run holds the lock of every host whose relays it changes."""
    nights = Nights(tmp_path)
    for back in permutations(there):
        for service in there:
            nights.go(service)
            nights.judge()
        for service in back:
            nights.go(service, back=True)
            nights.judge()
        assert not any(host.containers or host.volumes for host in nights.hosts.values())


def test_every_service_of_the_plan_can_be_moved_alone_in_its_order(tmp_path: Path) -> None:
    """The commands that status and undo print, for all thirteen."""
    nights = Nights(tmp_path)
    for move in nights.files[1].moves:
        nights.go(move.service)
        nights.judge()


def test_a_dependant_on_a_third_host_is_a_host_of_the_run(tmp_path: Path) -> None:
    """n8n is on wf001 already: the relay of its postgres is changed there, there and back, so its lock is held."""
    nights = Nights(tmp_path)
    nights.go("n8n")
    assert set(nights.scope("postgres").hosts) == {"wf005", "wf002", "wf006", "wf001"}
    nights.go("postgres")
    assert set(nights.scope("postgres").hosts) == {"wf005", "wf002", "wf006", "wf001"}, "for the rollback too"


def test_only_a_dead_host_is_left_out(tmp_path: Path) -> None:
    """A rollback with --target-lost wants no relay there, and none that leads there; on all others they are right."""
    nights = Nights(tmp_path)
    for service in ("n8n", "postgres"):
        nights.go(service)
    scope = nights.scope("postgres")
    lost_hosts = replace(scope, hosts=tuple(host for host in scope.hosts if host != "wf002"), dead=frozenset({"wf002"}))
    back = {**where_now(scope, nights.journal), "postgres": "wf005"}
    wanted = wanted_forwarders(lost_hosts, back)
    refuse_outside(lost_hosts.hosts, wanted)
    assert any(relay.host == "wf001" and relay.alias == "postgres" and relay.far.host == "wf005" for relay in wanted)
    assert not any("wf002" in relay.hosts for relay in wanted)


def context(scope: Scope, **silent: str) -> Any:
    """Return a run whose hosts answer, but for some."""

    def facts(host: str) -> Any:
        if host in silent:
            raise NotObservedError(silent[host])
        return make_host(host=host)

    return SimpleNamespace(scope=scope, facts=facts, where=lambda: {**where_now(scope, None), "n8n": "wf009"})


def moving(there: Any) -> ServiceMove:
    """Return the move of postgres in that run."""
    return ServiceMove(there, there.scope.moves[0], there.scope.services["postgres"], product("postgres"))


def test_preflight_finds_a_dependant_on_a_host_without_identity_or_answer(tmp_path: Path) -> None:
    """As a row of its own with the command to run, never as a KeyError in the outage."""
    scope = Nights(tmp_path).scope("postgres")
    lost = judge_relay_hosts(moving(context(scope)))
    assert lost.verdict is Verdict.FAILED
    assert "wf009 (n8n) has no identity" in lost.text
    assert "nox -s pin -- --environment production" in lost.text
    here = context(scope, wf002="wf002: no answer.")
    here.where = lambda: where_now(scope, None)
    deaf = judge_relay_hosts(moving(here))
    assert deaf.verdict is Verdict.UNKNOWN
    assert "ssh wf002" in deaf.text
    here.facts = lambda host: make_host(host=host)
    assert judge_relay_hosts(moving(here)).passed


def test_the_recipes_judge_relays_on_every_host_of_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit and the switch back of postgres alone, with n8n on wf001: its relay there is theirs to change, and a run
    without its lock is refused.
    """
    nights = Nights(tmp_path)
    nights.go("n8n")
    scope = nights.scope("postgres")
    made: Any = SimpleNamespace(
        scope=scope,
        fleet=None,
        journal=nights.journal,
        where=lambda: where_now(scope, nights.journal),
        entry=lambda name: scope.services[name],
        product=lambda name: product(scope.services[name].product),
    )
    for name in ("peer_of", "addresses_of"):
        monkeypatch.setattr(rollback, name, lambda *_: ())
    monkeypatch.setattr(rollback, "before_stop", lambda *_: ((), 0.0))
    monkeypatch.setattr(ServiceMove, "bytes_to_copy", lambda _self: 0)
    monkeypatch.setattr(ServiceMove, "places", lambda _self: ())
    move = moving(made)
    route = routes.route_of(move, 1)
    commit = migrate._commit(move, route)
    (back,) = [one for one in rollback.rollback_recipe(move, 1, discard=True) if isinstance(one, SwitchClientsBack)]

    for action in (commit, back):
        assert "wf001" in action.hosts
        assert any(relay.host == "wf001" and relay.alias == "postgres" for relay in action.wanted)
    assert {relay.far.host for relay in commit.wanted if (relay.host, relay.alias) == ("wf001", "postgres")} == {
        "wf002"
    }
    assert {relay.far.host for relay in back.wanted if (relay.host, relay.alias) == ("wf001", "postgres")} == {"wf005"}

    made.scope = replace(scope, hosts=tuple(host for host in scope.hosts if host != "wf001"))
    with pytest.raises(RefusedError, match="does not hold wf001"):
        migrate._commit(move, route)
    with pytest.raises(RefusedError, match="does not hold wf001"):
        rollback.rollback_recipe(move, 1, discard=True)
