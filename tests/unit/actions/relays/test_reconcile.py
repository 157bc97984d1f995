"""Relays that are there are made into those that are wanted; each has two ends that know each other's keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actions.relays.before_start import RelayDependencies
from actions.relays.endpoints import FAR, NEAR, Pair, end_argv, make_keys, relay_name, socat_words
from actions.relays.planning import FarEnd, Relay
from actions.relays.reconcile import apply_forwarders, faults_of, judge_forwarders, list_all, list_relays
from engine.errors import ActionError, RefusedError
from engine.verdict import Verdict
from tests.fakes.relay_hosts import RelayFleet, RelayHost

HOSTS = ("wf001", "wf002", "wf005")
OLD = Relay(
    "wf001",
    "shop",
    "postgres",
    5432,
    "192.0.2.5",
    21001,
    far=FarEnd("wf005", "shop", "postgres", 5432),
    from_address="192.0.2.1",
)
NEW = replace(OLD, to_address="192.0.2.2", far=FarEnd("wf002", "shop", "postgres", 5432))
OTHER = replace(OLD, alias="redis", port=6379, to_port=21002, far=FarEnd("wf005", "shop", "redis", 6379))
PLAIN = replace(OLD, encrypted=False)


@pytest.fixture
def fleet() -> Any:
    """Return three hosts with two relays between them."""
    made: Any = RelayFleet(RelayHost(name) for name in HOSTS)
    apply_forwarders(made, "lab", HOSTS, frozenset({OLD, OTHER}))
    return made


def test_each_relay_has_two_ends_that_run_and_know_each_other(fleet: Any) -> None:
    """Near on the dependant's host, far on the provider's; what one end shows is what the other demands."""
    judged = judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER}))
    near, far = (
        next(one for one in list_relays(fleet, host, "lab") if one.made_for == OLD.text())
        for host in ("wf001", "wf005")
    )
    assert judged.passed
    assert (near.end, far.end) == (NEAR, FAR)
    assert near.keys.split(":") == far.keys.split(":")[::-1]
    assert len(fleet["wf001"].volumes) == len(fleet["wf005"].volumes) == 2


def test_nothing_is_done_when_all_is_as_wanted(fleet: Any) -> None:
    """The same relays, the same keys."""
    before = list_all(fleet, HOSTS, "lab")
    done = apply_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER}))
    assert (done.created, done.removed, len(done.kept)) == ((), (), 2)
    assert list_all(fleet, HOSTS, "lab") == before


def test_a_relay_that_must_lead_elsewhere_is_made_again_with_other_keys(fleet: Any) -> None:
    """The old ends go with their keys, those of another relay stay as they were."""
    old = set(fleet["wf001"].volumes)
    other = [one for one in list_all(fleet, HOSTS, "lab") if one.made_for == OTHER.text()]
    done = apply_forwarders(fleet, "lab", HOSTS, frozenset({NEW, OTHER}))
    assert (done.created, done.removed) == ((NEW.text(),), (OLD.text(),))
    assert [one for one in list_all(fleet, HOSTS, "lab") if one.made_for == OTHER.text()] == other
    assert [one.host for one in list_all(fleet, HOSTS, "lab") if one.made_for == NEW.text()] == ["wf001", "wf002"]
    assert len(set(fleet["wf001"].volumes) & old) == 1, "the other relay's"


def test_the_new_ends_start_after_the_old_are_gone_and_the_far_one_first(fleet: Any) -> None:
    """The gap is one start long, and the near end finds somebody."""
    asked: list[str] = []
    for host in fleet.values():
        host.asked = asked  # type: ignore[assignment]
    apply_forwarders(fleet, "lab", HOSTS, frozenset({NEW, OTHER}))
    actions = [" ".join(words[1:]) for words in asked if words[:2] in {("docker", "start"), ("docker", "rm")}]  # type: ignore[index]
    assert actions[-2:] == [f"start {relay_name(NEW, FAR)}", f"start {relay_name(NEW, NEAR)}"]


def test_the_last_relay_takes_the_last_key_with_it(fleet: Any) -> None:
    """No container and no private key of a relay stays on a host; what a killed run left goes too."""
    fleet["wf002"].volumes["longshore-relay-of-a-killed-run"] = {}
    apply_forwarders(fleet, "lab", HOSTS, frozenset())
    assert all(not host.containers and not host.volumes for host in fleet.values())


@pytest.mark.parametrize("end", [NEAR, FAR])
def test_an_end_with_another_key_is_drift_and_is_made_anew(fleet: Any, end: str) -> None:
    """Whoever put it there: its peer would refuse it."""
    host = fleet["wf001" if end == NEAR else "wf005"]
    host.containers[relay_name(OLD, end)]["labels"]["longshore.relay.keys"] = "somebody:else"  # type: ignore[arg-type]
    judged = judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER}))
    assert judged.verdict is Verdict.FAILED
    assert "other keys" in judged.text
    apply_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER}))
    assert judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER})).passed


@pytest.mark.parametrize("spoil", ["stop near", "stop far", "remove near", "remove far"])
def test_a_relay_with_half_of_its_ends_is_missing(fleet: Any, spoil: str) -> None:
    """It leads nowhere; both ends are made anew."""
    action, end = spoil.split()
    host = fleet["wf001" if end == NEAR else "wf005"]
    if action == "stop":
        host.containers[relay_name(OLD, end)]["state"] = "exited"  # type: ignore[arg-type]
    else:
        del host.containers[relay_name(OLD, end)]  # type: ignore[arg-type]
    assert not judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER})).passed
    assert len(faults_of({OLD, OTHER}, list_all(fleet, HOSTS, "lab"))) == 1
    apply_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER}))
    assert judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER})).passed


def test_what_nobody_wants_is_found(fleet: Any) -> None:
    """With its name and its host."""
    judged = judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD}))
    assert "0 of 1 relays missing, 2 not wanted" in judged.text


def test_a_relay_on_a_host_that_the_run_does_not_hold_is_refused_before_anything_is_done(fleet: Any) -> None:
    """Neither KeyError nor a lost lock in the middle of an outage."""
    asked = sum(len(host.asked) for host in fleet.values())
    with pytest.raises(RefusedError, match="this run does not hold wf002"):
        apply_forwarders(fleet, "lab", ("wf001", "wf005"), frozenset({NEW}))
    assert sum(len(host.asked) for host in fleet.values()) == asked


def test_keys_that_can_not_be_made_leave_all_relays_as_they_are(fleet: Any) -> None:
    """The old ones are removed only once the new ones have their keys."""
    fleet["wf002"].fails = "docker run"
    with pytest.raises(ActionError, match="make the keys of relays"):
        apply_forwarders(fleet, "lab", HOSTS, frozenset({NEW, OTHER}))
    assert judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER})).passed


def test_no_private_key_is_in_any_command(fleet: Any) -> None:
    """It is made in a volume of its host and leaves it on no way; certificates are public."""
    assert not any("PRIVATE KEY" in word for host in fleet.values() for words in host.asked for word in words)
    given = [
        word
        for host in fleet.values()
        for one in host.containers.values()
        for word in one["argv"]
        if word.startswith("OWN_")
    ]
    assert len(given) == 4
    assert all("BEGIN CERTIFICATE" in word for word in given)


def test_the_far_end_listens_on_the_private_address_for_its_peer_alone_and_asks_for_its_certificate() -> None:
    """Never on all addresses; TLS 1.3, verified on both sides, each by the other's own certificate."""
    host: Any = RelayFleet([RelayHost("wf001"), RelayHost("wf005")])
    pair = Pair(
        *(make_keys(host, "lab", name, [(OLD, end)])[OLD, end] for name, end in (("wf001", NEAR), ("wf005", FAR)))
    )
    argv = end_argv("lab", OLD, FAR, pair)
    listen, connect = socat_words(OLD, FAR)[2:]

    assert argv[argv.index("--publish") + 1] == "192.0.2.5:21001:21001"
    assert argv[argv.index("--network") + 1] == "shop"
    assert "--network-alias" not in argv, "it has no name of a service"
    assert listen.startswith("OPENSSL-LISTEN:21001,")
    for option in (
        "verify=1",
        "commonname=near-",
        "range=192.0.2.1/32",
        "openssl-min-proto-version=TLS1.3",
        "key=/keys/key.pem",
    ):
        assert option in listen
    assert connect.startswith("TCP:postgres:5432,")
    assert "verify=1,commonname=far-" in socat_words(OLD, NEAR)[3]


