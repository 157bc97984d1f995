"""Status shows where every move stands from the journal alone: state, attempt, since when, last step, by whom, what
next.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commands import status
from engine.config.scope import Scope, build_scope
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor
from engine.verdict import ExitCode
from phases.signoff.approvals import code_digest
from phases.status.status import MoveStatus, read_standing
from tests.fakes.preflight_results import record_rows
from tests.fakes.project_files import make_environment, make_inventory, make_plan


class Nights:
    """A journal with a clock, and the scope of the small files with nobody to ask for approval."""

    def __init__(self) -> None:
        """Open it where the command looks for it."""
        self.now = datetime(2026, 12, 5, 22, tzinfo=UTC)
        self.journal = Journal.open(Path("state/production.sqlite"), redactor=Redactor(), clock=lambda: self.now)
        self.scope = build_scope(make_inventory(), make_plan(("approvals", [])), make_environment())

    def start(self, command: str = "migrate", operator: str = "ana@desk", *, apply: bool = True) -> Run:
        """Start a run."""
        return self.journal.start_run(
            command=command,
            operator=operator,
            apply=apply,
            environment="production",
            plan_digest=self.scope.digest,
            code=code_digest(),
        )

    def preflight(self) -> None:
        """Record a preflight that passed."""
        run = self.start("preflight", apply=False)
        record_rows(run, self.scope, ("n8n", "redis"))
        run.finish({}, ExitCode.OK)

    def state(self, run: Run, state: str) -> None:
        """Record where redis stands."""
        run.record("move_state", service="redis", body={"state": state})

    def redis(self) -> MoveStatus:
        """Return where redis stands."""
        return read_standing(self.journal, self.scope, self.now).moves[1]


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """Return an empty journal."""
    monkeypatch.chdir(tmp_path)
    nights = Nights()
    monkeypatch.setattr("phases.signoff.approvals.LAB", "production")  # where a plan may ask nobody
    monkeypatch.setattr(status, "load_scope", lambda _options: nights.scope)
    return nights


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return what the command prints."""
    assert status.main(["--environment", "production", *argv]) == 0
    return capsys.readouterr().out


def test_a_move_that_never_began_is_planned(nights: Nights) -> None:
    """It says that the preflight comes next, and nothing about steps."""
    assert nights.redis() == MoveStatus(
        "redis",
        "wf005",
        "wf001",
        "planned",
        1,
        None,
        None,
        None,
        None,
        None,
        "nox -s preflight -- --environment production --service redis",
    )
    nights.preflight()
    assert nights.redis().next == "nox -s migrate -- --environment production --service redis --apply"


def test_without_approvals_they_come_next(nights: Nights) -> None:
    """After a preflight that passed."""
    nights.scope = build_scope(make_inventory(), make_plan(), make_environment())
    nights.preflight()

    assert nights.redis().next == "nox -s approve -- --environment production"


def test_a_move_in_progress_says_its_step_and_who(nights: Nights) -> None:
    """Begun, done or failed, and by whom; while a run is at work nobody else should start."""
    run = nights.start()
    nights.state(run, "in_progress")
    run.record("intent", service="redis", key="copy-volumes", body={})

    assert nights.redis().last_step == "copy-volumes begun"
    assert nights.redis().by == "ana@desk"
    assert nights.redis().next.startswith("once no run is at work: nox -s migrate")

    run.record("outcome", service="redis", key="copy-volumes", body={"ok": False, "text": "disk full"})
    run.record("undo_intent", service="redis", key="copy-volumes", body={})
    assert nights.redis().last_step == "copy-volumes its undo begun"
    run.record("undo_outcome", service="redis", key="copy-volumes", body={"ok": True, "text": ""})
    assert nights.redis().last_step == "copy-volumes undone"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("committed", "nox -s migrate -- --environment production --service redis --apply"),
        ("done", "nox -s validate -- --environment production --service redis"),
        (
            "needs_operator",
            (
                "look at its last evidence, then go on with its undo: nox -s rollback -- redis --environment "
                "production --apply"
            ),
        ),
        ("rolling_back", "nox -s rollback -- redis --environment production --apply"),
        ("undone", "nox -s preflight -- --environment production --service redis"),
    ],
)
def test_each_state_has_its_next_command(nights: Nights, state: str, words: str) -> None:
    """What a tired person pastes."""
    run = nights.start()
    for one in ("in_progress", state):
        nights.state(run, one)
    run.finish({}, ExitCode.OK)

    assert nights.redis().next.startswith(words)


