"""Checks of hosts: a host that does not answer is UNKNOWN, one that does not fit is FAILED with the number seen."""

from __future__ import annotations

from checks.hosts.basics import judge_clock, judge_docker, judge_reached, judge_versions
from engine.errors import UnreachableError
from engine.verdict import Verdict
from tests.fakes.facts import make_host

SAME = {"wf005": "x86_64", "wf001": "x86_64"}


def test_unreachable_host_is_unknown_not_failed() -> None:
    """Who could not look does not know."""
    answer = judge_reached(UnreachableError("wf001: ssh to 192.0.2.11:22 failed: Connection refused"))
    assert answer.verdict is Verdict.UNKNOWN
    assert "wf001" in answer.text
    assert judge_reached(make_host()).passed


def test_silent_docker_is_unknown_with_a_command() -> None:
    """The text says what to paste."""
    answer = judge_docker(make_host(docker_version="", docker_error="Cannot connect"))
    assert answer.verdict is Verdict.UNKNOWN
    assert "Cannot connect" in answer.text
    assert "ssh wf001 docker version" in answer.text


def test_old_docker_fails_with_both_versions() -> None:
    """Seen and expected stand in the text."""
    answer = judge_versions(make_host(docker_version="19.03.1"), SAME)
    assert answer.verdict is Verdict.FAILED
    assert "19.03.1" in answer.text
    assert "20.10" in answer.text


def test_docker_9_is_older_than_20() -> None:
    """Versions compare as numbers."""
    assert judge_versions(make_host(docker_version="9.9"), SAME).verdict is Verdict.FAILED
    assert judge_versions(make_host(docker_version="weird"), SAME).verdict is Verdict.UNKNOWN


def test_other_architecture_fails() -> None:
    """Images are moved unchanged."""
    answer = judge_versions(make_host(), {"wf005": "aarch64", "wf001": "x86_64"})
    assert answer.verdict is Verdict.FAILED
    assert "aarch64" in answer.text
    assert judge_versions(make_host(), SAME).passed


def test_clock_off_by_two_seconds_fails_both_ways() -> None:
    """Late and early are both wrong."""
    assert judge_clock(make_host(clock_offset_s=2.0)).verdict is Verdict.FAILED
    assert judge_clock(make_host(clock_offset_s=-2.0)).verdict is Verdict.FAILED
    assert "clock is +300.00 s ± 0.00 s off" in judge_clock(make_host(clock_offset_s=300.0)).text
    assert judge_clock(make_host(clock_offset_s=0.4)).passed


def test_a_clock_that_could_not_be_read_is_unknown() -> None:
    """It is not 0 off."""
    answer = judge_clock(make_host(clock_offset_s=None))

    assert answer.verdict is Verdict.UNKNOWN
    assert "wf001: its clock could not be read" in answer.text


def test_a_coarse_measurement_is_judged_only_where_it_is_sure() -> None:
    """Give or take 0.9 s: 0.05 s off is sure to be within 1 s, 2 s off sure to be beyond, 0.5 s neither."""
    judged = [
        judge_clock(make_host(clock_offset_s=offset_s, clock_uncertainty_s=0.9)).verdict
        for offset_s in (0.05, 2.0, 0.5, -0.5)
    ]

    assert judged == [Verdict.PASSED, Verdict.FAILED, Verdict.UNKNOWN, Verdict.UNKNOWN]
