"""A waiver covers one row for a while, is signed by who takes the risk, and never hides what it covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from commands import waive
from engine.config.scope import build_scope
from engine.contracts.step import StepResult
from engine.errors import InputError
from engine.run.options import Options, read_options
from engine.signoff.waiver import Waiver, Waivers
from engine.verdict import Effect, Judgement, Severity, Verdict, exit_code_of
from phases.signoff.waivers import file_of, list_waivers, load_waivers, sign_waivers, signing_problem
from tests.fakes.project_files import make_inventory, make_plan, written
from tests.fakes.signing_people import BEA, EVE, TESS, People

NOW: Final = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
ENTRY: Final[dict[str, Any]] = {
    "environment": "production", "step": "preflight/disk-fits", "service": "redis", "reason": "the disk grows tomorrow",
    "risk": "the copy stops half way", "approver": TESS, "expires_at": "2026-12-06T04:00:00-03:00",
}  # fmt: skip


def row(verdict: Verdict, **changes: Any) -> StepResult:
    """Return a row of evidence about redis' disk."""
    about = {"phase": "preflight", "key": "disk-fits", "service": "redis", "host": None} | changes
    return StepResult(
        sentence="Its data fits.", subject="redis", wave=None, effect=Effect.READ_ONLY, severity=Severity.BLOCKER,
        judgement=Judgement(verdict, "wf001: 3 GB free", {"free_bytes": 3}, ("wf001 /",)), duration_s=0.1, **about,
    )  # fmt: skip


def waivers(*changes: dict[str, Any]) -> Waivers:
    """Return waivers made of the entry, each changed."""
    return Waivers(
        "waivers.yaml", tuple(Waiver.model_validate({**ENTRY, **one}) for one in changes or ({},)), lambda: NOW
    )


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.UNKNOWN])
def test_a_waived_row_stays_visible_with_its_reason(verdict: Verdict) -> None:
    """It counts as good, and says by whom, until when, why, at what risk, and what was seen."""
    judged = waivers().judge(row(verdict))

    assert judged.judgement.verdict is Verdict.WAIVED
    assert judged.judgement.text == (
        "waived until 2026-12-06 04:00 -0300 by tess@example.org (technical): the disk grows tomorrow. "
        f"Risk: the copy stops half way. Seen: {verdict.value}: wf001: 3 GB free"
    )
    assert judged.judgement.measured == {"free_bytes": 3}
    assert judged.body()["waiver"]["expires_at"] == "2026-12-06T04:00:00-03:00"
    assert exit_code_of([(judged.judgement.verdict, judged.severity)]) == 0


def test_an_expired_waiver_fails() -> None:
    """The row is what it would have been, and says since when."""
    judged = waivers({"expires_at": (NOW - timedelta(seconds=1)).isoformat()}).judge(row(Verdict.FAILED))

    assert judged.judgement.verdict is Verdict.FAILED
    assert (
        judged.judgement.text
        == "wf001: 3 GB free. Its waiver by tess@example.org (technical) expired at 2026-12-01 09:29 +0000"
    )
    assert "waiver" not in judged.body()


@pytest.mark.parametrize(
    "other", [{"key": "ports-free"}, {"service": "n8n"}, {"service": None, "host": "wf001"}, {"phase": "validate"}]
)
def test_a_waiver_is_for_one_row(other: dict[str, Any]) -> None:
    """Not for another step, service, host or phase."""
    assert waivers().judge(row(Verdict.FAILED, **other)).judgement.verdict is Verdict.FAILED


@pytest.mark.parametrize("verdict", [Verdict.NOT_RUN, Verdict.PENDING, Verdict.PLANNED])
def test_what_was_not_looked_at_is_not_waived(verdict: Verdict) -> None:
    """A person who has not attested, or a step that did not run, has not failed."""
    one = waivers()

    assert one.judge(row(verdict)).judgement.verdict is verdict
    assert one.needless_row("preflight") is None


def test_a_waiver_that_was_not_needed_is_an_error() -> None:
    """The step passed: the waiver is named, with what to do."""
    one = waivers()
    one.judge(row(Verdict.PASSED))

    result = one.needless_row("preflight")

    assert result is not None
    assert result.judgement.verdict is Verdict.FAILED
    assert (
        "waivers.yaml: preflight/disk-fits of redis passed. Expected: a waiver only for what fails. Remove it"
        in result.judgement.text
    )


