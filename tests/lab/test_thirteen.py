"""A rehearsal of all thirteen services: every one moves, works, holds what it held, and its container is
what it was.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from functools import reduce
from typing import Any, Final

import pytest
import requests

from checks.containers.recreated import compare_containers, judge_fidelity
from engine.verdict import Verdict
from tests.lab import at_hand
from tests.lab.at_hand import ALL_TARGETS, HOSTS, JOURNAL, REPORTS, SOURCE, STATE
from tests.lab.conftest import Rehearsal
from tests.lab.test_rehearsal import PHASES, secrets_of_the_lab

MARGIN_S: Final = 3.0
NOTICED_S: Final = 10.0
"""n8n asks its database every two seconds, and on a busy machine takes some more to answer that it is back."""
STATELESS: Final = {"metabase"}
"""Their state is in another service: they have no volume."""
OPTIONS: Final[tuple[tuple[str, str, Any], ...]] = (
    ("rabbitmq", "Config.Hostname", "rabbit-shop"),
    ("rabbitmq", "HostConfig.Ulimits", [{"Name": "nofile", "Soft": 4096, "Hard": 8192}]),
    ("rabbitmq", "Config.StopTimeout", 90),
    ("minio", "Config.Cmd", ["server", "/data", "--console-address", ":9001"]),
    ("minio", "HostConfig.RestartPolicy.Name", "always"),
    ("minio", "HostConfig.LogConfig", {"Type": "json-file", "Config": {"max-size": "5m"}}),
    ("loki", "HostConfig.CapDrop", ["ALL"]),
    (
        "caddy",
        "HostConfig.PortBindings",
        {name: [{"HostIp": "", "HostPort": name[:-4]}] for name in ("80/tcp", "443/tcp", "443/udp")},
    ),
    ("caddy", "HostConfig.CapAdd", ["NET_ADMIN"]),
    ("temporal", "HostConfig.RestartPolicy.Name", "unless-stopped"),
)
INSIDE: Final = (
    (
        "rabbitmq",
        "hostname; ls -d /var/lib/rabbitmq/mnesia/rabbit@*shop",
        "rabbit-shop /var/lib/rabbitmq/mnesia/rabbit@rabbit-shop",
    ),
    ("caddy", "touch /etc/caddy/Caddyfile 2>/dev/null || echo read-only", "read-only"),
    ("loki", "id -u; awk '/CapBnd/ {print $2}' /proc/1/status", "10001 0000000000000000"),
    ("temporal", "id -u; ls /data/temporal.db", "1000 /data/temporal.db"),
)

pytestmark = [pytest.mark.lab, pytest.mark.full]
services = pytest.mark.parametrize(("service", "target"), ALL_TARGETS.items())


@pytest.mark.parametrize("phase", PHASES)
def test_phase_passes(rehearsal_of_all: Rehearsal, phase: str) -> None:
    """Each phase of the rehearsal ends with exit status 0 and no row that is not PASSED, but for warnings that a lab
    can't answer.
    """
    ran = rehearsal_of_all.phases[phase]
    assert ran.code == 0, ran.output[-4000:]
    bad = [
        record["body"]
        for record in at_hand.rows_of(ran)
        if record["body"]["verdict"] != "PASSED" and record["key"] not in at_hand.UNANSWERED
    ]
    assert not bad, bad


def test_dry_run_changes_nothing(rehearsal_of_all: Rehearsal) -> None:
    """Without --apply, migrate says what it would do and leaves every host exactly as it was."""
    assert rehearsal_of_all.dry_run.code == 0, rehearsal_of_all.dry_run.output[-4000:]
    assert rehearsal_of_all.after_dry_run == rehearsal_of_all.before_dry_run


def test_services_move_in_the_order_of_the_plan(rehearsal_of_all: Rehearsal) -> None:
    """Each commit comes in the plan's order, and each service has its smoke and its fingerprint as a row of its own."""
    rows = at_hand.rows_of(rehearsal_of_all.migrate)
    plan = json.loads((at_hand.ROOT / "migration_plan.json").read_text(encoding="utf-8"))
    assert [row["service"] for row in rows if row["key"] == "commit"] == [move["service"] for move in plan["moves"]]
    for key in ("smoke-target", "fingerprint-target", "ready-target"):
        assert Counter(row["service"] for row in rows if row["key"] == key) == Counter(list(ALL_TARGETS))


@services
def test_container_runs_on_its_target(rehearsal_of_all: Rehearsal, service: str, target: str) -> None:
    """The service runs on its new host, with the restart policy it had, from the very image it had."""
    raw, before = at_hand.inspect(target, service), rehearsal_of_all.specifications[service]
    assert raw["State"]["Running"]
    assert raw["HostConfig"]["RestartPolicy"] == before["HostConfig"]["RestartPolicy"]
    assert raw["Image"] == before["Image"]


