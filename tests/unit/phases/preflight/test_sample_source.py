"""Where a capacity's samples come from: the Prometheus that is named, else our own with the reason in the row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from checks.capacity.prometheus_samples import Metric
from engine.config.environment import PrometheusPlace
from engine.errors import UnreachableError
from engine.journal.journal import Journal
from engine.journal.samples import Sample, write_samples
from engine.redaction.redactor import Redactor
from engine.verdict import Verdict
from hosts.local.prometheus import Prometheus, Series
from phases.preflight import capacity as module
from phases.preflight.capacity import Capacity, read_capacity
from phases.preflight.sample_source import Baselines, open_prometheus, read_baselines
from tests.fakes.facts import GIB
from tests.unit.phases.preflight.test_target_fitness import NOW, context

URL: Final = "https://prom.invalid"
PASSWORD: Final = "hunter2-of-the-lab"
PLACE: Final = PrometheusPlace(url=URL, instances={"wf001": ("wf001:9100",), "wf005": ("wf005:9100", "wf005:8080")})
WANTED: Final = (("wf001", ""), ("wf005", ""), ("wf005", "redis"))
HOURS: Final = 48
PER_HOUR: Final = {
    Metric.HOST_MEMORY: 0.0,
    Metric.HOST_CPU: 360.0,
    Metric.HOST_BUSY: 1440.0,
    Metric.HOST_READ: 4e6,
    Metric.HOST_WRITTEN: 4e6,
    Metric.MEMORY: 0.0,
    Metric.CPU: 360.0,
    Metric.READ: 1e6,
    Metric.WRITTEN: 1e6,
}
"""What each counter gains: a disk that works 40 % of the time, a quarter of it for redis."""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return a journal with one sample of our own."""
    made = Journal.open(tmp_path / "lab.sqlite", redactor=Redactor())
    write_samples(made, [Sample(NOW, "wf001", "", 1, 1.0)])
    return made


def capacity_of(journal: Journal, place: PrometheusPlace = PLACE) -> Capacity:
    """Return the capacity of wf001, to which redis comes, from two days."""
    return Capacity(
        context(), read_baselines(journal, place, Redactor(), WANTED, (NOW - timedelta(hours=HOURS), NOW)), ("wf001",)
    )


def answering(monkeypatch: pytest.MonkeyPatch, *without: Metric, hours: range = range(HOURS)) -> list[str]:
    """Let every Prometheus answer; return what it is asked."""
    asked: list[str] = []

    def ask_range(_self: Prometheus, query: str, start: datetime, _end: datetime, _step_s: float) -> tuple[Series, ...]:
        asked.append(query)
        metric = next(one for one in Metric if query.startswith(one.value.partition("{")[0]))
        level = 3.0 * GIB if metric in {Metric.HOST_MEMORY, Metric.MEMORY} else 0.0
        points = tuple((start.timestamp() + 3600 * hour, level + PER_HOUR[metric] * hour) for hour in hours)
        of_hosts = ({"instance": "wf001:9100", "device": "sda"}, {"instance": "wf005:9100", "device": "sda"})
        labels = (
            ({"instance": "wf005:8080", "name": "redis", "device": "sda"},) if "NAMES" in metric.value else of_hosts
        )
        return () if metric in without else tuple(Series(one, points) for one in labels)

    monkeypatch.setattr(Prometheus, "ask_range", ask_range)
    return asked


def test_without_a_prometheus_our_own_samples_count(journal: Journal) -> None:
    """As before."""
    found = read_baselines(journal, None, Redactor(), WANTED, (NOW - timedelta(hours=1), NOW))

    assert ([one.host for one in found.samples], found.origin.told("x")) == (["wf001"], "x")


