"""What preflight asks about targets and the night, put together from a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from engine.contracts.container import MountFacts
from engine.errors import UnreachableError
from engine.journal.samples import DiskUse, Sample
from engine.verdict import Effect, Judgement, Verdict
from hosts.facts.model import HostFacts
from hosts.facts.system import SystemFacts, Usage
from phases.context.service_move import service_move
from phases.preflight import target_fitness, window
from phases.preflight.capacity import Capacity, targets_of
from phases.preflight.sample_source import Baselines
from runbooks.preflight import test_hosts as hosts
from runbooks.preflight import test_services as preflight
from tests.fakes.asking import answers_of
from tests.fakes.facts import GIB, make_container, make_disk, make_host, make_volume

NOW = datetime.now(UTC)
MOVE = SimpleNamespace(service="redis", source="wf005", target="wf001")
MOUNTS = [
    SimpleNamespace(path="/data", rule="copy", kind="volume"),
    SimpleNamespace(path="/conf", rule="copy", kind="bind"),
]


def context(**target: Any) -> Any:
    """Return redis on its way from wf005 to wf001."""
    container = make_container(
        mounts=(*make_container().mounts, MountFacts("bind", "/srv/redis", "/conf", read_only=False)),
        raw={"State": {"StartedAt": (NOW - timedelta(hours=1)).isoformat()}},
    )
    usage = {container.id: Usage(GIB, 360.0)}
    around = SystemFacts(
        host="wf005", usage=usage, owners={"/srv/redis": (999, 999)}, settings={"vm.overcommit_memory": "1"}
    )
    source = make_host(
        host="wf005", gathered_at=NOW, containers=(container,), volumes=(make_volume("redis_data", size_bytes=GIB),),
        path_sizes={"/srv/redis": 1000}, around=around,
    )  # fmt: skip
    facts = {
        "wf005": source,
        "wf001": make_host(**{"around": SystemFacts(host="wf001", settings={"vm.overcommit_memory": "0"}), **target}),
    }
    thresholds = SimpleNamespace(cpu_percent=70, memory_percent=80, disk_percent=85, io_percent=70)
    entry = SimpleNamespace(container="redis", mounts=MOUNTS, product="redis")

    def answer(host: str) -> HostFacts:
        if host not in facts:
            raise UnreachableError(f"{host}: ssh failed")
        return facts[host]

    scope = SimpleNamespace(
        moves=[MOVE],
        hosts=("wf005", "wf001", "wf009"),
        links=(),
        services={"redis": entry},
        thresholds=lambda host: thresholds,
        plan=SimpleNamespace(baseline_min_h=24),
        environment=SimpleNamespace(hosts={}),
        window=SimpleNamespace(starts_at=NOW, ends_at=NOW + timedelta(hours=1)),
    )
    from services.redis.product import Product  # noqa: PLC0415 slow to import

    return SimpleNamespace(
        scope=scope,
        facts=answer,
        move_of=lambda service: MOVE,
        entry=lambda service: entry,
        where=lambda: {"redis": "wf005"},
        container=lambda service, host: container,
        product=lambda service: Product(),
        journal=None,
    )


def fits(step: Callable[..., None], there: Any) -> Judgement:
    """Return the answer of a step of preflight about redis."""
    (answer,) = answers_of(step, service_move=service_move(there, "redis"))
    return answer


def test_a_target_is_judged_with_what_comes_to_it() -> None:
    """4 of 8 GiB are used, and 1 GiB of redis comes; without samples the moment is judged, and that is said."""
    capacity = Capacity(context(), Baselines(()), ("wf001",))

    assert targets_of(capacity.context.scope) == capacity.targets == ("wf001",)
    assert "62 % used after all moves" in capacity.judge_memory("wf001").text
    assert "0.20 of 2" in capacity.judge_processors("wf001").text
    assert capacity.judge_disk("wf001").passed
    assert capacity.judge_baseline("wf001").verdict is Verdict.UNKNOWN
    assert capacity.table().rows == (
        ("wf001", "memory", "50 %", "62.5 %", "80 %", "this moment only"),
        ("wf001", "processors", "5 %", "10.0 %", "70 %", "this moment only"),
        ("wf001", "busiest disk", "not known", "not enough data", "70 %", "this moment only"),
    )


def test_samples_of_target_and_service_take_the_moments_place() -> None:
    """Redis needed 3 GiB on most days, three times what it has now."""
    samples = tuple(
        Sample(NOW - timedelta(hours=48 - hour), host, container, memory, hour * 360.0)
        for hour in range(48)
        for host, container, memory in (("wf001", "", 4 * GIB), ("wf005", "redis", 3 * GIB))
    )
    answer = Capacity(context(), Baselines(samples), ("wf001",)).judge_memory("wf001")

    assert answer.verdict is Verdict.FAILED
    assert "88 % used after all moves" in answer.text
    assert "48 samples over 47 h" in answer.text
    assert Capacity(context(), Baselines(samples), ("wf001",)).judge_baseline("wf001").passed


def test_disks_are_judged_from_samples_of_both_hosts() -> None:
    """The target's disk works 60 % of the time; redis' part of the source's is half of its 40 %: together
    above 70 %.
    """

    def rows(redis: dict[int, int] | None, last: int = 48) -> tuple[Sample, ...]:
        return tuple(
            Sample(NOW - timedelta(hours=48 - hour), host, container, GIB, hour * 360.0, disks)
            for hour in range(last)
            for host, container, disks in (
                ("wf001", "", {"sda": DiskUse(hour * 2160.0, hour, hour)}),
                ("wf005", "", {"vda": DiskUse(hour * 1440.0, 10 * hour, 30 * hour)}),
                (
                    "wf005",
                    "redis",
                    None if redis is None else {"vda": DiskUse(None, 5 * hour, redis.get(hour, 15 * hour))},
                ),
            )
        )

    answer = Capacity(context(), Baselines(rows({})), ("wf001",)).judge_disks_busy("wf001")
    assert answer.verdict is Verdict.FAILED
    assert "wf001: time of the busiest disk will be 80 % used after all moves" in answer.text
    assert answer.details[1] == "redis: 20.0 % of the time, 0.0 MB/s; 48 samples over 47 h"
    assert Capacity(context(), Baselines(rows({})), ("wf001",)).table().rows[2][2:4] == ("60 %", "80.0 %")
    blind = Capacity(context(), Baselines(rows(None)), ("wf001",)).judge_disks_busy("wf001")
    assert blind.verdict is Verdict.UNKNOWN
    assert "not enough data: how busy redis keeps disks is not known" in blind.text
    assert (
        Capacity(context(), Baselines(rows({}, last=20)), ("wf001",)).judge_disks_busy("wf001").verdict
        is Verdict.UNKNOWN
    )


def test_a_target_that_does_not_answer_has_a_row_that_says_so() -> None:
    """The others' rows stand."""
    silent = context()
    silent.facts = lambda host: (_ for _ in ()).throw(UnreachableError("wf001: ssh failed"))

    assert Capacity(silent, Baselines(()), ("wf001",)).table().rows == (
        ("wf001", "–", "–", "–", "–", "UNKNOWN: wf001: ssh failed"),
    )


