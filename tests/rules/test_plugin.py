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
    def begin(self, subject, sentence, number, total):
        print(f"BEGIN {subject} {number}/{total} {sentence}")
    def close(self, exit_code, *, interrupted):
        print(f"CLOSED {exit_code.value}" + " INTERRUPTED" * interrupted)

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
    assert rows[-1] == "CLOSED 2 INTERRUPTED"


WAIVED = """
from datetime import datetime, timedelta, UTC
from engine.plugin import WAIVERS
from engine.waiver import Waiver, Waivers

def waiver(step, **more):
    return Waiver(environment="lab", step=step, reason="known", risk="small", approver="tess@lab.invalid",
                  expires_at=datetime.now(UTC) + timedelta(hours=HOURS), **more)
"""
INSTALL = """
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config):
    config.stash[WAIVERS] = Waivers("waivers.yaml", (ENTRIES,))
"""


def _run_with_waivers(pytester: pytest.Pytester, body: str, waivers: str, hours: int = 1) -> pytest.RunResult:
    """Run steps under waivers, as the composition root hands them over."""
    pytester.makepyfile(given=f"import pytest\n{WAIVED.replace('HOURS', str(hours))}{INSTALL.replace('ENTRIES', waivers)}")
    return _run(pytester, body, "-p", "given")


@pytest.mark.parametrize("end", ['judge(failed("2 of 3"))', 'raise CouldNotLookError("2 of 3")'])
def test_a_waived_step_is_waived_and_the_run_is_good(pytester: pytest.Pytester, end: str) -> None:
    """FAILED and UNKNOWN become WAIVED, with the reason and what was seen; the exit status is 0."""
    result = _run_with_waivers(pytester, _step("preflight", "read_only", "look", end), 'waiver("preflight/look")')

    result.stdout.fnmatch_lines(["*ROW all look WAIVED waived until *: known. Risk: small. Seen: *: 2 of 3*", "*CLOSED 0*"])
    assert result.ret == 0


def test_an_expired_waiver_covers_nothing(pytester: pytest.Pytester) -> None:
    """The step fails and says that its waiver is over."""
    result = _run_with_waivers(pytester, _step("preflight", "read_only", "look", 'judge(failed("2 of 3"))'), 'waiver("preflight/look")', hours=-1)

    result.stdout.fnmatch_lines(["*ROW all look FAILED 2 of 3. Its waiver by tess@lab.invalid (technical) expired at *"])
    assert result.ret == 1


def test_a_waiver_for_one_service_covers_no_other(pytester: pytest.Pytester) -> None:
    """The other service's row is FAILED."""
    step = _step("preflight", "read_only", "look", 'judge(failed("2 of 3"))', "move, judge")

    result = _run_with_waivers(pytester, step, 'waiver("preflight/look", service="n8n")')

    result.stdout.fnmatch_lines(["*ROW n8n look WAIVED*", "*ROW postgres look FAILED 2 of 3*"])
    assert result.ret == 1


def test_a_needless_waiver_is_an_error_at_the_end(pytester: pytest.Pytester) -> None:
    """The step passed: one more row fails and names the waiver."""
    result = _run_with_waivers(pytester, _step("preflight", "read_only", "look", 'judge(passed("3 of 3"))'), 'waiver("preflight/look")')

    result.stdout.fnmatch_lines(
        ["*ROW all look PASSED*", "*ROW all waivers-needed FAILED waivers.yaml: preflight/look of all passed.*", "*CLOSED 1*"]
    )
    assert result.ret == 1


def test_a_waiver_that_matches_no_step_is_refused_before(pytester: pytest.Pytester) -> None:
    """Wrong input: nothing is looked at, and the steps that there are stand in the message."""
    result = _run_with_waivers(pytester, _step("preflight", "read_only", "look", 'judge(passed("3 of 3"))'), 'waiver("preflight/lok")')

    assert result.ret == pytest.ExitCode.USAGE_ERROR == 4
    result.stderr.fnmatch_lines(["*preflight/lok of all: no such step; known here: look*"])
    assert "ROW" not in result.stdout.str()


def test_a_step_that_waits_for_a_person_is_waiting(pytester: pytest.Pytester) -> None:
    """Neither failed nor unknown, but the run is not complete; beside something that failed, it has failed."""
    waits = _step("preflight", "read_only", "told", 'judge(Judgement(Verdict.WAITING, "nobody said so"))')
    fails = _step("preflight", "read_only", "both", 'judge(Judgement(Verdict.WAITING, "nobody said so"), failed("no"))')
    head = "from engine.verdict import Judgement, Verdict\n"

    result = _run(pytester, head + waits)
    result.stdout.fnmatch_lines(["*ROW all told WAITING nobody said so*", "*CLOSED 2*"])
    assert result.ret == 2

    result = _run(pytester, head + fails)
    result.stdout.fnmatch_lines(["*ROW all both FAILED *", "*CLOSED 1*"])
