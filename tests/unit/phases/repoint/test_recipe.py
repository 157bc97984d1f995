"""Which references are re-pointed with which service, what the relays are then, and what must be put back before a
rollback.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from actions.relays.planning import Relay, plan_forwarders, wanted_forwarders
from checks.dependencies.connections import connections_to, users_of
from engine.config.scope import Scope, build_scope
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.move_state import MoveState
from engine.errors import InputError, RefusedError
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.redaction.redactor import Redactor
from hosts.facts.system import Connection, ContainerSockets, SystemFacts
from phases.context.link_state import (
    REPOINT_STEPS,
    UNDO_STEP,
    address_of,
    as_repointed,
    has_begun,
    links_of,
    links_to_rewrite,
    places_planned,
    refuse_what_cannot_be,
    variables_repointed,
    with_their_hosts,
)
from phases.gates.gates import Gates
from phases.repoint.baselines import others
from phases.validate.service_checks import with_references
from tests.fakes.facts import make_container, make_host
from tests.fakes.project_files import make_environment, make_inventory, make_plan

RUNBOOK: Final = Path(__file__).parents[4] / "runbooks" / "repoint" / "test_repoint.py"
REWRITE: Final = ("links/0/rewrite", [{"kind": "environment", "variable": "QUEUE_BULL_REDIS_HOST", "value": "{host}"}])
OPEN: Final = (
    "window",
    {"starts_at": "2000-01-01T00:00:00Z", "ends_at": "2100-01-01T00:00:00Z", "time_zone": "UTC", "status": "agreed"},
)
SHUT: Final = (
    "window",
    {"starts_at": "2000-01-01T00:00:00Z", "ends_at": "2000-01-02T00:00:00Z", "time_zone": "UTC", "status": "agreed"},
)
NOBODY: Final = ("approvals", [])
KEY: Final = ("n8n", "redis", "redis", 6379)


def scope_of(
    *changes: tuple[str, Any],
    window: tuple[str, Any] = OPEN,
    plan: tuple[tuple[str, Any], ...] = (NOBODY,),
    **chosen: Any,
) -> Scope:
    """Return n8n → redis, re-pointed by a variable, with both moving to different hosts."""
    networks = ("services/n8n/networks", ["apps"])
    return build_scope(
        make_inventory(REWRITE, networks, *changes), make_plan(*plan), make_environment(window), **chosen
    )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal."""
    return Journal.open(tmp_path / "state" / "p.sqlite", redactor=Redactor())


def done(journal: Journal, *services: str) -> None:
    """Record that services are moved."""
    run = journal.start_run(command="migrate", environment="production")
    for service in services:
        run.record("move_state", service=service, body={"state": MoveState.DONE.value})


def repointed(journal: Journal, service: str = "redis", *, is_so: bool = True) -> None:
    """Record that the references to redis are rewritten, or put back again."""
    run = journal.start_run(command="repoint", environment="production")
    run.record(
        RecordKind.REPOINT_STARTED,
        service=service,
        body={"links": [link.model_dump(mode="json", by_alias=True) for link in scope_of().links]},
    )
    for key in ("rewrite-references", "remove-relays"):
        run.record("intent", service=service, key=key, body={"effect": "changes_state"})
        run.record("outcome", service=service, key=key, body={"ok": True, "text": "so"})
    if not is_so:
        for key in ("remove-relays", "rewrite-references"):
            run.record("undo_outcome", service=service, key=key, body={"ok": True, "text": ""})
    run.record(RecordKind.REPOINTED, service=service, body={"link": list(KEY), "repointed": is_so})


def refusal(scope: Scope, journal: Journal, command: str, **said: Any) -> str:
    """Return what the gates say, empty when they are open."""
    try:
        Gates(scope, journal, "1234567890ab", **said).check(command)
    except RefusedError as error:
        return str(error)
    return ""


