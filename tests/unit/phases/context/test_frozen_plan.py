"""A move that has begun continues as it began; one that begins again is what people approved."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.scope import Scope, build_scope
from engine.errors import RefusedError
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.redaction.redactor import Redactor
from phases.context.frozen_plan import as_begun, changed_since, refuse_other_than_approved
from tests.fakes.project_files import make_environment, make_inventory, make_plan
from tests.unit.phases.gates.test_gates import NOBODY, OPEN

AGAIN = frozenset({"redis"})


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return the journal of a move of redis that came to need a person."""
    old = build_scope(make_inventory(), make_plan(NOBODY), make_environment(OPEN))
    journal = Journal.open(tmp_path / "p.sqlite", redactor=Redactor())
    run = journal.start_run(command="migrate", environment="production", plan_digest=old.digest)
    move, entry = next(move for move in old.moves if move.service == "redis"), old.services["redis"]
    body = {
        "move": move.model_dump(mode="json", by_alias=True),
        "service": entry.model_dump(mode="json", by_alias=True),
    }
    run.record(RecordKind.PLAN_FROZEN, service="redis", body=body)
    for state in ("in_progress", "needs_operator"):
        run.record("move_state", service="redis", body={"state": state})
    return journal


@pytest.fixture
def changed() -> Scope:
    """Return the files as they are now: another image, another target."""
    plan = make_plan(NOBODY, ("moves/1/target", "wf002"))
    return build_scope(
        make_inventory(("services/redis/image", "redis:9")), plan, make_environment(OPEN), services=("redis",)
    )


def test_a_move_that_begins_again_is_carried_out_as_it_was_approved(journal: Journal, changed: Scope) -> None:
    """The gates judge the files as they are now, so that is what is done; without --retry its undo continues
    as it began.
    """
    again = as_begun(changed, journal, AGAIN)
    assert [(move.service, move.target, again.services[move.service].image) for move in again.moves] == [
        ("redis", "wf002", "redis:9")
    ]
    assert changed_since(changed, journal, AGAIN) == []

    before = as_begun(changed, journal)
    assert [(move.target, before.services[move.service].image) for move in before.moves] != [("wf002", "redis:9")]
    assert changed_since(changed, journal) == ["redis"]


def test_nothing_else_than_what_was_approved_is_begun(journal: Journal, changed: Scope) -> None:
    """Whatever leads to it, a move that begins is compared with what the gates have judged before anything is done."""
    with pytest.raises(RefusedError, match=r"redis: what would be carried out is not what plan .* says"):
        refuse_other_than_approved(changed, as_begun(changed, journal), ("redis",))
    refuse_other_than_approved(changed, as_begun(changed, journal, AGAIN), ("redis",))
