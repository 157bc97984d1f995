"""A lab with three port conflicts: the remap plan is the smallest, migrate applies it, and every consumer that it lists
works.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab import at_hand
from tests.lab.at_hand import ROOT, SOURCE, TARGETS, Ran

REMAPS: Final = {"postgres": {"5432/tcp": 15432}, "prometheus": {"9090/tcp": 19090}, "redis": {"6379/tcp": 16379}}
HOLDER: Final = "nohup perl -MIO::Socket::INET -e '{program}' >/dev/null 2>&1 </dev/null & echo $!"
LISTEN: Final = (
    "$s=IO::Socket::INET->new(LocalPort=>5432,Listen=>1) or die; while($c=$s->accept){{print $c qq(not postgres\\n)}}"
)
SHOP: Final = """\
services:
  web:
    image: {image}
    ports: ["8090:80"]
    environment:
      DATABASE_URL: postgres://{source}:5432/shop
      QUEUE: {source}:6379
"""
OVERRIDE: Final = 'services:\n  web:\n    ports: ["9090:9090"]\n'
LABELS: Final = {
    "project": "shop",
    "service": "web",
    "project.config_files": "/srv/shop/compose.yml",
    "project.working_dir": "/srv/shop",
}
STEPS: Final[dict[str, tuple[str, ...]]] = {"preflight": (), "approve": (), "migrate": ("--apply",), "validate": ()}
QUESTIONS: Final = {
    5432: ("printf '\\0\\0\\0\\010\\004\\322\\026\\057' >&3; head -c 1 <&3", r"[NS]"),  # SSLRequest: yes or no
    6379: ("printf 'PING\\r\\n' >&3; head -n 1 <&3", r"-NOAUTH|\+PONG"),
    9090: ("printf 'GET /-/ready HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3", r" 200 "),
}
"""What each product answers to a client that knows no password, through bash's own /dev/tcp."""

pytestmark = [pytest.mark.lab, pytest.mark.full]


@dataclass(frozen=True)
class Night:
    """What was run, in order, with the report before and after the remap was written."""

    before: dict[str, Any]
    refused: Ran
    written: Ran
    after: dict[str, Any]
    phases: dict[str, Ran]
    plan: Path
    holders: dict[str, str]


def scan(plan: Path, *flags: str) -> tuple[Ran, dict[str, Any]]:
    """Run the scanner and return what it said as JSON."""
    ran = at_hand.run_command("ports", "--lab", "--plan", str(plan), "--json", *flags)
    return ran, dict(json.JSONDecoder().raw_decode(ran.output[ran.output.index("{") :])[0])


def make_conflicts() -> dict[str, str]:
    """Take each service's port on its target: by a process, by a container, by an override file of a project in use."""
    process = at_hand.on_host("wf002", "sh", "-c", HOLDER.format(program=LISTEN.format())).strip()
    image = at_hand.inspect(SOURCE, "prometheus")["Config"]["Image"]
    at_hand.on_host(
        "wf001",
        "docker",
        "run",
        "--detach",
        "--name",
        "cache",
        "--publish",
        "6379:80",
        "--entrypoint",
        "sleep",
        image,
        "3600",
    )
    labels = [word for name, value in LABELS.items() for word in ("--label", f"com.docker.compose.{name}={value}")]
    at_hand.on_host(
        "wf001",
        "docker",
        "run",
        "--detach",
        "--name",
        "shop-web-1",
        *labels,
        "--publish",
        "8090:80",
        "--entrypoint",
        "sleep",
        image,
        "3600",
    )
    write("wf001", "/srv/shop/compose.yml", SHOP.format(image=image, source=at_hand.address(SOURCE)))
    write("wf001", "/srv/shop/compose.override.yml", OVERRIDE)
    return {"wf002": process}


def write(host: str, path: str, text: str) -> None:
    """Write a file on a host."""
    at_hand.on_host(host, "sh", "-c", f"mkdir -p {path.rpartition('/')[0]} && cat > {path}", stdin=text.encode())


