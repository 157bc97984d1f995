"""The page says who answers for what: approvers of the plan, waivers, attestations."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.evidence.page.html import render
from tests.fakes.run_on_record import Night

TWO = (
    "approved by ana@example.org (technical, 2026-01-01 10:00 UTC by the signer's clock), "
    "rui@example.org (business, 2026-01-01 11:00 UTC by the signer's clock)"
)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Return a migration whose gate saw two approvals."""
    night = Night(tmp_path)
    night.row(text=TWO, service=None, key="gate-approved")
    return night


def test_the_approvers_are_those_that_the_gate_saw(night: Night) -> None:
    """Each with role and time."""
    approved = night.page().approved

    assert approved is not None
    assert approved.people == (
        "ana@example.org (technical, 2026-01-01 10:00 UTC)",
        "rui@example.org (business, 2026-01-01 11:00 UTC)",
    )


def test_a_later_run_of_the_same_plan_names_them_too(night: Night) -> None:
    """A validation asks no gate; the approval that it lives on is that of the move."""
    night.run = night.another("validate")
    night.row(key="smoke")

    approved = night.page().approved

    assert approved is not None
    assert approved.people[0].startswith("ana@example.org")


@pytest.mark.parametrize(
    "text",
    [
        "skipped: redis has already started; gates apply only before a move starts",
        "technical approval: 0 of 1 people signed",
    ],
)
def test_nobody_is_named_who_was_not_seen(tmp_path: Path, text: str) -> None:
    """A gate that did not ask, or did not find, names nobody."""
    night = Night(tmp_path)
    night.row("PASSED" if text.startswith("skipped") else "FAILED", text, service=None, key="gate-approved")

    page = night.page()

    assert page.approved is None
    assert "nobody yet, as far as this run saw" in render(page)


def test_another_plan_s_approval_is_none(night: Night) -> None:
    """The digest shows it."""
    other = night.journal.start_run(
        command="validate", environment="lab", plan_digest="e" * 64, operator="o", version="v", commit="c", argv=[]
    )
    night.run = other

    assert night.page().approved is None


def test_waivers_and_attestations_are_listed(night: Night) -> None:
    """With who, why and until when; the waived step stands below."""
    night.run.record(
        "waiver",
        key="clock",
        body={"person": "ana@example.org", "role": "technical", "reason": "repaired <tomorrow>", "until": "2026-01-02"},
    )
    night.run.record(
        "attestation", service="redis", key="users-notified", body={"by": "rui@example.org", "text": "mail was sent"}
    )
    night.row("WAIVED", "2 s off; waived by ana@example.org", key="clock")

    html = render(night.page())

    for words in (
        "Approvals, waivers and attestations",
        "repaired &lt;tomorrow&gt;",
        "2026-01-02",
        "rui@example.org",
        "redis, users-notified",
        "waived by ana@example.org",
    ):
        assert words in html


def test_approvals_that_a_run_recorded_come_first(night: Night) -> None:
    """With role and time; the signed text itself, a whole plan, is not repeated on the page."""
    about = {
        "file": "technical-eva@example.org.txt",
        "person": "eva@example.org",
        "role": "technical",
        "signed_at": "2026-01-01T09:00:00+00:00",
    }
    night.run.record(
        "approval",
        body={**about, "text": "longshore approval\nthe whole plan", "signature": "-----BEGIN SSH SIGNATURE-----"},
    )

    page = night.page()

    assert page.approved is not None
    assert page.approved.people == ("eva@example.org (technical, 2026-01-01 09:00 UTC)",)
    assert "the whole plan" not in render(page)
    assert "technical-eva@example.org.txt" in render(page)
