"""What binds a run to its plan and to those who approved it, written into the journal: evidence is drawn from there
alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from engine.config.scope import Scope
from engine.errors import NotObservedError
from engine.journal.kinds import RecordKind
from engine.signoff.approval import Statement, changes_since
from engine.signoff.waiver import Waivers
from phases.context.run_context import RunContext
from phases.signoff.approvals import approvals_on_record, subject_of
from phases.signoff.waivers import file_of


def record_plan(context: RunContext, scope: Scope, waivers: Waivers) -> None:
    """Write down the plan's files as they were digested for this run, and each approval and waiver that is good for
    them now.
    """
    run, journal = context.run, context.journal
    hidden = []
    for name, text in scope.part_texts.items():
        digest = hashlib.sha256(text.encode()).hexdigest()
        kept = journal.last(RecordKind.PLAN_PART, key=digest) or run.record(
            RecordKind.PLAN_PART, key=digest, body={"name": name, "text": text}
        )
        hidden += [] if hashlib.sha256(str(kept.body["text"]).encode()).hexdigest() == digest else [name]
    run.record(
        RecordKind.PLAN, body={"digest": scope.digest, "parts": scope.parts, **({"left_out": hidden} if hidden else {})}
    )
    for path, one in _good_approvals(context, scope):
        _record_signed(
            context,
            RecordKind.APPROVAL,
            path,
            {"person": one.person, "role": one.role, "signed_at": one.signed_at.isoformat()},
        )
    for waiver in waivers.waivers:
        _record_signed(
            context,
            RecordKind.SIGNED_WAIVER,
            file_of(waiver),
            {"person": waiver.approver, "role": waiver.role, "step": waiver.step},
        )


def _good_approvals(context: RunContext, scope: Scope) -> Iterator[tuple[Path, Statement]]:
    now = subject_of(scope, context.journal, [move.service for move in scope.moves])
    try:
        on_record = approvals_on_record(scope)
    except NotObservedError:
        return  # no ssh-keygen here: the gate says so where it matters
    for signed in on_record:
        one = signed.statement
        if one is not None and not signed.problem and not changes_since(one, now):
            yield Path(signed.name), one


def _record_signed(context: RunContext, kind: str, path: Path, about: dict[str, str]) -> None:
    """Write down a signed text with its signature; one that the redactor would change is left out: it would not fit any
    more.
    """
    text, signature = path.read_text(encoding="utf-8"), path.with_name(f"{path.name}.sig").read_text(encoding="utf-8")
    if context.redactor.text(text) == text:
        context.run.record(kind, body={"file": path.name, **about, "text": text, "signature": signature})
