"""Checks of the old container: who could revive it, whether it stays stopped, its log, its backup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checks.backups.backups import BackupObject, check_backup
from checks.backups.restore_drills import Drill
from checks.containers.kept_source import judge_source_stays_stopped
from checks.containers.logs import LINES_AT_MOST, LogLines, judge_logs, read_since_start
from checks.containers.restart_guards import judge_guards, judge_movable
from engine.contracts.container import ContainerFacts
from engine.contracts.product import LogPattern
from engine.errors import NotObservedError
from engine.verdict import Judgement, Verdict
from tests.fakes.facts import make_container, make_host
from tests.fakes.host import FakeHost

COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.project.working_dir": "/opt/shop"}
NOW = datetime(2026, 1, 2, tzinfo=UTC)
STOPPED: dict[str, Any] = {"name": "redis-moved", "state": "exited", "restart_policy": "no"}


def test_compose_project_must_be_held() -> None:
    """Compose finds a container by label, whatever it is called."""
    container = make_container(labels=COMPOSE)
    answer = judge_guards(make_host(), container, (), {})
    assert answer.verdict is Verdict.FAILED
    assert "/opt/shop" in answer.text
    assert judge_guards(make_host(), container, (), {"compose": "file renamed"}).passed


def test_systemd_unit_and_watchtower_are_found() -> None:
    """Both start containers again."""
    tower = make_container(name="tower", image_ref="containrrr/watchtower:1")
    answer = judge_guards(make_host(containers=(tower,)), make_container(), ("/etc/systemd/system/redis.service",), {})
    assert len(answer.details) == 2
    assert answer.measured["guards_loose"] == 2


def test_nothing_found_passes_with_zero() -> None:
    """A plain container has no guard."""
    assert judge_guards(make_host(), make_container(), (), {}).passed


@pytest.mark.parametrize(
    ("host_config", "expected"),
    [
        ({"AutoRemove": True}, "--rm"),
        ({"NetworkMode": "container:abc"}, "shares network"),
        ({"Runtime": "nvidia"}, "nvidia"),
        ({"DeviceRequests": [{"Count": 1}]}, "GPU"),
    ],
)
def test_what_can_not_be_moved_is_refused(host_config: dict[str, Any], expected: str) -> None:
    """Each reason by name."""
    answer = judge_movable(make_container(raw={"HostConfig": host_config, "Config": {}}))
    assert answer.verdict is Verdict.FAILED
    assert expected in answer.text


def test_plain_container_can_be_moved() -> None:
    """Runc and a bridge are fine."""
    assert judge_movable(
        make_container(raw={"HostConfig": {"Runtime": "runc", "NetworkMode": "shop"}, "Config": {}})
    ).passed


def test_no_advice_stops_a_service_that_may_serve() -> None:
    """An old container that runs may be the one that clients use: the text says what was seen, and to look first."""
    answer = judge_source_stays_stopped(make_host(host="wf005", containers=(make_container(),)), "redis")
    assert answer.verdict is Verdict.FAILED
    assert "docker logs" in answer.text
    assert "docker stop" not in answer.text


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.PASSED),
        ({"state": "running"}, Verdict.FAILED),
        ({"restart_policy": "always"}, Verdict.FAILED),
        ({"name": "something-else"}, Verdict.FAILED),
    ],
)
def test_kept_source_is_there_stopped_and_held(changes: dict[str, Any], verdict: Verdict) -> None:
    """Stopped, restart no, and existing: each can fail."""
    kept = make_container(**{**STOPPED, **changes})
    assert judge_source_stays_stopped(make_host(host="wf005", containers=(kept,)), "redis").verdict is verdict


def test_silent_docker_does_not_prove_that_the_source_sleeps() -> None:
    """UNKNOWN, not PASSED."""
    assert judge_source_stays_stopped(make_host(docker_version=""), "redis").verdict is Verdict.UNKNOWN


def test_trouble_in_the_log_fails_with_line_and_reason() -> None:
    """Noise that also matches is let through."""
    trouble = [LogPattern("(?i)panic|error", "the server says so")]
    noise = [LogPattern("error=nil", "a field of every line")]
    answer = judge_logs("redis on wf001", ["ok", "x error=nil", "PANIC: disk"], trouble, noise)
    assert answer.verdict is Verdict.FAILED
    assert "PANIC: disk" in answer.text
    assert answer.measured == {"lines": 3, "trouble_lines": 1}
    assert judge_logs("redis on wf001", ["ok", "x error=nil"], trouble, noise).passed


STARTED = "2026-01-02T00:00:00.123456789Z"


def started(**host_config: Any) -> ContainerFacts:
    """Return a container that was started."""
    return make_container(host="wf001", raw={"State": {"StartedAt": STARTED}, "HostConfig": host_config})


def test_log_is_read_since_the_containers_own_start_from_both_streams() -> None:
    """The host's clock dates the lines: the operator's, when it is ahead, would leave out the first minutes. Stderr is
    part of the log.
    """
    host = FakeHost("wf001", {"docker logs": (0, "out", "err\n")})

    assert read_since_start(host, started()) == LogLines(("out", "err"))  # type: ignore[arg-type]
    assert STARTED in host.asked[0][0]


def test_a_container_that_was_never_started_has_no_log() -> None:
    """It could not be looked at."""
    for raw in ({}, {"State": {"StartedAt": "0001-01-01T00:00:00Z"}}):
        with pytest.raises(NotObservedError, match="was never started"):
            read_since_start(FakeHost("wf001"), make_container(raw=raw))  # type: ignore[arg-type]


def test_no_line_at_all_proves_nothing() -> None:
    """None of no lines is trouble: UNKNOWN."""
    answer = judge_logs("postgres on wf002", (), [LogPattern("PANIC", "it gave up")], [])

    assert answer.verdict is Verdict.UNKNOWN
    assert "0 log lines since its start" in answer.text


def test_what_of_a_long_log_was_not_read_is_reported() -> None:
    """Its first minutes and its newest lines are judged; the row says that none between were."""
    many = "fine\n" * LINES_AT_MOST
    host = FakeHost(
        "wf001", {"sh -c": (0, "PostgreSQL init process complete\n", ""), "docker logs --tail": (0, many, "")}
    )
    read = read_since_start(host, started())  # type: ignore[arg-type]
    trouble = [LogPattern("init process complete", "an empty cluster was made")]

    assert "none between" in judge_logs("x", read.lines, [LogPattern("other", "other")], [], read.cut).text
    assert judge_logs("x", read.lines, trouble, [], read.cut).verdict is Verdict.FAILED
    assert "2026-01-02T00:10:00Z" in host.asked[1][0]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}},
            "older ones may be gone (max-size 10m, max-file 3)",
        ),
        ({"LogConfig": {"Type": "local", "Config": {}}}, "older ones may be gone (driver local, 5 files of 20 MB)"),
        ({"LogConfig": {"Type": "json-file", "Config": {}}}, ""),
    ],
)
def test_a_driver_that_throws_lines_away_is_reported(config: dict[str, Any], said: str) -> None:
    """What was rotated away can't be judged."""
    read = read_since_start(FakeHost("wf001", {"docker logs": (0, "out\n", "")}), started(**config))  # type: ignore[arg-type]

    assert read.cut == said


