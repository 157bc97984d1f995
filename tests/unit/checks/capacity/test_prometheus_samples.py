"""What a Prometheus recorded becomes the same samples that the sampler takes; what it lacks stays not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from checks.capacity.baseline import load_of
from checks.capacity.prometheus_samples import DISKS_OF_CONTAINERS, OF_CONTAINERS, Metric, poorest, query_of, samples_of
from engine.journal.samples import DiskUse, Sample
from hosts.local.prometheus import Series

HOSTS: Final = {"wf005:9100": "wf005", "wf005:8080": "wf005"}
NODE: Final = {"instance": "wf005:9100"}
REDIS: Final = {"instance": "wf005:8080", "name": "redis"}


def series(labels: Mapping[str, str], *values: float, start: float = 0.0, **more: str) -> Series:
    """Return a row with a value every five minutes."""
    return Series({**labels, **more}, tuple((start + 300.0 * number, value) for number, value in enumerate(values)))


ANSWERS: Final[dict[Metric, tuple[Series, ...]]] = {
    Metric.HOST_MEMORY: (series(NODE, 4096.0, 8192.0),),
    Metric.HOST_CPU: (series(NODE, 100.0, 250.0),),
    Metric.HOST_BUSY: (series(NODE, 10.0, 40.0, device="sda"),),
    Metric.HOST_READ: (series(NODE, 0.0, 1000.0, device="sda"),),
    Metric.HOST_WRITTEN: (series(NODE, 0.0, 3000.0, device="sda"),),
    Metric.MEMORY: (series(REDIS, 100.0, 200.0),),
    Metric.CPU: (series(REDIS, 1.0, 31.0),),
    Metric.READ: (series(REDIS, 0.0, 500.0, device="/dev/sda"),),
    Metric.WRITTEN: (series(REDIS, 0.0, 500.0, device="/dev/sda"),),
}


def test_the_queries_select_what_is_asked_and_nothing_else() -> None:
    """No letter of a name is read as a pattern, and none ends the text it stands in."""
    query = query_of(Metric.MEMORY, ["wf005:8080", "[::1]:8080"], ["shop.db", "redis"])

    assert query == (
        "max by (instance, name) "
        '(container_memory_working_set_bytes{instance=~"wf005:8080|[[]::1[]]:8080",name=~"shop[.]db|redis"})'
    )
    assert query_of(Metric.HOST_MEMORY, ["a:1"], []) == (
        'max by (instance) (node_memory_MemTotal_bytes{instance=~"a:1"} - '
        'node_memory_MemAvailable_bytes{instance=~"a:1"})'
    )


def test_answers_become_samples() -> None:
    """Of one moment: a host's memory, processors and disks, and a container's."""
    first, second, *_ = samples_of(ANSWERS, HOSTS)

    assert first == Sample(datetime(1970, 1, 1, tzinfo=UTC), "wf005", "", 4096, 100.0, {"sda": DiskUse(10.0, 0, 0)})
    assert second == Sample(datetime(1970, 1, 1, tzinfo=UTC), "wf005", "redis", 100, 1.0, {"sda": DiskUse(None, 0, 0)})


def test_the_same_code_judges_them() -> None:
    """Counters become processors, and a part of the disk's time: 30 s of 300, a quarter of it redis'."""
    samples = samples_of(ANSWERS, HOSTS)
    host, redis = load_of(samples, "wf005"), load_of(samples, "wf005", "redis")

    assert (host.memory_bytes, host.processors, host.disk.busy_percent) == (8192, 0.5, 10.0)
    assert (redis.memory_bytes, redis.processors, redis.disk.busy_percent) == (200, 0.1, 2.5)


def test_what_is_lacking_is_not_known_and_not_zero() -> None:
    """A container without processors is not counted as looked at; one without disks has none; a host that is not
    scraped has no sample.
    """
    lacking = {**ANSWERS, Metric.CPU: (), Metric.READ: (), Metric.HOST_BUSY: ()}
    load = load_of(samples_of(lacking, HOSTS), "wf005", "redis")

    assert (load.processors, load.samples, load.disk.busy_percent) == (None, 0, None)
    assert load_of(samples_of(lacking, HOSTS), "wf005").disk.busy_percent is None
    assert {one.host for one in samples_of(ANSWERS, HOSTS)} == {"wf005"}
    assert samples_of({}, HOSTS) == samples_of(ANSWERS, {}) == ()


def test_a_hole_in_a_row_is_a_gap() -> None:
    """A day without an answer is a day that nobody looked at, and no work is spread over it."""
    later = {metric: (*rows, series(rows[0].labels, 5e5, 5.0003e5, start=86400.0)) for metric, rows in ANSWERS.items()}
    load = load_of(samples_of(later, HOSTS), "wf005", "redis")

    assert load.samples == 4
    assert round(load.hours * 60) == 10
    assert load.processors == 0.1
    assert load.text == "4 samples over 0 h, none in 24 h between them"


def test_rows_that_nobody_asked_for_are_left_out() -> None:
    """Another instance's; a container without a name, which would be taken for its host."""
    strange = {
        Metric.MEMORY: (
            series({"instance": "wf005:8080"}, 1.0),
            series({**REDIS, "instance": "other:1"}, 1.0),
            Series({}, ((0.0, 1.0),)),
        )
    }

    assert samples_of(strange, HOSTS) == ()


def test_of_two_exporters_the_higher_answer_counts() -> None:
    """One of them may have been started a moment ago."""
    twice = {
        Metric.MEMORY: (series(REDIS, 7.0), series({**REDIS, "instance": "wf005:9100"}, 3.0)),
        Metric.CPU: (series(REDIS, 1.0),),
    }

    assert [one.memory_bytes for one in samples_of(twice, HOSTS)] == [7]


def test_the_query_to_look_at_is_that_which_answers_least() -> None:
    """Nothing of processors, while memory is there."""
    subject = ("wf005", "redis")

    assert poorest({**ANSWERS, Metric.CPU: ()}, HOSTS, OF_CONTAINERS, subject) is Metric.CPU
    assert poorest({}, HOSTS, OF_CONTAINERS, subject) is Metric.MEMORY
    assert poorest({**ANSWERS, Metric.WRITTEN: ()}, HOSTS, DISKS_OF_CONTAINERS, subject) is Metric.WRITTEN
