"""What docs/new-check.md shows works as it is printed there."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from babel.messages.pofile import read_po

from engine.errors import NotObservedError
from engine.verdict import Judgement, Verdict
from hosts.facts.system import EngineSettings, SystemFacts
from tests.fakes.facts import make_host

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "new-check.md"


def block(language: str, containing: str) -> str:
    """Return the one block of the page in a language that contains a text."""
    found = [
        text
        for text in re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        if containing in text
    ]
    assert len(found) == 1, f"{len(found)} {language} blocks with {containing!r} in {PAGE.name}"
    return str(found[0])


def load(code: str, **names: Any) -> dict[str, Any]:
    """Run a block of the page as the file that it is to become."""
    exec(  # noqa: S102
        compile(
            "from __future__ import annotations\n" + code.replace("from __future__ import annotations\n", ""),
            PAGE.name,
            "exec",
        ),
        names,
    )
    return names


@pytest.fixture
def judge_live_restore() -> Callable[..., Judgement]:
    """Load the page's judgement."""
    judge: Callable[..., Judgement] = load(block("python", "def judge_live_restore"))["judge_live_restore"]
    return judge


def host(*, is_on: bool) -> Any:
    """Return wf001 with live-restore on or off."""
    return make_host(around=SystemFacts(host="wf001", engine=EngineSettings(live_restore=is_on)))


def test_the_shown_judgement_says_where_what_and_what_next(judge_live_restore: Callable[..., Judgement]) -> None:
    """Off fails with a command for that host, on passes."""
    off = judge_live_restore(host(is_on=False))

    assert off.verdict is Verdict.FAILED
    assert all(part in off.text for part in ("wf001: live-restore is off", "Expected: on", "Try: ssh wf001 "))
    assert judge_live_restore(host(is_on=True)).passed


def test_the_shown_step_judges_and_has_its_markers(judge_live_restore: Callable[..., Judgement]) -> None:
    """One key that no other step has, one sentence, and the judgement handed to the recorder."""
    names = load(block("python", 'mark.step("live-restore")'), pytest=pytest, judge_live_restore=judge_live_restore)
    step = names["test_containers_outlive_the_engine"]
    judged: list[Judgement] = []
    step(host(is_on=True), judged.append)
    there = re.findall(
        r'mark\.step\("([a-z-]+)"\)',
        "".join(file.read_text(encoding="utf-8") for file in (ROOT / "runbooks").rglob("test_*.py")),
    )

    assert [judgement.verdict for judgement in judged] == [Verdict.PASSED]
    assert {mark.name for mark in step.pytestmark} == {"step", "severity", "target_hosts"}
    assert "live-restore" not in there
    assert "engine-supported" in there


def test_the_shown_translation_is_of_the_shown_sentence(judge_live_restore: Callable[..., Judgement]) -> None:
    """So that the page's reader sees what belongs together."""
    names = load(block("python", 'mark.step("live-restore")'), pytest=pytest, judge_live_restore=judge_live_restore)
    (message,) = [one for one in read_po(io.BytesIO(block("po", "msgid").encode())) if one.id]

    assert message.id == names["test_containers_outlive_the_engine"].__doc__
    assert message.string


def test_the_shown_tests_pass(judge_live_restore: Callable[..., Judgement]) -> None:
    """And they are tests that can fail: with the answer turned round, the first one does."""
    known = {
        "pytest": pytest,
        "Verdict": Verdict,
        "make_host": make_host,
        "SystemFacts": SystemFacts,
        "EngineSettings": EngineSettings,
        "NotObservedError": NotObservedError,
    }
    names = load(block("python", "def test_live_restore_is_judged"), judge_live_restore=judge_live_restore, **known)
    for is_on, verdict in ((True, Verdict.PASSED), (False, Verdict.FAILED)):
        names["test_live_restore_is_judged"](is_on, verdict)
    names["test_a_silent_engine_is_not_judged"]()
    with pytest.raises(AssertionError):
        names["test_live_restore_is_judged"](True, Verdict.FAILED)


def test_the_markers_that_the_page_explains_exist() -> None:
    """A renamed marker is renamed there too."""
    declared = set(re.findall(r'^ {2}"(\w+)', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE))
    table = PAGE.read_text(encoding="utf-8").partition("| marker | when |")[2].partition("\n\n")[0]
    explained = set(re.findall(r"`(\w+)[(`]", "\n".join(line.split("|")[1] for line in table.splitlines()[2:])))

    assert {"step", "severity", "together"} <= explained
    assert explained <= declared
