"""What removes stopped containers and unused volumes is found before the source is one of them."""

from __future__ import annotations

import pytest

from checks.containers.restart_guards import judge_guards
from engine.errors import InputError, NotObservedError
from engine.run.options import read_options
from engine.verdict import Verdict
from hosts.facts.system import SystemFacts
from tests.fakes.facts import make_container, make_host

FILE = "/etc/cron.daily/docker-clean"


def test_a_nightly_prune_must_be_held() -> None:
    """A stopped container, and then its anonymous volumes, would be gone the next morning."""
    host = make_host(around=SystemFacts(host="wf005", prunes=(FILE,)))
    answer = judge_guards(host, make_container(), (), {})
    assert answer.verdict is Verdict.FAILED
    assert f"prune: {FILE}" in answer.text
    assert judge_guards(host, make_container(), (), {"prune": "switched off until decommission"}).passed


def test_files_that_could_not_be_read_are_no_answer() -> None:
    """UNKNOWN, never nothing found."""
    with pytest.raises(NotObservedError, match="prunes could not be read"):
        judge_guards(
            make_host(around=SystemFacts(host="wf005", errors={"prunes": "not asked"})), make_container(), (), {}
        )


def test_writes_are_given_up_with_a_reason_only() -> None:
    """Empty is wrong input; given, it is kept as it was said."""
    given = {"environment": "production", "inventory": "i", "plan": "p", "discard_target_writes": " agreed "}
    assert read_options(given.get, []).discard == "agreed"
    with pytest.raises(InputError, match="--discard-target-writes: empty"):
        read_options({**given, "discard_target_writes": " "}.get, [])
