"""Approvals with real signatures: who signed what stands, and each way around it is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.config.environment import load_environment
from engine.config.scope import Scope, build_scope
from engine.errors import InputError
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor
from engine.signoff.approval import NAMESPACE, Statement
from hosts.local.ssh_signing import sign_text
from phases.gates.gates import Gates
from phases.signoff.approvals import judge_plan_approved, sign_approval, subject_of
from tests.fakes.project_files import ENVIRONMENT, make_environment, make_inventory, make_plan, spoiled, written
from tests.fakes.signing_people import BEA, EVE, TESS, People

SERVICES = ["n8n", "redis"]
ROLES = {TESS: "technical", BEA: "business"}


class Room:
    """People, a journal, and a plan that needs one technical and one business approval."""

    def __init__(self, folder: Path, session: pytest.TempPathFactory) -> None:
        """Make them."""
        self.people = People(session)
        self.journal = Journal.open(folder / "state" / "production.sqlite", redactor=Redactor())
        self.scope = self.scope_of()

    def scope_of(self, title: str = "Empty wf005") -> Scope:
        """Return the scope of a plan with this title."""
        needed = [{"role": "technical"}, {"role": "business"}]
        return build_scope(
            make_inventory(), make_plan(("approvals", needed), ("title", title)), self.people.environment()
        )

    def sign(self, person: str, scope: Scope | None = None) -> Path:
        """Approve as a person."""
        about = scope or self.scope
        statement = Statement(subject_of(about, self.journal, SERVICES), ROLES[person], person, datetime.now(UTC))
        return sign_approval(about, statement, "1. n8n, wf005 -> wf002\n", self.people.keys[person])

    def problems(self, scope: Scope | None = None) -> str:
        """Return what is missing or wrong."""
        return "\n".join(judge_plan_approved(scope or self.scope, self.journal, SERVICES).problems)


@pytest.fixture
def room(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, local_program: None
) -> Room:
    """Return a room."""
    monkeypatch.chdir(tmp_path)
    return Room(tmp_path, tmp_path_factory)


def test_an_approval_of_the_future_does_not_count(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, with both times and the command that signs again; clocks that are a minute apart do no harm."""
    room.sign(TESS)
    room.sign(BEA)
    monkeypatch.setattr("phases.signoff.signatures.now", lambda: datetime.now(UTC) - timedelta(minutes=1))
    assert room.problems() == ""
    monkeypatch.setattr("phases.signoff.signatures.now", lambda: datetime.now(UTC) - timedelta(days=1))
    problems = room.problems()

    assert "technical approval: 0 of 1 people signed this plan" in problems
    assert "it says it was signed at" in problems
    assert "Expected: not in the future; one of the two clocks is wrong. Set it, then sign again: " in problems
    assert "nox -s approve -- --environment production --role technical" in problems


def test_two_signatures_approve(room: Room) -> None:
    """One in each role, by keys that the environment lists."""
    room.sign(TESS)
    room.sign(BEA)

    assert room.problems() == ""


def test_a_missing_role_is_named(room: Room) -> None:
    """With the command that signs."""
    room.sign(TESS)

    assert room.problems() == (
        "business approval: 0 of 1 people signed this plan. Try: nox -s approve -- --environment production "
        "--role business"
    )


def test_the_plan_edited_after_its_approval(room: Room) -> None:
    """One word of it: the approval is void, and it is said whose and what changed."""
    room.sign(TESS)
    room.sign(BEA)

    problems = room.problems(room.scope_of("Empty wf005 quickly"))

    assert "business approval by bea@example.org" in problems
    assert "is void: migration_plan.json changed since" in problems


def test_rules_of_the_time_after_the_moves_void_no_approval(room: Room) -> None:
    """Hours, causes and comparison may change after the moves: they are no part of what was signed."""
    room.sign(TESS)
    room.sign(BEA)
    needed = [{"role": "technical"}, {"role": "business"}]
    rules = {"hours": 24, "less_because": "a rehearsal", "restarts": ["reboot"], "comparison": {"points": 9}}
    plan = make_plan(("approvals", needed), ("title", "Empty wf005"), ("stability", rules))
    changed = build_scope(make_inventory(), plan, room.people.environment())

    assert changed.plan.stability.hours == 24
    assert room.problems(changed) == ""


def test_an_approval_of_another_plan_put_in_its_place(room: Room) -> None:
    """A good signature for something else is none for this."""
    room.sign(TESS)
    room.sign(BEA, room.scope_of("Another migration"))

    assert "business approval by bea@example.org" in room.problems()
    assert "is void: migration_plan.json changed since" in room.problems()


def test_a_signature_by_a_key_that_nobody_listed(room: Room) -> None:
    """Eve signs under Bea's name: the text says Bea, the key does not."""
    room.sign(TESS)
    path = room.sign(BEA)
    sign_text(path, NAMESPACE, room.people.public[EVE], room.people.keys[EVE])

    assert "its signature is not that of bea@example.org" in room.problems()