def test_runbook_and_recipe_have_the_same_steps() -> None:
    """Each step has its row, in order, after the undo."""
    text = RUNBOOK.read_text(encoding="utf-8")
    steps = re.findall(r'mark\.step\("([^"]+)"\)', text)

    assert steps == [UNDO_STEP, *REPOINT_STEPS]
    assert re.findall(r'move\.perform\("([^"]+)"\)', text) == steps


def test_a_link_belongs_to_the_move_of_its_provider() -> None:
    """It is the provider's address that is new."""
    assert [link.key for link in links_to_rewrite(scope_of(), "redis")] == [KEY]
    assert links_to_rewrite(scope_of(), "n8n") == ()


def test_a_link_to_one_that_stays_belongs_to_the_move_of_its_dependant() -> None:
    """Prometheus moves, what it scrapes stays."""
    scope = scope_of(plan=(NOBODY, ("moves/1", ...)))

    assert [link.key for link in links_to_rewrite(scope, "n8n")] == [KEY]


def test_ends_that_meet_again_on_one_host_keep_the_name() -> None:
    """No relay is between them, so nothing is rewritten."""
    assert links_to_rewrite(scope_of(plan=(NOBODY, ("moves/1/target", "wf002"))), "redis") == ()


def test_a_link_without_a_word_on_how_is_left_to_its_relay(journal: Journal) -> None:
    """And a run that could do nothing says for which services one could."""
    scope = scope_of(("links/0/rewrite", []))

    assert links_to_rewrite(scope, "redis") == ()
    with pytest.raises(InputError, match=r"nothing to do for n8n, redis: .* Possible here: none"):
        refuse_what_cannot_be(scope, journal)


def test_the_new_address_is_the_published_port_of_the_plan() -> None:
    """A remapped port counts, not the old one."""
    scope = scope_of(plan=(NOBODY, ("moves/1/ports", {"6379/tcp": 16379})))
    address = address_of(scope, scope.links[0], places_planned(scope))

    assert address is not None
    assert (address.host, address.text()) == ("wf001", "192.0.2.11:16379")


def test_a_relay_that_no_dependant_needs_is_not_wanted(journal: Journal) -> None:
    """The name goes; the published port of the old host stays: who is not declared may use it."""
    where = {"n8n": "wf002", "redis": "wf001"}
    done(journal, "n8n", "redis")
    before = wanted_forwarders(as_repointed(scope_of(), journal), where)
    repointed(journal)
    after = wanted_forwarders(as_repointed(scope_of(), journal), where)

    def redis(relays: frozenset[Relay]) -> set[tuple[str, str, str, str]]:
        return {(one.host, one.network, one.publish, one.far.host) for one in relays if one.alias == "redis"}

    assert redis(before) == {("wf002", "apps", "", "wf001"), ("wf005", "apps", "0.0.0.0:6379", "wf001")}
    assert redis(after) == {("wf005", "bridge", "0.0.0.0:6379", "wf001")}


def test_a_relay_that_another_dependant_needs_stays() -> None:
    """Of two links to one name only one is re-pointed."""
    other = (
        "services/shop",
        {"product": "generic", "host": "wf005", "container": "shop", "image": "shop:1", "networks": ["apps"]},
    )
    links = [
        {"from": "n8n", "to": "redis", "name": "redis", "port": 6379},
        {"from": "shop", "to": "redis", "name": "redis", "port": 6379},
    ]
    scope = scope_of(other, ("links", links))
    where = {"n8n": "wf002", "redis": "wf001", "shop": "wf005"}
    some = Scope(**{**vars(scope), "repointed": frozenset({KEY})})

    assert any(one.text().startswith("wf005: redis:6379 on apps") for one in wanted_forwarders(some, where))
    assert not any(one.host == "wf002" and one.alias == "redis" for one in wanted_forwarders(some, where))