def test_the_near_end_is_labelled_small_and_restarts() -> None:
    """Its label says what it is for, so that another destination makes another relay."""
    relay = replace(PLAIN, publish="0.0.0.0:5432")
    argv = end_argv("lab", relay, NEAR, None)
    assert relay_name(relay) == "longshore-forward-shop-postgres-5432"
    assert f"longshore.relay={relay.text()}" in argv
    assert argv[argv.index("--publish") + 1] == "0.0.0.0:5432:5432"
    assert argv[argv.index("--network-alias") + 1] == "postgres"
    assert argv[argv.index("--restart") + 1] == "unless-stopped"


def test_a_relay_that_is_not_encrypted_still_listens_for_its_peer_alone() -> None:
    """And has no keys."""
    assert socat_words(PLAIN, FAR)[2].startswith("TCP-LISTEN:21001,range=192.0.2.1/32,")
    assert socat_words(PLAIN, NEAR)[3].startswith("TCP:192.0.2.5:21001,")
    fleet: Any = RelayFleet(RelayHost(name) for name in HOSTS)
    apply_forwarders(fleet, "lab", HOSTS, frozenset({PLAIN}))
    assert judge_forwarders(fleet, "lab", HOSTS, frozenset({PLAIN})).passed
    assert not any(host.volumes for host in fleet.values())
    apply_forwarders(fleet, "lab", HOSTS, frozenset({OLD}))
    assert judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD})).passed, (
        "encrypted from now on: both ends are made anew"
    )


