"""An approval is for exactly what was shown: any later change that matters voids it and is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pytest

from engine.config.plan import Approval
from engine.errors import InputError
from engine.signoff.approval import Signed, Statement, Subject, judge_approvals, parse_statement

NOW: Final = Subject("production", "d1", {"migration_plan.json": "p1", "inventory.yaml": "i1"}, {"redis": "c1"})
AT: Final = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
NEEDED: Final = (Approval(role="technical", count=1), Approval(role="business", count=1))


def signed(role: str, person: str, subject: Subject = NOW, problem: str = "") -> Signed:
    """Return one approval on record."""
    return Signed(f"approvals/production/{role}-{person}.txt", Statement(subject, role, person, AT), problem)


def test_a_text_says_what_was_signed() -> None:
    """The text that a person reads is the record: written and read again, nothing is lost."""
    statement = Statement(NOW, "business", "bea@example.org", AT)
    text = statement.text("1. redis, wf005 -> wf001\n")

    assert parse_statement(text, "x") == statement
    assert text.endswith("\n\n1. redis, wf005 -> wf001\n")


@pytest.mark.parametrize(
    "text", ["", "hello", "longshore approval 1\nno colon\n\nplan", "longshore approval 1\nrole: business\n\nplan"]
)
def test_another_text_is_no_approval(text: str) -> None:
    """Whatever lies in the folder is named, never taken for an approval."""
    with pytest.raises(InputError, match=r"is no approval|is missing"):
        parse_statement(text, "approvals/x.txt")


def test_both_roles_by_two_people_approve() -> None:
    """Who signed stands in the evidence, with whose clock it was."""
    found = judge_approvals(NEEDED, [signed("technical", "tess@x.org"), signed("business", "bea@x.org")], NOW)

    assert found.problems == []
    assert "tess@x.org (technical, 2026-12-01 09:30 UTC by the signer's clock)" in found.text()


def test_one_person_fills_one_role() -> None:
    """The same person in both roles is one approval too few."""
    found = judge_approvals(NEEDED, [signed("technical", "tess@x.org"), signed("business", "tess@x.org")], NOW)

    assert found.problems == ["tess@x.org signed as business and technical. Expected: one person fills one role"]


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (
            replace(NOW, digest="d0", parts={**NOW.parts, "inventory.yaml": "i0"}),
            "is void: inventory.yaml changed since",
        ),
        (
            replace(NOW, containers={"redis": "c0"}),
            "is void: the container of redis is another than the one that preflight had shown",
        ),
        (replace(NOW, containers={}), "the container of redis is another"),
        (replace(NOW, environment="lab"), "is void: it is for environment lab, not production"),
        (replace(NOW, digest="d0"), "is void: it is for another plan"),
    ],
)
def test_a_change_voids_the_approval_and_is_named(then: Subject, words: str) -> None:
    """Whose approval, of when, and what changed since: a replayed one of another plan or environment is none."""
    found = judge_approvals(NEEDED, [signed("technical", "tess@x.org", then), signed("business", "bea@x.org")], NOW)

    assert found.problems[0].startswith("technical approval: 0 of 1 people signed this plan")
    assert "technical approval by tess@x.org of 2026-12-01 09:30" in found.problems[1]
    assert words in found.problems[1]


def test_a_bad_signature_does_not_count() -> None:
    """The reason stands next to what is missing."""
    found = judge_approvals(
        NEEDED,
        [
            signed("technical", "eve@x.org", problem="eve@x.org is not among the approvers"),
            signed("business", "b@x.org"),
        ],
        NOW,
    )

    assert "eve@x.org is not among the approvers" in found.problems[1]


def test_two_people_are_two() -> None:
    """A count of two in one role needs two different people."""
    needed = (Approval(role="technical", count=2),)
    once = [signed("technical", "tess@x.org"), signed("technical", "tess@x.org")]

    assert judge_approvals(needed, once, NOW).problems[0].startswith("technical approval: 1 of 2 people")
    assert judge_approvals(needed, [*once, signed("technical", "tom@x.org")], NOW).problems == []