def test_a_step_that_does_not_exist_is_known_before() -> None:
    """The message names the steps that there are; a service outside the selection is none of this run's business."""
    rows = {("disk-fits", "redis", None), ("ports-free", "redis", None), ("ssh-answers", None, "wf001")}
    waivers().refuse_unknown("preflight", rows, ("redis",))
    waivers({"service": "n8n"}).refuse_unknown("preflight", rows, ("redis",))
    waivers({"step": "validate/smoke"}).refuse_unknown("preflight", rows, ("redis",))

    with pytest.raises(
        InputError,
        match=(
            r"match nothing in preflight\n  preflight/disk-full of redis: no such step; known here: disk-fits, "
            r"ports-free"
        ),
    ):
        waivers({"step": "preflight/disk-full"}).refuse_unknown("preflight", rows, ("redis",))


class File:
    """A waivers.yaml in an empty folder, with people who can sign."""

    def __init__(self, folder: Path, session: pytest.TempPathFactory) -> None:
        """Make the people."""
        self.path = folder / "waivers.yaml"
        self.people = People(session)
        self.scope = self.people.scope()

    def write(self, *changes: dict[str, Any]) -> None:
        """Write the entry, once for each change."""
        written(self.path, {"version": 1, "waivers": [{**ENTRY, **one} for one in changes or ({},)]})

    @property
    def options(self) -> Options:
        """Return the options of a run that names no file."""
        return read_options({"environment": "production", "inventory": "i", "plan": "p"}.get, [])

    def sign(self, person: str) -> list[Path]:
        """Sign as one person."""
        return list(sign_waivers(self.scope, list_waivers(self.options, self.scope), person, self.people.keys[person]))

    def refusal(self) -> str:
        """Return why a run does not start."""
        with pytest.raises(InputError) as refused:
            load_waivers(self.options, self.scope)
        return str(refused.value)


@pytest.fixture
def file(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, local_program: None
) -> File:
    """Return a folder with people."""
    monkeypatch.chdir(tmp_path)
    return File(tmp_path, tmp_path_factory)


def test_a_signed_waiver_counts(file: File) -> None:
    """waivers.yaml lies where it is looked for; the signature next to the approvals."""
    file.write()
    assert [str(path.parent) for path in file.sign(TESS)] == ["approvals/production/waived"]

    assert len(load_waivers(file.options, file.scope).waivers) == 1