@services
def test_source_is_kept_and_cannot_start(rehearsal_of_all: Rehearsal, service: str, target: str) -> None:
    """The very old container is kept under its new name, stopped; its data is still there."""
    kept = at_hand.inspect(SOURCE, f"{service}-moved")
    assert kept["Id"] == rehearsal_of_all.specifications[service]["Id"]
    assert kept["State"]["Status"] == "exited"
    assert kept["HostConfig"]["RestartPolicy"]["Name"] == "no"
    volumes = {
        mount["Name"] for mount in rehearsal_of_all.specifications[service]["Mounts"] if mount["Type"] == "volume"
    }
    assert volumes <= set(at_hand.leftovers(SOURCE)["volumes"])
    assert volumes or service in STATELESS


@services
def test_only_the_written_list_differs(rehearsal_of_all: Rehearsal, service: str, target: str) -> None:
    """`docker inspect` before the move and now differ only by the written list, the restart policy included."""
    before, now = rehearsal_of_all.specifications[service], at_hand.inspect(target, service)
    assert compare_containers(before, now, committed=True) == []
    assert judge_fidelity(service, before, now, committed=True).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("service", "path", "expected"), OPTIONS, ids=[f"{service}-{path}" for service, path, _ in OPTIONS]
)
def test_option_is_kept(rehearsal_of_all: Rehearsal, service: str, path: str, expected: Any) -> None:
    """The option has on the new host the value with which the lab started it on the old."""
    assert _at(rehearsal_of_all.specifications[service], path) == expected, "the lab itself changed"
    assert _at(at_hand.inspect(ALL_TARGETS[service], service), path) == expected


def _at(raw: dict[str, Any], path: str) -> Any:
    return reduce(lambda value, name: value[name], path.split("."), raw)


@pytest.mark.parametrize(
    ("service", "script", "expected"), INSIDE, ids=[f"{service}-{script[:24]}" for service, script, _ in INSIDE]
)
def test_option_works_inside(rehearsal_of_all: Rehearsal, service: str, script: str, expected: str) -> None:
    """The kernel, not only `docker inspect`, says that the option is in force on the new host."""
    seen = at_hand.on_host(ALL_TARGETS[service], "docker", "exec", service, "sh", "-c", script)
    assert " ".join(seen.split()) == expected


@services
def test_outage_is_recorded(rehearsal_of_all: Rehearsal, service: str, target: str) -> None:
    """Each service has one measured outage with its error bar."""
    outages = [one for one in _outages(rehearsal_of_all) if one["service"] == service]
    assert len(outages) == 1
    assert 0 < outages[0]["seconds"] < 300
    assert outages[0]["error_bar_s"] > 0