def test_a_signature_for_another_purpose(room: Room) -> None:
    """Bea signed a waiver's text with this very key: that approves nothing."""
    room.sign(TESS)
    path = room.sign(BEA)
    sign_text(path, "longshore-waiver", room.people.public[BEA], room.people.keys[BEA])

    assert "its signature is not that of bea@example.org" in room.problems()


def test_a_text_that_was_changed_after_signing(room: Room) -> None:
    """Another digest in the head, so that it fits the plan of today: the signature does not fit any more."""
    room.sign(TESS)
    path = room.sign(BEA, room.scope_of("Another migration"))
    path.write_text(path.read_text().replace(room.scope_of("Another migration").digest, room.scope.digest))

    assert "its signature is not that of bea@example.org" in room.problems()


def test_a_role_that_the_person_does_not_have(room: Room) -> None:
    """Neither when signing, nor when somebody gave it to the file by hand."""
    statement = Statement(subject_of(room.scope, room.journal, SERVICES), "business", TESS, datetime.now(UTC))

    with pytest.raises(
        InputError,
        match=(
            r"--as tess@example.org --role business: not an approver in that role.*Known: tess@example.org "
            r"\(technical\)"
        ),
    ):
        sign_approval(room.scope, statement, "plan", room.people.keys[TESS])

    path = Path("approvals/production/business-tess@example.org.txt")
    path.parent.mkdir(parents=True)
    path.write_text(statement.text("plan"))
    sign_text(path, NAMESPACE, room.people.public[TESS], room.people.keys[TESS])
    assert "tess@example.org may not sign as business" in room.problems()


def test_a_container_that_is_another_since_preflight(room: Room) -> None:
    """What was approved is these very containers: a new image voids it and the service is named."""
    run = room.journal.start_run(command="preflight")
    run.record("source_observed", service="redis", body={"digest": "a" * 64, "image": "x"})
    room.sign(TESS)
    room.sign(BEA)
    assert room.problems() == ""

    run.record("source_observed", service="redis", body={"digest": "b" * 64, "image": "y"})
    assert "the container of redis is another than the one that preflight had shown" in room.problems()


def test_one_key_is_one_person(room: Room) -> None:
    """Whoever holds it could sign for everybody who has it: two of two needed, one key, none approved."""
    twice = {person: {"roles": ["technical"], "key": room.people.public[TESS]} for person in (TESS, EVE)}
    needed = [{"role": "technical", "count": 2}]
    scope = build_scope(make_inventory(), make_plan(("approvals", needed)), make_environment(("approvers", twice)))
    for person in (TESS, EVE):
        statement = Statement(subject_of(scope, room.journal, SERVICES), "technical", person, datetime.now(UTC))
        sign_approval(scope, statement, "plan", room.people.keys[TESS])

    problems = room.problems(scope)

    assert "technical approval: 1 of 2 people signed this plan" in problems
    assert "eve@example.org and tess@example.org signed with one key. Expected: one key is one person" in problems


def test_an_environment_in_which_two_people_have_one_key_is_wrong_input(room: Room, tmp_path: Path) -> None:
    """It is reported before anything is signed, whatever the key is called."""
    twice = {person: {"roles": ["technical"], "key": room.people.public[TESS]} for person in (TESS, EVE)}
    file = written(tmp_path / "production.yaml", spoiled(ENVIRONMENT, ("approvers", twice)))

    with pytest.raises(
        InputError, match=r"approvers/eve@example.org/key: is tess@example.org's too; expected a key of their own"
    ):
        load_environment(file)


def test_outside_the_lab_somebody_must_approve(room: Room) -> None:
    """A plan that asks nobody is not approved by nobody; the lab may rehearse without."""
    nobody = make_plan(("approvals", []))
    scope = build_scope(make_inventory(), nobody, room.people.environment())
    lab = build_scope(make_inventory(), nobody, room.people.environment(("environment", "lab")))

    assert room.problems(scope).startswith("approvals: the plan asks nobody. Expected outside the lab: at least one")
    assert not Gates(scope, room.journal, "abc").approved().passed
    assert Gates(lab, room.journal, "abc").approved().text == "nobody is asked to approve in the lab"


def test_other_code_voids_an_approval(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was approved is what these runbooks do; a commit that only adds the approval changes no code."""
    room.sign(TESS)
    room.sign(BEA)
    monkeypatch.setattr("phases.signoff.approvals.code_digest", lambda *_: "0" * 64)

    assert "is void: the code that runs is other code" in room.problems()


def test_another_toolbox_voids_an_approval(room: Room) -> None:
    """It runs as root on both hosts: people signed the image, by its id."""
    run = room.journal.start_run(command="preflight")
    run.record("toolbox_seen", key="wf001", body={"image": "sha256:" + "a" * 64})
    room.sign(TESS)
    room.sign(BEA)
    assert room.problems() == ""

    run.record("toolbox_seen", key="wf001", body={"image": "sha256:" + "b" * 64})
    assert "is void: the toolbox image on wf001 is another" in room.problems()