def test_a_waiver_signed_in_the_future_does_not_count(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two clocks was wrong; signed again it counts."""
    file.write({})
    file.sign(TESS)
    monkeypatch.setattr("phases.signoff.signatures.now", lambda: datetime.now(UTC) - timedelta(days=1))
    assert (
        "Expected: not in the future; one of the two clocks is wrong. Set it, then sign again: nox -s waive "
        "-- --environment"
    ) in file.refusal()


def test_without_a_file_nothing_is_waived(file: File) -> None:
    """But a file that is named must be there."""
    assert load_waivers(file.options, file.scope).waivers == ()

    named = read_options({"environment": "production", "inventory": "i", "plan": "p", "waivers": "other.yaml"}.get, [])
    with pytest.raises(InputError, match=r"other.yaml: can't be read"):
        load_waivers(named, file.scope)


def test_who_writes_the_file_is_not_who_takes_the_risk(file: File) -> None:
    """An entry without the approver's signature is wrong input, before anything is looked at."""
    file.write()

    assert (
        "not signed by tess@example.org, or changed since. Try: nox -s waive -- --environment production --as "
        "tess@example.org"
    ) in file.refusal()


@pytest.mark.parametrize(
    "change",
    [{"reason": "none"}, {"expires_at": "2027-12-06T04:00:00-03:00"}, {"service": "n8n"}, {"risk": "all is lost"}],
)
def test_a_change_after_signing_voids_it(file: File, change: dict[str, Any]) -> None:
    """Every word of it was signed."""
    file.write()
    file.sign(TESS)
    file.write(change)

    assert "not signed by tess@example.org, or changed since" in file.refusal()


def test_a_signed_text_of_another_waiver_does_not_pass(file: File) -> None:
    """Put under the name of this one, it says something else."""
    file.write()
    signed = file.sign(TESS)[0]
    file.write({"reason": "none"})
    other = file_of(list_waivers(file.options, file.scope)[0])
    signed.rename(other)
    signed.with_name(signed.name + ".sig").rename(other.with_name(other.name + ".sig"))

    assert "says something else" in file.refusal()


@pytest.mark.parametrize(
    ("inventory", "plan", "environment"),
    [
        ((), (("moves/1/target", "wf002"),), ()),
        ((), (("moves/1/strategy", "stop_copy"),), ()),
        ((("services/redis/mounts/0/rule", "drop"),), (), ()),
        ((), (), (("hosts/wf001/machine_id", "f" * 32),)),
        ((("thresholds", {"disk_percent": 99}),), (), ()),
    ],
)
def test_a_waiver_falls_with_the_part_of_the_plan_that_it_rests_on(
    file: File,
    inventory: tuple[tuple[str, Any], ...],
    plan: tuple[tuple[str, Any], ...],
    environment: tuple[tuple[str, Any], ...],
) -> None:
    """Signed for the disk of wf001, it does not cover the same row when the service goes to another host, or is moved
    otherwise.
    """
    file.write()
    file.sign(TESS)
    file.scope = build_scope(make_inventory(*inventory), make_plan(*plan), file.people.environment(*environment))

    assert "was signed for another plan" in file.refusal()
    assert "nox -s waive" in file.refusal()


def test_a_waiver_stands_when_another_part_of_the_plan_changes(file: File) -> None:
    """Another service's entry is none of its business."""
    file.write()
    file.sign(TESS)
    file.scope = build_scope(
        make_inventory(("services/n8n/notes", "x")), make_plan(("title", "Another")), file.people.environment()
    )

    assert len(load_waivers(file.options, file.scope).waivers) == 1


def test_a_key_that_nobody_listed_signs_nothing(file: File) -> None:
    """Eve's signature under Tess' name is none; nor may Bea sign technically."""
    file.write()
    waiver = list_waivers(file.options, file.scope)[0]
    path = file_of(waiver)
    forged = file.people.scope((f"approvers/{TESS}/key", file.people.public[EVE]))
    assert list(sign_waivers(forged, [waiver], TESS, file.people.keys[EVE])) == [path]
    assert "its signature is not that of tess@example.org" in signing_problem(file.scope, waiver)

    file.write({"approver": BEA})
    with pytest.raises(InputError, match=r"--as bea@example.org --role technical: not an approver in that role"):
        file.sign(BEA)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"step": "migrate/copy-volumes"},
            "waivers/0/step: migrate/copy-volumes: an action that failed is undone, not waived; expected a step of",
        ),
        (
            {"step": "prefight/disk"},
            "waivers/0/step: prefight/disk: no such phase; expected a step of preflight or validate",
        ),
        ({"service": "redsi"}, "waivers/0/service: redsi is not moved in environment production; known: n8n, redis"),
        (
            {"service": None, "host": "wf009"},
            "waivers/0/host: wf009 is not a host of environment production; known: wf001, wf002, wf005",
        ),
        ({"host": "wf001"}, "waivers/0: names a service and a host"),
        ({"reason": ""}, "waivers/0/reason: "),
        ({"expires_at": "2026-12-06T04:00:00"}, "waivers/0/expires_at: "),
    ],
)
def test_what_can_never_match_is_wrong_input(file: File, change: dict[str, Any], words: str) -> None:
    """Reported with its place in the file, before anything is looked at."""
    file.write(change)

    assert words in file.refusal()


def test_the_same_row_is_waived_once(file: File) -> None:
    """Two reasons for one row leave open which one counts."""
    file.write({}, {"reason": "another"})

    assert "waivers/1: preflight/disk-fits of redis is waived twice" in file.refusal()


def test_another_environments_waivers_stay_out(file: File) -> None:
    """They are neither checked nor used here."""
    file.write({"environment": "staging", "service": "unknown-here"})

    assert load_waivers(file.options, file.scope).waivers == ()


def test_the_command_signs_and_shows(
    file: File, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --as nothing is signed; then what lacks a signature is named and the status is not 0."""
    monkeypatch.setattr(waive, "load_scope", lambda _options: file.scope)
    file.write({}, {"step": "preflight/ports-free", "approver": BEA, "role": "business"})

    assert waive.main(["--environment", "production"]) == 2
    assert waive.main(["--environment", "production", "--as", TESS, "--key", str(file.people.keys[TESS])]) == 2
    assert waive.main(["--environment", "production", "--as", BEA, "--key", str(file.people.keys[BEA])]) == 0
    assert "signed: approvals/production/waived/" in capsys.readouterr().out
    with pytest.raises(InputError, match="not an approver"):
        waive.main(["--environment", "production", "--as", EVE])
