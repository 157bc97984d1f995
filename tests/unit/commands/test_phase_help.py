"""Asked for help a phase prints the flags that it takes, and starts nothing."""

from __future__ import annotations

import re

import pytest

from commands import phase
from engine.contracts.phase import BY_NAME, PHASES, TABLE
from engine.errors import InputError
from engine.run.options import FLAGS


@pytest.mark.parametrize("name", PHASES)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_prints_the_flags_of_the_phase(
    name: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own flags, all of them and no others; pytest is not started."""
    monkeypatch.setattr(phase.pytest, "main", lambda _argv: pytest.fail("pytest was started"))

    assert phase.run_phase(name, ["--lab", word]) == 0

    text = capsys.readouterr().out
    assert f"nox -s {name} -- " in text
    listed = re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)
    assert sorted(listed) == sorted(BY_NAME[name].all_flags)


def test_every_flag_belongs_to_a_phase() -> None:
    """The table names flags that exist, and every flag is taken by some phase."""
    assert {flag for one in TABLE for flag in one.all_flags} == {flag.name for flag in FLAGS}


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.action != "store_true"], ids=lambda flag: flag.name)
def test_a_value_has_a_name_that_says_what_goes_there(flag: object) -> None:
    """FILE, REASON or NAME; not the flag's own name in capitals."""
    metavar = getattr(flag, "metavar", None)

    assert metavar
    assert metavar.replace("_", "-").lower() != getattr(flag, "name", "").removeprefix("--") or metavar == "WAVE"


def test_help_shows_defaults() -> None:
    """Which files a run reads when no other is named."""
    text = " ".join(phase.help_of("validate").split())

    assert "(default: inventory.yaml)" in text
    assert "(default: migration_plan.json)" in text


@pytest.mark.parametrize(
    ("name", "argv", "wrong"),
    [
        ("rollback", ["redis", "--retry", "redis"], "--retry"),
        ("preflight", ["--apply"], "--apply"),
        ("validate", ["--break-lock=x"], "--break-lock"),
    ],
)
def test_a_flag_of_another_phase_is_refused(
    name: str, argv: list[str], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing starts, and the message names the phases that take the flag."""
    monkeypatch.setattr(phase.pytest, "main", lambda _argv: pytest.fail("pytest was started"))

    with pytest.raises(InputError, match=rf"{wrong}: not a flag of {name}\. Expected: with .+ only"):
        phase.run_phase(name, [*argv, "--lab"])
