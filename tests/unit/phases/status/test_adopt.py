"""A lost journal is rebuilt from what the hosts kept, and what they can't know is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.config.scope import Scope, build_scope
from engine.contracts.move_state import MoveState
from engine.journal.journal import Journal, chain_problems
from engine.redaction.redactor import Redactor
from engine.verdict import ExitCode
from phases.context.attempt import read_past
from phases.context.audit_mirror import AuditMirror, Line
from phases.context.frozen_plan import as_begun
from phases.context.link_state import links_of
from phases.status.adopt import AuditLogs, adopt, differences, read_logs, uncertainties
from tests.fakes.project_files import make_environment, make_inventory, make_plan

HOSTS = {"redis": ("wf005", "wf001"), "n8n": ("wf005", "wf002")}
DEED = {"describe": "d", "effect": "changes_state"}


class Night:
    """A run of the redis move whose records went to the hosts, until it was cut off."""

    def __init__(self, path: Path) -> None:
        """Start with an empty journal and empty logs."""
        self.logs: dict[str, list[str]] = {"wf005": ["{}"], "wf001": [], "wf002": []}
        self.journal = Journal.open(path / "first.sqlite", redactor=Redactor())
        self.mirror = AuditMirror(
            self.journal.start_run(command="migrate"),
            {"environment": "production", "command": "migrate"},
            HOSTS,
            self._append,
        )

    def _append(self, host: str, lines: Sequence[Line]) -> None:
        self.logs[host] += [json.dumps({"at": "x", "by": "ana@desk", **line}) for line in lines]

    def record(self, kind: str, key: str | None = None, service: str = "redis", **body: Any) -> None:
        """Record something about a move."""
        self.mirror.record(kind, service=service, key=key, body=body)

    def stop_in_mid_move(self) -> None:
        """Stop the source, copy, begin to create the target, and die."""
        self.record("move_state", state="in_progress")
        self.record(
            "fingerprint",
            moment="source",
            host="wf005",
            parts={"db 0": {"count": 3, "digest": "abc", "holds": "at_cutover"}},
        )
        for key in ("stop-source", "copy-volumes"):
            self.record("intent", key, **DEED, note={"container": "redis"})
            self.record("outcome", key, ok=True, text=f"{key} done", note={"seconds": 2})
        self.record("intent", "create-target", **DEED)

    def read(self) -> AuditLogs:
        """Return what the hosts' logs hold."""
        return read_logs("production", self.logs)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Return a night that has begun."""
    return Night(tmp_path)


@pytest.fixture
def scope() -> Scope:
    """Return the scope of the small files."""
    return build_scope(make_inventory(), make_plan(), make_environment())


def adopted(logs: AuditLogs, path: Path) -> Journal:
    """Return a fresh journal into which the logs were adopted."""
    journal = Journal.open(path / "second.sqlite", redactor=Redactor())
    run = journal.start_run(command="adopt")
    adopt(run, logs)
    run.finish({}, ExitCode.OK)
    return journal


def test_the_move_stands_where_it_stood(night: Night, tmp_path: Path) -> None:
    """State, attempt, notes, outcomes, what was begun, fingerprints and times are those of the lost journal."""
    night.stop_in_mid_move()

    journal = adopted(night.read(), tmp_path)

    assert read_past(journal, "redis") == read_past(night.journal, "redis")
    assert read_past(journal, "redis").begun == {"create-target"}
    first, second = (one.last("fingerprint", service="redis") for one in (night.journal, journal))
    assert first is not None
    assert second is not None
    assert first.body["parts"] == second.body["parts"]
    assert first.at == second.at
    assert second.body["adopted"]["hosts"] == ["wf005", "wf001"]


def test_the_adopted_journal_is_whole(night: Night, tmp_path: Path) -> None:
    """Its own chain proves the adoption; evidence drawn from it is not shown as altered."""
    night.stop_in_mid_move()

    assert chain_problems(adopted(night.read(), tmp_path).records()) == []


def test_earlier_attempts_come_along(night: Night, tmp_path: Path) -> None:
    """A label carries the attempt's number: a second one must not be taken for the first."""
    night.record("move_state", state="in_progress")
    night.record("move_state", state="undone")
    night.stop_in_mid_move()

    assert read_past(adopted(night.read(), tmp_path), "redis").attempt == 2