def test_a_second_attempt_is_counted(nights: Nights) -> None:
    """An undone one is past; a rolled back one is begun again only when a person says so."""
    run = nights.start()
    for state in ("in_progress", "undone", "in_progress"):
        nights.state(run, state)
    assert nights.redis().attempt == 2

    nights.state(run, "rolled_back")
    nights.preflight()
    assert "--retry redis" in nights.redis().next


def test_a_run_without_an_end_is_at_work_or_killed(nights: Nights) -> None:
    """Who, what and when it last wrote; it holds the hosts. One that ended later has taken over."""
    run = nights.start()
    nights.state(run, "in_progress")
    standing = read_standing(nights.journal, nights.scope, nights.now)
    assert [(one.command, one.operator, one.apply) for one in standing.runs] == [("migrate", "ana@desk", True)]
    assert standing.locks == ("held by ana@desk, migrate, since 2026-12-05T22:00 UTC",)

    nights.start(operator="bob@desk").finish({}, ExitCode.NEEDS_OPERATOR)
    standing = read_standing(nights.journal, nights.scope, nights.now)
    assert standing.runs == ()
    assert standing.locks == (
        "kept by bob@desk, migrate of 2026-12-05T22:00 UTC, until what was begun is finished: redis",
    )


def test_a_lock_that_was_taken_over_is_shown(nights: Nights) -> None:
    """From whom and why."""
    nights.start().record(
        "lock_broken", body={"host": "wf005", "held_by": 'ana@desk, "migrate"', "reason": "laptop lost"}
    )

    assert (
        read_standing(nights.journal, nights.scope, nights.now).locks[-1]
        == 'wf005: last taken over from ana@desk, "migrate": laptop lost'
    )


def test_people_get_a_table_and_commands(
    nights: Nights, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every move of the plan, its outage too."""
    monkeypatch.setenv("COLUMNS", "200")
    run = nights.start()
    nights.state(run, "done")
    run.record("outage", service="redis", body={"seconds": 4.24})

    output = shown(capsys)

    assert "environment production; window: Saturday 2026-12-05 22:00" in output
    row = next(line for line in output.splitlines() if "wf005 → wf001" in line)
    for word in ("redis", "done", "2026-12-05 22:00:00", "ana@desk", "4.2 s"):
        assert word in row
    assert "migrate by ana@desk, unfinished; last record" in output
    assert "next for n8n: nox -s preflight" in output


def test_programs_get_json(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts under names that stay."""
    nights.state(nights.start(), "in_progress")

    document: dict[str, Any] = json.loads(shown(capsys, "--json"))

    assert (document["environment"], document["journal"]) == ("production", "state/production.sqlite")
    assert {"service", "source", "target", "state", "attempt", "since", "last_step", "by", "outage_s", "next"} <= set(
        document["moves"][1]
    )
    assert document["runs"][0]["operator"] == "ana@desk"


def test_before_the_first_run_nothing_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Looking leaves no journal behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("phases.signoff.approvals.LAB", "production")  # where a plan may ask nobody
    monkeypatch.setattr(status, "load_scope", _small_scope)

    assert "state/production.sqlite: not there yet, so nothing has begun" in shown(capsys)
    assert json.loads(shown(capsys, "--json"))["moves"] == []
    assert list(tmp_path.iterdir()) == []


def _small_scope(_options: object) -> Scope:
    return build_scope(make_inventory(), make_plan(), make_environment())


def test_a_link_across_hosts_says_whether_a_relay_keeps_it(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """First that nothing says how to re-point it, then the command, then that the name needs no relay any more."""
    run = nights.start()
    nights.state(run, "done")
    run.finish({}, ExitCode.OK)
    prefix = "reference: n8n to redis (wf005 to wf001): "
    assert f"{prefix}through a relay named redis:6379; the inventory does not say how to re-point it" in shown(capsys)

    rewrite = ("links/0/rewrite", [{"kind": "environment", "variable": "REDIS_HOST", "value": "{host}"}])
    nights.scope = build_scope(make_inventory(rewrite), make_plan(("approvals", [])), make_environment())
    command = "nox -s repoint -- redis --environment production --apply"
    assert f"{prefix}through a relay named redis:6379; to remove it: {command}" in shown(capsys)

    run.record("repointed", service="redis", body={"link": ["n8n", "redis", "redis", 6379], "repointed": True})
    assert f"{prefix}re-pointed, no relay of the name redis is needed for it" in shown(capsys)
    (line,) = json.loads(shown(capsys, "--json"))["references"]
    assert line == "n8n to redis (wf005 to wf001): re-pointed, no relay of the name redis is needed for it"
