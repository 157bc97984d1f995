"""What only a person can do waits until that person signed for it, for exactly what is asked now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commands import attest as command
from engine.config.scope import Scope, build_scope
from engine.errors import InputError
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor
from engine.signoff.attestation import parse_attestation
from engine.verdict import Judgement, Verdict
from phases.signoff import manual_steps
from phases.signoff.attestations import attest, judge_manual, new_attestation, read_attested
from phases.signoff.manual_steps import ManualStep, asked, since_when, steps_not_asked
from phases.signoff.team_messages import draft_for, teams
from tests.fakes.project_files import make_environment, make_inventory, make_plan
from tests.fakes.signing_people import BEA, EVE, TESS, People

TEAMS_NOTIFIED = "prepare/teams-notified"


class Desk:
    """A folder with people, and a run's folder."""

    def __init__(self, folder: Path, session: pytest.TempPathFactory) -> None:
        """Make the people."""
        self.people = People(session)
        self.scope = self.people.scope()
        self.run = folder / "reports"
        self.records: list[dict[str, Any]] = []

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: dict[str, Any]) -> None:
        """Take a record as the journal does."""
        self.records.append({"kind": kind, "service": service, "key": key, **body})

    def attest(
        self, person: str = TESS, note: str = "mailed", file: Path | None = None, scope: Scope | None = None
    ) -> Path:
        """Attest that the teams were notified."""
        one = asked(TEAMS_NOTIFIED)
        made = new_attestation(scope or self.scope, one, person, note, file)
        return attest(scope or self.scope, one, made, file, self.people.keys[person])

    def judge(self, scope: Scope | None = None) -> Judgement:
        """Judge the step."""
        return judge_manual(scope or self.scope, self, self.run, asked(TEAMS_NOTIFIED))


@pytest.fixture
def desk(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, local_program: None
) -> Desk:
    """Return a desk."""
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, tmp_path_factory)


def test_an_attestation_of_the_future_does_not_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step keeps waiting and says why."""
    desk.attest()
    monkeypatch.setattr("phases.signoff.signatures.now", lambda: datetime.now(UTC) - timedelta(days=1))
    judged = desk.judge()

    assert judged.verdict is Verdict.PENDING
    assert (
        "Expected: not in the future; one of the two clocks is wrong. Set it, then sign again: nox -s attest "
        "-- prepare/teams-notified"
    ) in judged.text


def test_it_waits_until_somebody_signs(desk: Desk) -> None:
    """PENDING, not failed: the row says what to do, where the drafts are, and the command."""
    judged = desk.judge()

    assert judged.verdict is Verdict.PENDING
    assert "nobody attested it yet. What to do: " in judged.text
    assert 'nox -s attest -- prepare/teams-notified --environment production --as EMAIL --note "…"' in judged.text
    assert (desk.run / "attachments" / "prepare-teams-notified.txt").read_text() == asked(TEAMS_NOTIFIED).text(
        desk.scope
    )
    assert desk.records == []


def test_an_attestation_says_who_when_and_what(desk: Desk, tmp_path: Path) -> None:
    """Text, signature and file lie in the run's folder, the rest stands in row and journal."""
    shown = tmp_path / "my screenshot.png"
    shown.write_bytes(b"png")
    desk.attest(file=shown, note="mailed\nto: all")

    judged = desk.judge()

    assert judged.passed
    assert judged.text.startswith("tess@example.org attested it at ")
    assert "by their own clock: mailed to: all; see prepare-teams-notified-" in judged.text
    names = sorted(path.name for path in (desk.run / "attachments").iterdir())
    assert [name.partition("my_")[2] or name for name in names] == [
        "screenshot.png",
        "prepare-teams-notified-tess@example.org.txt",
        "prepare-teams-notified-tess@example.org.txt.sig",
        "prepare-teams-notified.txt",
    ]
    assert desk.records[0]["kind"] == "attestation"
    assert desk.records[0]["person"] == TESS
    assert len(desk.records[0]["file_sha256"]) == 64


def test_a_note_can_not_pose_as_a_field(desk: Desk) -> None:
    """Whatever is typed stays one line of the signed text."""
    path = desk.attest(note="done\nperson: bea@example.org")

    assert parse_attestation(path.read_text(), str(path)).person == TESS