def test_a_link_that_no_relay_could_keep_is_no_problem_once_it_is_repointed() -> None:
    """It needs none."""
    scope = scope_of(("services/n8n/networks", []), ("services/redis/networks", []))
    where = {"n8n": "wf002", "redis": "wf001"}

    assert any("no network" in text for text in plan_forwarders(scope, where).problems)
    assert not plan_forwarders(Scope(**{**vars(scope), "repointed": frozenset({KEY})}), where).problems


@pytest.mark.parametrize("service", ["n8n", "redis"])
def test_a_rollback_of_either_end_is_refused_with_the_command_that_puts_back(journal: Journal, service: str) -> None:
    """The provider's address would lead nowhere; the dependant's old container says the old name, whose
    relay is gone.
    """
    done(journal, "n8n", "redis")
    repointed(journal)

    message = refusal(scope_of(services=(service,)), journal, "rollback")

    assert f"{service}: references to redis are re-pointed; they would lead nowhere" in message
    assert ": nox -s repoint -- redis --environment production --revert --apply" in message


def test_a_rollback_is_refused_from_the_first_deed_on(journal: Journal) -> None:
    """Killed in the middle, before the journal calls the link re-pointed, some references may say the new address."""
    done(journal, "n8n", "redis")
    run = journal.start_run(command="repoint", environment="production")
    run.record("intent", service="redis", key="rewrite-references", body={"effect": "changes_state"})

    assert has_begun(journal, "redis")
    assert "Put them back first" in refusal(scope_of(services=("redis",)), journal, "rollback")


def test_a_rollback_is_refused_also_when_the_link_is_gone_from_the_file(journal: Journal) -> None:
    """What was begun is on record."""
    done(journal, "n8n", "redis")
    repointed(journal)

    assert "Put them back first" in refusal(scope_of(("links", [])), journal, "rollback")


def test_a_rollback_continues_once_they_are_put_back(journal: Journal) -> None:
    """Nothing is in its way then."""
    done(journal, "n8n", "redis")
    repointed(journal)
    repointed(journal, is_so=False)

    assert not has_begun(journal, "redis")
    assert not as_repointed(scope_of(), journal).repointed
    assert refusal(scope_of(services=("redis",)), journal, "rollback") == ""


def test_only_what_is_moved_is_repointed(journal: Journal) -> None:
    """The message has the command."""
    done(journal, "n8n")

    message = refusal(scope_of(services=("redis",)), journal, "repoint")

    assert (
        "redis: is not moved yet. Expected: done. Move it: nox -s migrate -- --environment production "
        "--service redis --apply"
    ) in message


def test_a_run_holds_the_hosts_of_both_ends(journal: Journal) -> None:
    """Chosen is the provider; its dependant has moved to a host that the provider's move does not touch."""
    scope = scope_of(services=("redis",))

    assert scope.hosts == ("wf005", "wf001")
    assert with_their_hosts(scope, journal).hosts == ("wf005", "wf001", "wf002")


