"""What binds a run to its plan and to those who approved it, written into the journal: evidence is drawn from there alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from engine.approval import changes_since
from engine.errors import CouldNotLookError
from engine.scope import Scope
from moves.approving import approvals_on_record, subject_of
from moves.world import World

PART: Final = "plan_part"
"""The journal's record of one file of the plan as it was digested, by its digest: once, however often it is used."""


def record_plan(world: World, scope: Scope) -> None:
    """Write down the plan's files as they were digested for this run, and each approval that is good for them now."""
    run, journal = world.run, world.journal
    run.record("plan", body={"digest": scope.digest, "parts": scope.parts})
    for name, text in scope.part_texts.items():
        digest = hashlib.sha256(text.encode()).hexdigest()
        if journal.last(PART, key=digest) is None:
            run.record(PART, key=digest, body={"name": name, "text": text})
    _record_approvals(world, scope)


def _record_approvals(world: World, scope: Scope) -> None:
    now = subject_of(scope, world.journal, [move.service for move in scope.moves])
    try:
        on_record = approvals_on_record(scope)
    except CouldNotLookError:
        return  # no ssh-keygen here: the gate says so where it matters
    for signed in on_record:
        one = signed.statement
        if one is None or signed.problem or changes_since(one, now):
            continue
        path = Path(signed.name)
        text, signature = path.read_text(encoding="utf-8"), path.with_name(f"{path.name}.sig").read_text(encoding="utf-8")
        about = {"file": path.name, "person": one.person, "role": one.role, "signed_at": one.signed_at.isoformat()}
        if world.redactor.text(text) == text:  # a changed text would not fit its signature any more
            world.run.record("approval", body={**about, "text": text, "signature": signature})