def test_addresses_of_ipv6_stand_in_brackets() -> None:
    """Socat and Docker take a colon for the port else."""
    six = replace(OLD, to_address="2001:db8::5", from_address="2001:db8::1", publish="[2001:db8::1]:5432")
    assert socat_words(six, NEAR)[3].startswith("OPENSSL:[2001:db8::5]:21001,")
    assert "range=[2001:db8::1/128]" in socat_words(six, FAR)[2]
    argv = end_argv("lab", six, FAR, None)
    assert argv[argv.index("--publish") + 1] == "[2001:db8::5]:21001:21001"


def test_an_answer_that_comes_long_after_the_request_ended_is_not_cut() -> None:
    """Socat's own limit is half a second after one side has closed its direction."""
    for end in (NEAR, FAR):
        assert socat_words(OLD, end)[:2] == ["-t", "300"]


def test_the_names_that_a_service_needs_are_relayed_along_with_those_of_others(fleet: Any) -> None:
    """Do adds them on both hosts; undo takes them away and leaves the others."""
    route: Any = type(
        "R",
        (),
        {"service": "orders", "target": "wf001", "environment": "lab", "fleet": fleet, "audit": lambda *_: None},
    )()
    third = replace(OLD, alias="loki", port=3100, to_port=21003, far=FarEnd("wf002", "shop", "loki", 3100))
    action = RelayDependencies(route, frozenset({third}), frozenset({OLD, OTHER}), HOSTS)

    assert "missing: the near end on wf001" in action.verify({}).text
    action.do({})
    assert action.verify({}).passed
    assert judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER, third})).passed
    action.undo({})
    assert judge_forwarders(fleet, "lab", HOSTS, frozenset({OLD, OTHER})).passed
    assert not action.commits
    assert "no relay needed" in RelayDependencies(route, frozenset(), frozenset(), HOSTS).verify({}).text