def test_another_window_asks_again(desk: Desk) -> None:
    """Teams that were notified of another night were not notified: the result gives the reason."""
    desk.attest()
    later = make_plan(
        ("window/starts_at", "2026-12-12T22:00:00-03:00"), ("window/ends_at", "2026-12-13T04:00:00-03:00")
    )
    scope = build_scope(make_inventory(), later, desk.people.environment())

    judged = desk.judge(scope)

    assert judged.verdict is Verdict.PENDING
    assert "since tess@example.org attested it, what is asked has changed" in judged.text


def test_another_environments_attestation_does_not_count(desk: Desk, tmp_path: Path) -> None:
    """Copied over, it still says which one it is for."""
    desk.attest()
    Path("approvals/production").rename("approvals/staging")
    scope = desk.people.scope(("environment", "staging"))

    assert "it is for environment production, not staging" in desk.judge(scope).text


def test_a_text_that_was_changed_does_not_count(desk: Desk) -> None:
    """The signature is over every word."""
    path = desk.attest()
    path.write_text(path.read_text().replace("note: mailed", "note: phoned"))

    assert "its signature is not that of tess@example.org" in desk.judge().text


def test_a_file_that_was_exchanged_does_not_count(desk: Desk, tmp_path: Path) -> None:
    """Its SHA-256 was signed."""
    shown = tmp_path / "mail.txt"
    shown.write_text("to all")
    path = desk.attest(file=shown)
    kept = next(file for file in path.parent.iterdir() if file.name.endswith("mail.txt"))
    kept.write_text("to nobody")

    assert "is not the file that was attested" in desk.judge().text


def test_only_people_of_the_environment_attest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eve is nobody's approver; a step for a role takes only that role."""
    with pytest.raises(
        InputError,
        match=r"--as eve@example.org: not an approver of environment production. Known: tess@example.org \(technical\)",
    ):
        desk.attest(EVE)

    monkeypatch.setattr(
        manual_steps, "STEPS", (ManualStep(TEAMS_NOTIFIED, lambda _scope, _service: "notify", role="business"),)
    )
    with pytest.raises(InputError, match=r"--as tess@example.org --role business: not an approver in that role"):
        desk.attest(TESS)
    desk.attest(BEA)
    assert desk.judge().passed