def test_the_same_gates_as_for_a_move(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Approvals, window and a clean checkout."""
    monkeypatch.setattr("phases.signoff.approvals.LAB", "production")  # where a plan may ask nobody
    done(journal, "n8n", "redis")
    shut = scope_of(window=SHUT, plan=(), services=("redis",))

    message = refusal(shut, journal, "repoint")

    assert "technical" in message
    assert "window: " in message
    assert "window: " not in refusal(shut, journal, "repoint", outside_window="agreed by phone")
    assert refusal(scope_of(services=("redis",)), journal, "repoint") == ""


@pytest.mark.parametrize("undo", [False, True])
def test_gates_guard_the_way_in_only(journal: Journal, undo: bool) -> None:
    """What has begun continues, and can always be put back."""
    done(journal, "n8n", "redis")
    repointed(journal)

    assert refusal(scope_of(window=SHUT, plan=(), services=("redis",)), journal, "repoint", undo=undo) == ""


def test_what_has_begun_continues_as_the_files_were_then(journal: Journal) -> None:
    """An entry that is taken away in between is put back all the same."""
    done(journal, "n8n", "redis")
    repointed(journal)
    emptied = scope_of(("links/0/rewrite", []))

    assert [link.rewrite[0].variable for link in links_of(emptied, journal, "redis")] == ["QUEUE_BULL_REDIS_HOST"]
    repointed(journal, is_so=False)
    assert links_of(emptied, journal, "redis") == ()


def test_people_approve_how_references_are_rewritten() -> None:
    """Another variable is another plan."""
    other = ("links/0/rewrite", [{"kind": "environment", "variable": "OTHER", "value": "{host}"}])

    assert scope_of().digest != scope_of(other).digest


def test_validate_demands_the_new_value(journal: Journal) -> None:
    """The container of a moved dependant differs from its source by what was rewritten, and by nothing else."""
    done(journal, "n8n", "redis")
    repointed(journal)
    variables = variables_repointed(as_repointed(scope_of(), journal), "n8n")

    assert variables == {"QUEUE_BULL_REDIS_HOST": "192.0.2.11"}
    assert with_references({"Config": {"Env": ["A=1", "QUEUE_BULL_REDIS_HOST=redis"]}}, variables)["Config"]["Env"] == [
        "A=1", "QUEUE_BULL_REDIS_HOST=192.0.2.11",
    ]  # fmt: skip


def test_only_lasting_parts_that_became_others_are_read_again() -> None:
    """One that is gone stays in the baseline, so that it is missed."""
    before = Fingerprint(
        "p",
        {
            "configuration": FingerprintPart(1, "a"),
            "same": FingerprintPart(1, "b"),
            "gone": FingerprintPart(1, "c"),
            "wal": FingerprintPart(1, "d", Validity.AT_CUTOVER),
        },
    )
    now = Fingerprint(
        "p",
        {
            "configuration": FingerprintPart(1, "z"),
            "same": FingerprintPart(1, "b"),
            "wal": FingerprintPart(1, "y", Validity.AT_CUTOVER),
            "new": FingerprintPart(1, "n"),
        },
    )

    assert others(before, now).parts == {"configuration": FingerprintPart(1, "z")}


def container(name: str, pid: int, address: str, **given: Any) -> Any:
    """Return a running container on the network apps."""
    raw = {"State": {"Pid": pid}, "NetworkSettings": {"Networks": {"apps": {"IPAddress": address}}}, "HostConfig": {}}
    return make_container(
        name=name, id=name, raw=raw, published=(), networks={"apps": (given.pop("alias", name),)}, **given
    )


def host_with(*connections: Connection) -> Any:
    """Return wf005 with an application that has these connections, and the relay of redis."""
    relay = container(
        "longshore-forward-apps-redis-6379", 2, "172.18.0.9", alias="redis", labels={"longshore.role": "forwarder"}
    )
    around = SystemFacts(host="wf005", container_sockets={1: ContainerSockets(connections), 2: ContainerSockets()})
    return make_host(host="wf005", containers=(container("orders", 1, "172.18.0.2"), relay), around=around)


def test_who_is_connected_through_a_relay_is_named() -> None:
    """Before the relay goes; somebody may use the name who is not declared."""
    through = host_with(Connection("172.18.0.2", 40000, "172.18.0.9", 6379))

    assert users_of(through, [("apps", "redis", 6379)]) == ("orders on wf005: 1 connections to redis:6379",)
    assert users_of(through, [("apps", "postgres", 5432)]) == ()
    assert connections_to(through, "orders", "192.0.2.11", 6379) == 0


def test_a_connection_to_the_new_address_is_counted() -> None:
    """Of that very container, to that very port."""
    straight = host_with(
        Connection("172.18.0.2", 40000, "192.0.2.11", 6379), Connection("172.18.0.2", 40001, "192.0.2.11", 80)
    )

    assert connections_to(straight, "orders", "192.0.2.11", 6379) == 1
    assert users_of(straight, [("apps", "redis", 6379)]) == ()