def test_the_place_of_the_data_is_looked_at() -> None:
    """Docker's volumes folder and the bind mounts' paths: one read-only, one without inodes."""
    disks = (make_disk(), make_disk(mount="/srv"), make_disk(mount="/var/lib/docker", inodes_free=0))
    there = context(file_systems=disks, around=SystemFacts(host="wf001", read_only_mounts=frozenset({"/srv"})))
    writable, inodes = answers_of(preflight.test_disk_can_be_used, service_move=service_move(there, "redis"))

    assert "/srv/redis (on /srv)" in writable.text
    assert "100 % of the inodes of /var/lib/docker" in inodes.text


def test_a_service_that_has_moved_is_judged_by_its_kept_container() -> None:
    """Preflight is run again between two nights: the source has another name by then."""
    moved = context()
    source = moved.facts("wf005")
    kept = replace(source, containers=(replace(source.containers[0], name="redis-moved"),))
    moved.facts = lambda host: (
        kept if host == "wf005" else make_host(around=SystemFacts(host="wf001", settings={"vm.overcommit_memory": "1"}))
    )

    assert "that redis-moved needs among them" in fits(preflight.test_kernel_fits, moved).text
    assert fits(preflight.test_owners_are_nobody_else, moved).passed


def test_what_the_product_asks_of_the_kernel_is_asked() -> None:
    """Redis says so itself."""
    assert "vm.overcommit_memory is 0, expected 1" in fits(preflight.test_kernel_fits, context()).text


def test_owners_are_compared_between_the_hosts() -> None:
    """A number below 1000 that is nobody's here is the container's own; a person's there is a collision."""
    people = context(around=SystemFacts(host="wf001", users={999: "agent", 1001: "anna"}))

    assert fits(preflight.test_owners_are_nobody_else, people).passed
    people.facts("wf005").around.owners["/srv/redis"] = (1001, 1001)
    assert (
        "/srv/redis: 1001 is nobody on wf005 and anna on wf001"
        in fits(preflight.test_owners_are_nobody_else, people).text
    )


def test_the_window_is_held_against_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates of all actions, and of the undo of what changes until the commit."""

    def action(seconds: float, effect: Effect, *, commits: bool = False) -> Any:
        return SimpleNamespace(estimate_s=lambda: seconds, effect=effect, commits=commits)

    actions = (
        action(1800, Effect.CHANGES_STATE),
        action(60, Effect.READ_ONLY),
        action(1200, Effect.CHANGES_STATE, commits=True),
        action(600, Effect.CHANGES_STATE),
    )
    monkeypatch.setattr(window, "recipe", lambda move, attempt: actions)
    monkeypatch.setattr(window, "read_past", lambda journal, service: SimpleNamespace(attempt=1))
    answer = window.judge_window(context(), NOW)

    assert answer.verdict is Verdict.FAILED
    assert "1 moves need about 61 min, and 50 min to undo the longest; the window has 60 min free" in answer.text


def test_references_are_found_on_the_hosts_that_answer() -> None:
    """wf009 does not: nothing is taken for "no connection" there."""
    found = target_fitness.find_references(context())

    assert found.edges == ()
    assert found.blind == {"wf009": "wf009: ssh failed"}


def test_other_engines_are_reported() -> None:
    """An ordinary engine passes; that another is set up otherwise stands in the text."""
    asked = context(storage_driver="btrfs")

    (answer,) = answers_of(hosts.test_engine_is_ordinary, facts=asked.facts("wf001"), context=asked)
    assert "other than wf005: storage overlay2" in answer.text