def test_what_a_named_prometheus_recorded_is_judged(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request a metric; every row says whose samples they are."""
    asked = answering(monkeypatch)
    capacity = capacity_of(journal)

    assert len(asked) == len(set(asked)) == len(Metric)
    assert capacity.judge_baseline("wf001").text == f"wf001: 2 were sampled for at least 47 h of Prometheus {URL}"
    memory = capacity.judge_memory("wf001").text
    assert (
        "wf001: memory 75 % used after all moves (6,144 MiB of 8,192 MiB), 5 points below 80 %; from 48 "
        f"samples over 47 h of Prometheus {URL}"
    ) in memory
    assert capacity.judge_processors("wf001").measured["used_percent"] == 10.0
    assert capacity.judge_disks_busy("wf001").measured["used_percent"] == 50.0
    assert capacity.table().rows[0] == (
        "wf001",
        "memory",
        "38 %",
        "75.0 %",
        "80 %",
        f"48 samples over 47 h of Prometheus {URL}",
    )


def test_a_prometheus_that_does_not_answer_is_replaced_and_the_row_says_so(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a whole: half of one and half of the other would be compared with each other."""

    def ask_range(_self: Prometheus, query: str, *_: Any) -> tuple[Series, ...]:
        if "node_disk_read" in query:
            raise UnreachableError(f"Prometheus {URL}: no answer (ConnectionError). Try: curl")
        return ()

    monkeypatch.setattr(Prometheus, "ask_range", ask_range)
    capacity = capacity_of(journal)

    assert [one.host for one in capacity.baselines.samples] == ["wf001"]
    reason = f"not from the Prometheus that is named: Prometheus {URL}: no answer (ConnectionError)"
    assert reason in capacity.judge_baseline("wf001").text
    assert reason in capacity.judge_memory("wf001").text
    assert reason in capacity.judge_disks_busy("wf001").text
    assert reason in capacity.table().rows[0][-1]
    assert "nox -s sample" in capacity.judge_baseline("wf001").text


def test_own_samples_that_are_enough_pass_and_still_say_so(monkeypatch: pytest.MonkeyPatch, journal: Journal) -> None:
    """Whoever reads the row learns that the named source was silent."""
    for host, container in (("wf001", ""), ("wf005", "redis")):
        write_samples(
            journal,
            [
                Sample(NOW - timedelta(hours=HOURS - 1 - hour), host, container, GIB, 360.0 * hour)
                for hour in range(HOURS)
            ],
        )
    monkeypatch.setattr(Prometheus, "ask_range", lambda *_: (_ for _ in ()).throw(UnreachableError("prom: no answer")))
    answer = capacity_of(journal).judge_baseline("wf001")

    assert answer.passed
    assert answer.text.endswith("; not from the Prometheus that is named: prom: no answer")


@pytest.mark.parametrize(
    ("without", "place", "look"),
    [
        (
            (Metric.MEMORY, Metric.CPU),
            PLACE,
            'container_memory_working_set_bytes{instance=~"wf005:9100|wf005:8080",name=~"redis"}',
        ),
        ((Metric.CPU,), PLACE, 'container_cpu_usage_seconds_total{instance=~"wf005:9100|wf005:8080",name=~"redis"}'),
        (
            (),
            PLACE.model_copy(update={"instances": {"wf001": ("wf001:9100",)}}),
            "prometheus/instances/wf005 of the environment's file: none",
        ),
    ],
)
def test_what_it_lacks_is_reported_with_the_query_to_look_at(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, without: tuple[Metric, ...], place: PrometheusPlace, look: str
) -> None:
    """A container without rows, one without processors, a host that is not named: not enough data, the moment is
    judged.
    """
    answering(monkeypatch, *without)
    capacity = capacity_of(journal, place)
    answer = capacity.judge_baseline("wf001")

    assert answer.verdict is Verdict.UNKNOWN
    assert f"wf001: not enough data of 1 of 2: redis: no samples of Prometheus {URL}. Expected: 24 h" in answer.text
    assert look in answer.text
    assert look in answer.details[0]
    assert capacity.judge_memory("wf001").text.endswith("from this moment only")


def test_disks_that_it_does_not_report_are_not_enough_data(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cAdvisor counts no bytes: the rest of its answers count."""
    answering(monkeypatch, Metric.WRITTEN)
    capacity = capacity_of(journal)

    assert capacity.judge_disks_busy("wf001").verdict is Verdict.UNKNOWN
    assert "container_fs_writes_bytes_total" in capacity.judge_disks_busy("wf001").text
    assert capacity.judge_memory("wf001").passed
    assert capacity.judge_baseline("wf001").passed


def test_a_few_hours_of_it_are_not_enough(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was set up yesterday."""
    answering(monkeypatch, hours=range(HOURS - 15, HOURS))
    answer = capacity_of(journal).judge_baseline("wf001")

    assert answer.verdict is Verdict.UNKNOWN
    assert f"wf001: 15 samples over 14 h of Prometheus {URL}" in answer.text


def test_its_secrets_are_known_to_the_redactor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are, and as the header has them."""
    monkeypatch.setenv("LONGSHORE_TEST_PROM", PASSWORD)
    redactor = Redactor()
    server = open_prometheus(PLACE.model_copy(update={"user": "ops", "password": "env:LONGSHORE_TEST_PROM"}), redactor)

    assert server.authorization
    header = server.authorization.reveal()
    assert "hunter2" not in redactor.text(f"{PASSWORD} {header}")
    assert header.split()[1][8:] not in redactor.text(header)
    token = open_prometheus(PLACE.model_copy(update={"token": "env:LONGSHORE_TEST_PROM"}), Redactor())
    assert token.authorization
    assert token.authorization.reveal() == f"Bearer {PASSWORD}"
    assert open_prometheus(PLACE, Redactor()).authorization is None


def test_a_secret_that_is_not_there_is_a_reason(journal: Journal) -> None:
    """Preflight continues with our own samples."""
    place = PLACE.model_copy(update={"token": "env:LONGSHORE_TEST_NOT_SET"})

    assert "secret env:LONGSHORE_TEST_NOT_SET: not set" in capacity_of(journal, place).baselines.origin.trouble


def test_a_run_asks_for_its_targets_and_what_comes_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two weeks up to now; each thing once."""
    seen: list[Any] = []
    monkeypatch.setattr(module, "read_baselines", lambda *given: seen.append(given) or Baselines())
    asked = context()
    asked.redactor, asked.scope.environment.prometheus = Redactor(), PLACE

    assert read_capacity(asked, ["wf001", "wf005"]).targets == ("wf001",)
    (_, place, _, wanted, (start, end)) = seen[0]
    assert (place, tuple(wanted), end - start) == (PLACE, WANTED, timedelta(days=14))
    assert abs(datetime.now(UTC) - end) < timedelta(minutes=1)