def check(objects: list[BackupObject], *, sound: bool | None = True) -> Judgement:
    """Ask for one volume, at most a day old."""
    drill = Drill("wf001", {item.name: item.snapshot for item in objects})
    return check_backup(
        "redis",
        ["volume redis_data"],
        objects,
        repository_ok=sound,
        drill=drill,
        target="wf001",
        now=NOW,
        oldest_hours=24,
    )


def test_backup_fails_when_missing_old_empty_or_unchecked() -> None:
    """Four ways to have no backup."""
    young = BackupObject("volume redis_data", "abcdef1234", 10, NOW - timedelta(hours=1))
    old = BackupObject("volume redis_data", "abcdef1234", 10, NOW - timedelta(hours=25))
    empty = BackupObject("volume redis_data", "abcdef1234", 0, NOW - timedelta(hours=1))
    assert check([young]).passed
    assert "no snapshot" in check([]).text
    assert "25.0 h old" in check([old]).text
    assert "empty" in check([empty]).text
    assert "never run" in check([young], sound=None).text
    assert "damaged" in check([young], sound=False).text
    assert check([old, young]).passed


def test_backup_of_nothing_is_unknown() -> None:
    """Nothing to look for is not a pass."""
    answer = check_backup("redis", [], [], repository_ok=True, drill=None, target="wf001", now=NOW, oldest_hours=24)
    assert answer.verdict is Verdict.UNKNOWN


def test_backup_object_survives_the_journal() -> None:
    """Record and from_record are inverse."""
    item = BackupObject("volume redis_data", "abc", 10, NOW, 1.5)
    assert BackupObject.from_record(item.record()) == item