@pytest.fixture(scope="module")
def night(fresh_lab: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Make three conflicts, see preflight refuse, write the remaps into a copy of the plan, and go through the whole
    night with it.
    """
    plan = tmp_path_factory.mktemp("plan") / "migration_plan.json"
    shutil.copy(ROOT / "migration_plan.json", plan)
    holders = make_conflicts()
    _, before = scan(plan)
    prepared = at_hand.run_phase("prepare", "--apply", "--plan", str(plan))
    refused = at_hand.run_phase("preflight", "--plan", str(plan))
    written, _ = scan(plan, "--write")
    _, after = scan(plan)
    phases = {name: at_hand.run_command(name, *flags, "--lab", "--plan", str(plan)) for name, flags in STEPS.items()}
    yield Night(before, refused, written, after, {"prepare": prepared, **phases}, plan, holders)
    at_hand.reset("core")


def test_three_conflicts_are_found_with_their_holders(night: Night) -> None:
    """A process that is not Docker's, a container, and an override file with its line."""
    found = {
        one["port"]: " and ".join(one["who"])
        for one in night.before["conflicts"]
        if one["when"] == "after the moves" and one["blocks"]
    }

    assert set(found) == {"5432/tcp", "6379/tcp", "9090/tcp"}
    assert "process perl on 0.0.0.0" in found["5432/tcp"]
    assert "container cache (running)" in found["6379/tcp"]
    assert "/srv/shop/compose.override.yml:3" in found["9090/tcp"]


def test_preflight_refuses_and_says_the_way_out(night: Night) -> None:
    """Each of the three services FAILED at its own row, with the remap that is proposed; the scan is in the
    evidence.
    """
    assert night.refused.code == 1
    for service, ports in REMAPS.items():
        body = at_hand.row(night.refused, service, "ports-after-all-moves")
        assert body["verdict"] == "FAILED"
        assert str(next(iter(ports.values()))) in body["text"]
    assert night.refused.folder is not None
    page = (night.refused.folder / "report.html").read_text(encoding="utf-8")
    assert "Consumers of remapped ports" in page
    assert "/srv/shop/compose.override.yml:3" in page


def test_the_remap_plan_is_minimal(night: Night) -> None:
    """One remap for each conflict and no other; the plan holds exactly those."""
    assert len(night.before["remaps"]) == 3
    moves = {
        move["service"]: move.get("ports", {}) for move in json.loads(night.plan.read_text(encoding="utf-8"))["moves"]
    }
    assert {service: ports for service, ports in moves.items() if ports} == REMAPS
    assert night.after["remaps"] == []
    original = (ROOT / "migration_plan.json").read_text(encoding="utf-8").splitlines()
    assert len(set(night.plan.read_text(encoding="utf-8").splitlines()) - set(original)) == 3


@pytest.mark.parametrize("phase", ["prepare", *STEPS])
def test_the_night_goes_through(night: Night, phase: str) -> None:
    """Every phase ends well with the remapped plan."""
    assert night.phases[phase].code == 0, night.phases[phase].output[-4000:]


@pytest.mark.parametrize("service", REMAPS)
def test_the_service_is_published_under_the_new_port(night: Night, service: str) -> None:
    """And under no other; who had the old port has it still."""
    bindings = at_hand.inspect(TARGETS[service], service)["HostConfig"]["PortBindings"]
    ((old, new),) = REMAPS[service].items()

    assert [binding["HostPort"] for binding in bindings[old]] == [str(new)]
    assert at_hand.inspect("wf001", "cache")["State"]["Running"]
    assert at_hand.on_host("wf002", "kill", "-0", night.holders["wf002"]) == ""


def test_every_listed_consumer_works(night: Night) -> None:
    """The linked application keeps writing; the old words of each setting still answer, and its new words do too."""
    consumers = night.before["consumers"]

    assert {one["role"] for one in consumers} == {"link", "setting"}
    assert {one["service"] for one in consumers} >= {"postgres", "redis"}
    at_hand.assert_data_flows()
    for one in (one for one in consumers if one["role"] != "link"):
        host, port = one["place"].partition(":")[0], int(one["port"].partition("/")[0])
        for words in (one["says"], one["becomes"]):
            ask, expected = QUESTIONS[port]
            name, _, number = words.rpartition(":")
            said = at_hand.on_host(host, "bash", "-c", f"exec 3<>/dev/tcp/{name}/{number}; {ask}")
            assert re.search(expected, said), f"{one['place']}: {words} answers {said!r}"
