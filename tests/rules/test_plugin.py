"""Rules of the plugin, each shown on a tiny runbook: verdicts, order, refusals and exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]

CONFTEST = """
import pytest
from engine.plugin import BOOK
pytest_plugins = ["engine.plugin"]

class Book:
    subjects = ("n8n", "postgres")
    apply = True
    def add(self, row):
        print(f"ROW {row.subject} {row.key} {row.judgement.verdict.value} {row.judgement.text}")
    def redact(self, text):
        return text
    def needs_person(self):
        return False
    def close(self, exit_code):
        print(f"CLOSED {exit_code.value}")

def pytest_configure(config):
    config.stash[BOOK] = Book()

@pytest.fixture
def move(request):
    return request.param

def pytest_generate_tests(metafunc):
    if "move" in metafunc.fixturenames:
        metafunc.parametrize("move", ["postgres", "n8n"], indirect=True)
"""

HEAD = """
import pytest
from engine.errors import CouldNotLookError
from engine.saga import NotRun, PlannedOnly
from engine.verdict import failed, passed, unknown
"""


def _run(pytester: pytest.Pytester, body: str, *args: str) -> pytest.RunResult:
    pytester.makeini(
        f"[pytest]\npythonpath = {ROOT}\nmarkers =\n  step(key): x\n  severity(s): x\n  preflight: x\n  migrate: x\n"
        "  read_only: x\n  changes_state: x\n"
    )
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_book=HEAD + body)
    # In a process of its own: an interrupted run in this one would interrupt the tests too.
    return pytester.runpytest_subprocess("-s", "-p", "no:cacheprovider", *args)


def _step(phase: str, effect: str, key: str, body: str, arguments: str = "judge") -> str:
    return f'''
@pytest.mark.{phase}
@pytest.mark.{effect}
@pytest.mark.step("{key}")
def test_{key.replace("-", "_")}({arguments}):
    """The sentence of {key}."""
    {body}
'''


@pytest.mark.parametrize(
    ("body", "verdict", "status"),
    [
        ('judge(passed("3 of 3 rows"))', "PASSED 3 of 3 rows", 0),
        ('judge(passed("a"), failed("2 of 3 rows differ"))', "FAILED 2 of 3 rows differ", 1),
        ('judge(unknown("wf001: no answer"))', "UNKNOWN wf001: no answer", 2),
        ('raise CouldNotLookError("wf001: gone")', "UNKNOWN wf001: gone", 2),
        ('raise ValueError("x")', "UNKNOWN the tool itself failed (ValueError): x", 2),
        ('raise NotRun("not run: stop failed")', "NOT_RUN not run: stop failed", 2),
        ('raise PlannedOnly("would stop it")', "PLANNED would stop it", 0),
        ("pass", "UNKNOWN this step measured nothing", 2),
    ],
)
def test_every_end_of_a_step_has_its_verdict(pytester: pytest.Pytester, body: str, verdict: str, status: int) -> None:
    """Verdict, text and exit status follow from how a step ended; a step that measured nothing can't pass."""
    result = _run(pytester, _step("preflight", "read_only", "look", body))

    result.stdout.fnmatch_lines([f"*ROW all look {verdict}*", f"*CLOSED {status}*"])
    assert result.ret == status


def test_a_warning_does_not_close_the_gate(pytester: pytest.Pytester) -> None:
    """A FAILED warning is shown and the run still exits 0."""
    step = _step("preflight", "read_only", "clock", 'judge(failed("2 s off"))')
    steps = step.replace("@pytest.mark.step", '@pytest.mark.severity("warning")\n@pytest.mark.step')

    result = _run(pytester, steps + _step("preflight", "read_only", "ssh", 'judge(passed("ok"))'))

    result.stdout.fnmatch_lines(["*ROW all clock FAILED 2 s off*"])
    assert result.ret == 0


def test_a_run_without_any_step_is_not_ok(pytester: pytest.Pytester) -> None:
    """Nothing looked at is not a pass."""
    result = _run(pytester, "")

    result.stdout.fnmatch_lines(["*CLOSED 2*"])
    assert result.ret == 2


def test_moves_run_one_after_the_other_in_the_plans_order(pytester: pytest.Pytester) -> None:
    """Pytest would stop every service before copying the first; we finish one move before the next begins."""
    body = 'judge(passed("ok"))'
    steps = "".join(_step("migrate", "changes_state", key, body, "move, judge") for key in ("stop", "copy"))

    result = _run(pytester, steps)

    rows = [line.split("ROW ")[1] for line in result.outlines if "ROW " in line]
    assert [row.split(" PASSED")[0] for row in rows] == ["n8n stop", "n8n copy", "postgres stop", "postgres copy"]


@pytest.mark.parametrize("flag", [["-k", "stop"], ["--deselect", "test_book.py::test_stop"], ["test_book.py::test_stop"]])
def test_a_writing_phase_refuses_to_run_in_part(pytester: pytest.Pytester, flag: list[str]) -> None:
    """A later deed never runs without the earlier ones: the message names --service."""
    result = _run(pytester, _step("migrate", "changes_state", "stop", 'judge(passed("ok"))'), *flag)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Choose with --service or --wave*"])
    assert "ROW" not in result.stdout.str()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("@pytest.mark.read_only", "0 effect marks"),
        ("@pytest.mark.preflight", "0 phase marks"),
        ('@pytest.mark.step("look")', "no key"),
        ('    """The sentence of look."""', "no docstring"),
    ],
)
def test_a_step_without_a_declaration_is_refused(pytester: pytest.Pytester, missing: str, message: str) -> None:
    """Phase, effect, key and sentence are declared, or nothing runs."""
    step = _step("preflight", "read_only", "look", 'judge(passed("ok"))').replace(missing + "\n", "")

    result = _run(pytester, step)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])


def test_an_interrupted_run_shows_what_it_left_out(pytester: pytest.Pytester) -> None:
    """Ctrl-C in a preflight: the step that was cut off and those after it are NOT_RUN, and the status is not 0."""
    result = _run(
        pytester,
        _step("preflight", "read_only", "one", 'judge(passed("1 of 1"))')
        + _step("preflight", "read_only", "two", "raise KeyboardInterrupt")
        + _step("preflight", "read_only", "three", 'judge(passed("1 of 1"))'),
    )

    rows = [line.removeprefix("test_book.py ") for line in result.outlines if "ROW " in line or line.startswith("CLOSED")]
    assert [line.split()[2:4] for line in rows[:-1]] == [["one", "PASSED"], ["two", "NOT_RUN"], ["three", "NOT_RUN"]]
    assert rows[-1] == "CLOSED 2"