def test_what_nobody_knows_is_said(night: Night, scope: Scope, tmp_path: Path) -> None:
    """An action without an end, a host that lacks what the other has, a service nobody heard of, a line
    that is torn.
    """
    night.stop_in_mid_move()
    night.logs["wf001"].pop()
    night.logs["wf005"].append('{"at": "2026-12-05T22:03:00+00:00", "envi')
    logs = night.read()

    lines = list(uncertainties(adopted(logs, tmp_path), scope, logs))

    assert any('redis: "create-target" was begun and no host knows how it ended' in line for line in lines)
    assert any(
        "redis: wf001 lacks 1 of the records that wf005 has, the last: intent create-target" in line for line in lines
    )
    assert any(line.startswith("n8n: no host knows of a move") for line in lines)
    assert any(line.startswith("wf005: line 9 of its audit log can't be read") for line in lines), lines


def test_a_line_that_was_edited_is_left_out_and_named(night: Night) -> None:
    """Its hash no longer fits: a state that somebody wrote into a log moves nothing."""
    night.record("move_state", state="in_progress")
    for host in ("wf005", "wf001"):
        night.logs[host][-1] = night.logs[host][-1].replace("in_progress", "done")

    logs = night.read()

    assert logs.told == []
    assert [problem.partition(":")[0] for problem in logs.problems] == ["wf005", "wf001"]
    assert "was changed after it was written (move_state )" in logs.problems[0]


def test_another_environments_lines_stay_out(night: Night) -> None:
    """A host may serve two environments; what one did opens nothing in the other."""
    night.stop_in_mid_move()

    assert read_logs("staging", night.logs).told == []


def test_a_whole_journal_has_no_differences(night: Night) -> None:
    """Each record on the hosts is in it, and each chain is as long as it was at its end."""
    night.stop_in_mid_move()
    night.mirror.close()

    assert list(differences(night.journal, night.read())) == []


def test_a_tail_that_was_cut_off_shows(night: Night, tmp_path: Path) -> None:
    """The chain itself is whole without its end; the hosts know better."""
    night.stop_in_mid_move()
    night.mirror.record("result", service="redis", key="create-target", body={"verdict": "FAILED"})
    night.mirror.close()
    with night.journal.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM records WHERE number > 7")

    lines = list(differences(night.journal, night.read()))

    assert chain_problems(night.journal.records()) == []
    assert any("intent create-target" in line and "not in the journal, or changed there" in line for line in lines)
    assert any("ended with 9 records" in line and "the journal has 7" in line for line in lines), lines


def test_an_adopted_journal_agrees_with_the_hosts(night: Night, tmp_path: Path) -> None:
    """Comparing after adopting finds nothing: each record says where it comes from."""
    night.stop_in_mid_move()
    night.mirror.close()

    assert list(differences(adopted(night.read(), tmp_path), night.read())) == []


HOSTILE = {"password": "command:touch /tmp/operator-was-here"}
HOOK = {
    "before_hold": None,
    "after_commit": {"argv": ["sh", "-c", "id > /root/hook-ran"], "timeout_s": 60, "undo_argv": []},
}


def begin_with(night: Night, scope: Scope, **service: Any) -> None:
    """Record the begin of the redis move, with another entry than that of the files."""
    move = next(move for move in scope.moves if move.service == "redis").model_dump(mode="json", by_alias=True)
    entry = scope.services["redis"].model_dump(mode="json", by_alias=True)
    body = {"move": {**move, "strategy": "stop_copy"}, "service": {**entry, **service}}
    night.mirror.record("plan_frozen", service="redis", body=body)
    night.record("move_state", state="in_progress")
    night.mirror.close()