def test_n8n_that_moved_first_keeps_working_without_more_than_the_outages(rehearsal_of_all: Rehearsal) -> None:
    """A client asks n8n ten times a second, under its old address, whether it works with its database: n8n moves, then
    postgres behind it.

    Every failure lies in the measured outage of one of the two, or while n8n notices that its database is back.
    """
    polled, outages = rehearsal_of_all.polled, {one["service"]: one for one in _outages(rehearsal_of_all)}
    spans = [
        (_moment(outages[name]["from_at"]) - MARGIN_S, _moment(outages[name]["to_at"]) + NOTICED_S)
        for name in ("n8n", "postgres")
    ]
    outside = [moment for moment in polled.failed if not any(begin <= moment <= end for begin, end in spans)]
    assert len(polled.asked) > 500
    assert polled.failed
    assert not outside, f"{len(outside)} of {len(polled.failed)} failures are outside of {spans}: {outside[:5]}"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _outages(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    folder = rehearsal.migrate.folder
    assert folder is not None
    records = map(json.loads, (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines())
    return [record["body"] for record in records if record["kind"] == "outage"]


def test_applications_work_through_the_forwarders(rehearsal_of_all: Rehearsal) -> None:
    """Both applications that were not moved keep working under the old names."""
    at_hand.assert_data_flows()
    at_hand.wait_for("parcels /health ok", at_hand.parcels_work)


def test_no_acknowledged_message_is_lost(rehearsal_of_all: Rehearsal) -> None:
    """Every parcel that the broker confirmed was consumed, through the relay, by the consumer that came
    back by itself.
    """
    at_hand.wait_for("parcels /health ok", at_hand.parcels_work)
    before = at_hand.parcels("/state")
    at_hand.wait_for("a later parcel", lambda: at_hand.parcels("/state")["rabbitmq_writes"] > before["rabbitmq_writes"])
    at_hand.wait_for("all parcels consumed but the newest", lambda: at_hand.parcels("/state")["waiting"] <= 1)
    assert at_hand.parcels("/state")["consumed"] >= before["rabbitmq_writes"] - 1 > 0


def test_no_acknowledged_line_or_object_is_lost(rehearsal_of_all: Rehearsal) -> None:
    """As many lines and objects as were acknowledged are on the new host, written before and after the move."""
    acknowledged = at_hand.parcels("/state")
    counted = at_hand.on_host(
        ALL_TARGETS["loki"],
        "docker",
        "exec",
        "loki",
        "sh",
        "-c",
        'cat $(grep -l \'"job": "parcels"\' /loki/chunks/fake/*.json | sed s/labels.json/lines/) | wc -l',
    )
    listing = "echo 'fs.ls /buckets/parcels/live' | weed shell -master=127.0.0.1:9333 | grep -c '^[0-9]'"
    objects = at_hand.on_host(ALL_TARGETS["minio"], "docker", "exec", "minio", "sh", "-c", listing)
    assert int(counted) >= acknowledged["loki_writes"] > 0
    assert int(objects) >= acknowledged["minio_writes"] > 0


def test_stand_ins_are_called_so(rehearsal_of_all: Rehearsal) -> None:
    """Every row about a service that another program plays carries the word, and no other row does."""
    played = set(json.loads((STATE / "hosts.json").read_text(encoding="utf-8"))["simulated"])
    rows = [record["body"] for record in at_hand.rows_of(rehearsal_of_all.validate) if record["service"]]
    assert {row["service"] for row in rows if row["text"].startswith("(stand-in)")} == played & set(ALL_TARGETS)


def test_lost_message_is_found(rehearsal_of_all: Rehearsal) -> None:
    """One message that somebody took from a queue is missed, with the queue's name and both counts."""
    letter = _take_letter()
    try:
        ran = at_hand.run_phase("validate", "--service", "rabbitmq")
    finally:
        _put_letter(letter)
    assert ran.code == 1, ran.output[-3000:]
    assert "queue shop letters: messages: 250 → 249" in at_hand.text_of(
        at_hand.row(ran, "rabbitmq", "fingerprint-holds")
    )


def _management(method: str, path: str, content: dict[str, Any]) -> Any:
    """Return an answer of the moved broker's management API."""
    host = ALL_TARGETS["rabbitmq"]
    env = dict(line.split("=", 1) for line in at_hand.inspect(host, "rabbitmq")["Config"]["Env"])
    who = (env["RABBITMQ_DEFAULT_USER"], env["RABBITMQ_DEFAULT_PASS"])
    answer = requests.request(
        method, f"http://{at_hand.address(host)}:15672/api/{path}", json=content, auth=who, timeout=20
    )
    answer.raise_for_status()
    return answer.json()


def _take_letter() -> dict[str, Any]:
    asked = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "base64"}
    return dict(_management("POST", "queues/shop/letters/get", asked)[0])


def _put_letter(letter: dict[str, Any]) -> None:
    content = {
        "properties": letter["properties"],
        "routing_key": "",
        "payload": letter["payload"],
        "payload_encoding": "base64",
    }
    assert _management("POST", "exchanges/shop/by-header/publish", content)["routed"]


def test_no_secret_is_written_anywhere(rehearsal_of_all: Rehearsal) -> None:
    """No password or key of any of the thirteen is in any file of evidence, in the journal or in what was printed."""
    secrets = secrets_of_the_lab()
    assert len(secrets) >= 25
    texts = {
        f"output of {name}": ran.output.encode()
        for name, ran in {**rehearsal_of_all.phases, "dry run": rehearsal_of_all.dry_run}.items()
    }
    texts |= {str(file): file.read_bytes() for file in REPORTS.rglob("*") if file.is_file()}
    texts |= {str(file): file.read_bytes() for file in JOURNAL.parent.glob("lab.sqlite*")}
    assert not [
        f"{where} holds {name}" for where, text in texts.items() for name, secret in secrets.items() if secret in text
    ]


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_is_left_behind(rehearsal_of_all: Rehearsal, host: str) -> None:
    """No temporary key and no helper container stays on a host; what stays is labelled and is a relay or
    the service.
    """
    assert at_hand.leftovers(host)["keys"] == rehearsal_of_all.before_dry_run[host]["keys"]
    ours = {
        name: raw["Config"]["Labels"]
        for name, raw in at_hand.containers(host).items()
        if "longshore.move" in (raw["Config"]["Labels"] or {})
    }
    helpers = {name for name, labels in ours.items() if labels.get("longshore.role") != "forwarder"}
    assert helpers == {service for service, target in ALL_TARGETS.items() if target == host}


def test_all_passes_again(rehearsal_of_all: Rehearsal) -> None:
    """After damage and repair validate passes: nothing of it stayed."""
    ran = at_hand.run_phase("validate")
    assert ran.code == 0, ran.output[-3000:]