def test_a_step_of_each_service_is_attested_for_each(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message to a test number says nothing about the other service."""
    monkeypatch.setattr(
        manual_steps,
        "STEPS",
        (ManualStep("validate/message-sent", lambda _scope, service: f"send {service}", per_service=True),),
    )
    one = asked("message-sent", "redis")
    attest(desk.scope, one, new_attestation(desk.scope, one, TESS, "sent", None), None, desk.people.keys[TESS])

    assert [
        (each.service, read_attested(desk.scope, each).attestation is not None)
        for each in manual_steps.manual_requests(desk.scope)
    ] == [
        ("n8n", False),
        ("redis", True),
    ]
    with pytest.raises(InputError, match="expected --service NAME"):
        asked("message-sent")


def committed(service: str, at: datetime) -> Journal:
    """Return the journal once a move was committed."""
    journal = Journal.open(Path("state/production.sqlite"), redactor=Redactor())
    run = journal.start_run(command="migrate", environment="production")
    run.record("move_state", service=service, body={"state": "committed"}, at=at)
    return journal


def test_what_follows_a_move_can_not_be_attested_before_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither signed before any move nor counted after a newer one; the business says whether it works."""
    monkeypatch.setattr(command, "load_scope", lambda _options: desk.scope)
    signing = [
        "integrations-tested",
        "--environment",
        "production",
        "--as",
        BEA,
        "--note",
        "all well",
        "--key",
        str(desk.people.keys[BEA]),
    ]
    with pytest.raises(InputError, match="validate/integrations-tested: can be done once a service is moved"):
        command.main(signing)
    one = asked("integrations-tested")
    assert since_when(asked(TEAMS_NOTIFIED), None, ["redis"]) is None

    journal = committed("redis", datetime.now(UTC))
    assert command.main(signing) == 0
    assert judge_manual(desk.scope, desk, desk.run, one, since_when(one, journal, desk.scope.services)).passed

    journal = committed("n8n", datetime.now(UTC) + timedelta(minutes=1))
    judged = judge_manual(desk.scope, desk, desk.run, one, since_when(one, journal, desk.scope.services))
    assert judged.verdict is Verdict.PENDING
    assert "bea@example.org attested it at " in judged.text
    assert ", before the move was committed at " in judged.text


def test_only_services_that_it_is_about_are_asked() -> None:
    """DNS of those with public names, a message where no program may send one."""
    inventory = make_inventory(("services/n8n/public_names", ["n8n.example.org"]), ("services/redis/product", "waha"))
    scope = build_scope(inventory, make_plan(), make_environment(("hosts/wf002/public_addresses", ["203.0.113.12"])))

    assert [(one.step.step, one.service) for one in manual_steps.manual_requests(scope) if one.service] == [
        ("prepare/dns-ttl-lowered", "n8n"), ("validate/dns-switched", "n8n"), ("validate/message-sent", "redis"),
    ]  # fmt: skip
    assert steps_not_asked(scope, "n8n") == {"message-sent": ""}
    assert "Point each of these names to wf002 (203.0.113.12)" in asked("dns-switched", "n8n").text(scope)
    assert "- n8n.example.org\n" in asked("dns-switched", "n8n").text(scope)
    assert "to the number of each session, and one back through redis" in asked("message-sent", "redis").text(scope)
    assert "- redis (team of redis), used by n8n\n" in asked("integrations-tested").text(scope)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ["prepare/nothing"],
            (
                "step prepare/nothing: not one that a person attests. Known: prepare/teams-notified, "
                "prepare/calendar-entry, prepare/dns-ttl-lowered"
            ),
        ),
        ([TEAMS_NOTIFIED], "expected --as EMAIL"),
        ([TEAMS_NOTIFIED, "--as", TESS], "--note: empty. Expected: what was done"),
        (
            ["message-sent", "--as", TESS, "--note", "x", "--service", "redis"],
            "--service redis: not asked of it. Asked of: no service here",
        ),
        (
            [TEAMS_NOTIFIED, "--as", TESS, "--note", "x", "--service", "redis"],
            "expected no --service: it is done once for all",
        ),
        ([TEAMS_NOTIFIED, "--as", TESS, "--note", "x", "--file", "nothing.png"], "--file nothing.png: No such file"),
    ],
)
def test_wrong_words_are_one_message(desk: Desk, monkeypatch: pytest.MonkeyPatch, argv: list[str], words: str) -> None:
    """Nothing is signed then."""
    monkeypatch.setattr(command, "load_scope", lambda _options: desk.scope)

    with pytest.raises(InputError) as refused:
        command.main([*argv, "--environment", "production"])

    assert words in str(refused.value)
    assert not list(Path().glob("approvals/**/*.txt"))


def test_the_command_signs_lists_and_shows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list is not complete while something waits; --show prints what is asked and signs nothing."""
    monkeypatch.setattr(command, "load_scope", lambda _options: desk.scope)
    where = ["--environment", "production"]
    signing = ["--as", TESS, "--note", "done", "--key", str(desk.people.keys[TESS])]

    assert command.main([TEAMS_NOTIFIED, "--show", *where]) == 0
    assert "Subject: redis will be moved" in capsys.readouterr().out
    assert command.main(where) == 2
    assert command.main(["teams-notified", *where, *signing]) == 0
    assert command.main(["calendar-entry", *where, *signing]) == 0
    assert command.main(where) == 0


def test_each_team_gets_its_own_message() -> None:
    """Who answers for a moved service, and who uses one; nobody else, each once, with when and under which name."""
    inventory = make_inventory(("services/redis/team", "data platform"))
    scope = build_scope(inventory, make_plan(), make_environment())

    assert teams(scope) == ["data platform", "team of n8n"]
    message = draft_for(scope, "team of n8n")
    assert (
        "To: team of n8n\nSubject: n8n, redis will be moved, Saturday 2026-12-05 22:00 to Sunday 2026-12-06 "
        "04:00 (America/Sao_Paulo), 6 hours"
    ) in message
    assert "- n8n, which you answer for, moves from wf005 to wf002." in message
    assert "- n8n uses redis as redis:6379. It moves from wf005 to wf001; the address stays." in message
    assert "n8n" not in draft_for(scope, "data platform")