def test_one_host_gives_no_command_and_no_hook(night: Night, scope: Scope, tmp_path: Path) -> None:
    """Its log is root's there: whoever owns the host would run programs here and on the other host. The files here
    count.
    """
    begin_with(night, scope, secrets=HOSTILE, hooks=HOOK)
    night.logs["wf001"] = []
    logs = night.read()
    journal = adopted(logs, tmp_path)

    seen = as_begun(scope, journal)

    assert seen.services["redis"] == scope.services["redis"]
    assert seen.moves == scope.moves
    assert read_past(journal, "redis").state is MoveState.IN_PROGRESS
    assert any(
        "redis: only wf005 tells what it was begun with: its entry is taken from the files here" in line
        for line in uncertainties(journal, scope, logs)
    )


def test_what_both_hosts_report_counts_but_for_commands(night: Night, scope: Scope, tmp_path: Path) -> None:
    """A move continues as it began; references and hooks are those of the files here all the same."""
    begin_with(night, scope, secrets=HOSTILE, hooks=HOOK, ignore_writable_layer_because="caches")

    seen = as_begun(scope, adopted(night.read(), tmp_path))

    assert next(move for move in seen.moves if move.service == "redis").strategy == "stop_copy"
    assert seen.services["redis"].ignore_writable_layer_because == "caches"
    assert seen.services["redis"].secrets == scope.services["redis"].secrets
    assert seen.services["redis"].hooks == scope.services["redis"].hooks


def test_a_link_is_rewritten_as_the_files_here_say(night: Night, tmp_path: Path) -> None:
    """What a host says of a file, a pattern and a command to reload is not used, whichever host it is."""
    scope = build_scope(
        make_inventory(("links/0/rewrite", [{"kind": "environment", "variable": "R", "value": "{host}"}])),
        make_plan(),
        make_environment(),
    )
    other = scope.links[0].model_dump(mode="json", by_alias=True)
    other["rewrite"] = [
        {
            "kind": "file",
            "on": "host",
            "path": "/etc/cron.d/x",
            "pattern": "(.*)",
            "value": "{host}",
            "reload": {"argv": ["id"]},
        }
    ]
    night.record("move_state", state="done")
    night.record("repoint_started", links=[other])
    night.record("intent", "rewrite-references", **DEED)
    night.mirror.close()

    assert links_of(scope, adopted(night.read(), tmp_path), "redis") == scope.links


@pytest.mark.parametrize(
    "kind", ["result", "approval", "source_observed", "plan_part", "run_started", "toolbox_seen", "waiver"]
)
def test_a_host_reports_nothing_that_no_run_writes_there(night: Night, tmp_path: Path, kind: str) -> None:
    """A row of a preflight that passed, an approval, what a container looked like: no host may report any of these."""
    run = night.journal.start_run(command="x")
    record = run.record(kind, service="redis", body={"phase": "preflight", "verdict": "PASSED"})
    night.logs["wf005"].append(
        json.dumps({"environment": "production", "command": "migrate", "record": record.as_json()})
    )
    logs = night.read()

    assert any(f"holds a record of kind {kind}, which no run writes there" in line for line in logs.problems)
    assert adopted(logs, tmp_path).records(kind=kind, service="redis") == []


def test_a_host_reports_its_own_moves_only(night: Night, scope: Scope, tmp_path: Path) -> None:
    """wf001 takes redis; n8n goes from wf005 to wf002, and what wf001 says of it is left out."""
    record = night.journal.start_run(command="migrate").record(
        "move_state", service="n8n", body={"state": "in_progress"}
    )
    night.logs["wf001"].append(
        json.dumps({"environment": "production", "command": "migrate", "record": record.as_json()})
    )
    logs = night.read()
    journal = Journal.open(tmp_path / "third.sqlite", redactor=Redactor())
    adopt(journal.start_run(command="adopt"), logs, scope)

    assert journal.move_state("n8n") == "planned"
    assert any("wf001: tells of n8n (move_state" in line for line in uncertainties(journal, scope, logs))
