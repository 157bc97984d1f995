"""Capacity after the moves: against the thresholds, from samples where there are enough, never a guess."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from checks.capacity.baseline import Load, container_load_now, load_now, load_of
from checks.capacity.disk_space import SpaceNeed
from checks.capacity.target_load import (
    TargetUsage,
    chosen_load,
    judge_baseline,
    judge_disk_after_all,
    judge_memory_after,
    judge_processors_after,
)
from engine.journal.journal import Journal
from engine.journal.samples import HOST, DiskUse, Sample, forget_samples, read_samples, write_samples
from engine.redaction.redactor import Redactor
from engine.verdict import Verdict
from hosts.facts.system import SystemFacts, Usage
from tests.fakes.facts import GIB, make_container, make_host

START = datetime(2026, 1, 1, tzinfo=UTC)
ENOUGH = Load(GIB, 0.5, 300, 48.0)


def target(host: Load, **arriving: Load) -> TargetUsage:
    """Return wf001 (8 GiB, 2 processors) and what comes to it; nothing of it was sampled."""
    return chosen_load(make_host(), (Load(None, None), dict.fromkeys(arriving, Load(None, None))), (host, arriving), 24)


def test_a_target_at_78_percent_of_its_memory_fails_for_what_comes() -> None:
    """78 % now is below 80 %; with half a GiB of redis it is 84 %."""
    full = Load(int(0.78 * 8 * GIB), 0.1)
    answer = judge_memory_after(target(full, redis=Load(GIB // 2, 0.1)), 80)

    assert answer.verdict is Verdict.FAILED
    assert (
        "wf001: memory will be 84 % used after all moves (6,902 MiB of 8,192 MiB; from this moment only). "
        "Expected: at most 80 %"
    ) in answer.text
    assert answer.details == ("now: 6,390 MiB", "redis: 512 MiB")


def test_the_head_room_is_reported() -> None:
    """Who plans the next move wants to know."""
    answer = judge_memory_after(target(Load(4 * GIB, 0.1), redis=Load(GIB, 0.1)), 80)

    assert answer.passed
    assert answer.measured == {"used_percent": 62.5, "head_room_points": 17.5}


def test_processors_that_will_not_suffice_fail() -> None:
    """Two services that need three quarters of a processor each, on two that are already used."""
    answer = judge_processors_after(target(Load(GIB, 0.5), redis=Load(1, 0.75), n8n=Load(1, 0.75)), 70)

    assert answer.verdict is Verdict.FAILED
    assert "processors will be 100 % used after all moves (2.00 of 2;" in answer.text


@pytest.mark.parametrize("judge", [judge_memory_after, judge_processors_after])
def test_a_need_that_is_not_known_is_not_zero(judge: object) -> None:
    """A service that does not run now has no memory to measure."""
    answer = judge(target(Load(GIB, 0.1), redis=Load(None, None)), 80)  # type: ignore[operator]

    assert answer.verdict is Verdict.UNKNOWN
    assert "not enough data: the" in answer.text
    assert "redis needs is not known" in answer.text
    assert "nox -s sample" in answer.text


def test_disks_are_judged_for_all_moves_together() -> None:
    """Each of two moves of 20 GiB stays below 85 % of 100 GiB, half of it used; both do not."""
    needs = [SpaceNeed(f"{name}: volume data", "/var/lib/docker", 20 * GIB) for name in ("redis", "n8n")]

    assert judge_disk_after_all(make_host(), needs[:1], 85).passed
    assert judge_disk_after_all(make_host(), needs, 85).verdict is Verdict.FAILED


def test_samples_are_used_once_all_of_them_are_enough() -> None:
    """One service without them, and the moment is judged: half a baseline would hide its need."""
    now = (Load(2 * GIB, 0.1), {"redis": Load(GIB, 0.1)})

    assert chosen_load(make_host(), (ENOUGH, {"redis": ENOUGH}), now, 24).text == "300 samples over 48 h"
    assert chosen_load(make_host(), (ENOUGH, {"redis": Load(GIB, 0.5, 5, 48.0)}), now, 24).text == "this moment only"
    assert not chosen_load(make_host(), (ENOUGH, {"redis": ENOUGH}), now, 72).is_sampled


def test_too_few_samples_are_said_and_what_to_do() -> None:
    """Not a failure: nobody looked for long enough."""
    answer = judge_baseline("wf001", {"wf001": ENOUGH, "redis": Load(None, None)}, 24)

    assert answer.verdict is Verdict.UNKNOWN
    assert "wf001: not enough data of 1 of 2: redis: no samples. Expected: 24 h of samples of each" in answer.text
    assert judge_baseline("wf001", {"wf001": ENOUGH}, 24).passed


def sample(minutes: int, memory: int, cpu_s: float, container: str = HOST) -> Sample:
    """Return a sample of wf001."""
    return Sample(START + timedelta(minutes=minutes), "wf001", container, memory, cpu_s)


def test_a_peak_that_lasts_counts_and_one_that_does_not_is_left_out() -> None:
    """95 of 100 samples needed no more than 2 GiB; one of 100 is a spike."""
    steady = [sample(minute, 2 * GIB, 60.0 * minute) for minute in range(99)]

    assert load_of([*steady, sample(99, 7 * GIB, 60.0 * 99)], "wf001").memory_bytes == 2 * GIB


def test_processors_are_counted_between_samples_but_not_over_a_restart() -> None:
    """The counter begins at 0 again: that is no negative need."""
    load = load_of([sample(0, 1, 100.0), sample(1, 1, 160.0), sample(2, 1, 5.0), sample(3, 1, 35.0)], "wf001")

    assert load.processors == 1.0
    assert (load.samples, load.hours) == (4, 0.05)
    assert load_of([], "wf001") == Load(None, None)


def test_this_moments_need_is_read_from_the_facts() -> None:
    """Memory of the control group; processors on average since the start."""
    raw = {"State": {"StartedAt": "2025-12-31T23:00:00.123456789Z"}}
    container = make_container(raw=raw)
    facts = make_host(
        containers=(container,), around=SystemFacts(usage={container.id: Usage(GIB, 1800.0)}), load_1m=9.0
    )

    assert load_now(facts) == Load(4 * GIB, 2.0)
    now = container_load_now(facts, "redis")
    assert (now.memory_bytes, round(now.processors or 0, 3)) == (GIB, 0.5)
    assert (
        container_load_now(facts, "n8n")
        == container_load_now(make_host(containers=(container,)), "redis")
        == Load(None, None)
    )


def test_samples_are_kept_next_to_the_journal(tmp_path: Path) -> None:
    """They come back as they were; old ones are forgotten; the journal's records are none the wiser."""
    journal = Journal.open(tmp_path / "lab.sqlite", redactor=Redactor())
    written = (
        sample(0, 1, 0.5),
        Sample(START + timedelta(hours=1), "wf001", "redis", None, None, {"sda": DiskUse(None, 1, 2)}),
    )

    assert write_samples(journal, written) == 2
    assert write_samples(journal, ()) == 0
    assert read_samples(journal, START) == written
    assert read_samples(journal, START + timedelta(minutes=1)) == written[1:]
    assert forget_samples(journal, START + timedelta(minutes=1)) == 1
    assert read_samples(journal, START) == written[1:]
    assert journal.records() == []


def test_samples_that_hold_nothing_of_disks_stay(tmp_path: Path) -> None:
    """Where disks were not read, the rest of the sample counts, also once the journal is opened again."""
    file = tmp_path / "lab.sqlite"
    journal = Journal.open(file, redactor=Redactor())
    write_samples(journal, [sample(0, 1, 0.5)])
    journal.engine.dispose()

    again = Journal.open(file, redactor=Redactor())
    write_samples(again, [replace(sample(1, 1, 0.5), disks={"sda": DiskUse(1.0, 2, 3)})])
    assert [one.disks for one in read_samples(again, START)] == [None, {"sda": DiskUse(1.0, 2, 3)}]
