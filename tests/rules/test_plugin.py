"""Rules of the plugin, each shown on a tiny runbook: verdicts, order, refusals and exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]

CONFTEST = """
import pytest
from engine.run.plugin import BOOK
pytest_plugins = ["engine.run.plugin"]

class Book:
    subjects = ("n8n", "postgres")
    apply = True
    def add(self, row):
        print(f"ROW {row.subject} {row.key} {row.judgement.verdict.value} {row.judgement.text}")
    def redact(self, text):
        return text
    def needs_operator(self):
        return False
    def begin(self, subject, sentence, number, total):
        print(f"BEGIN {subject} {number}/{total} {sentence}")
    def close(self, exit_code, *, interrupted):
        print(f"CLOSED {exit_code.value}" + " INTERRUPTED" * interrupted)
    def show_unwritten(self, row, why):
        print(f"UNWRITTEN {row.key} {row.judgement.verdict.value} {why}")
    def report_states(self, why):
        print(f"STAND {why}")

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
from engine.errors import NotObservedError
from engine.saga.outcomes import NotRun, PlannedOnly
from engine.verdict import failed, passed, unknown
"""


OURS = 'pytest_plugins = ["engine.run.plugin"]'


def _with(conftest: str, *plugins: str) -> str:
    """Return a conftest that also loads these plugins: a phase is given none on its command line that lies
    elsewhere.
    """
    assert OURS in conftest
    return conftest.replace(OURS, f"pytest_plugins = {['engine.run.plugin', *plugins]}")


def _run(pytester: pytest.Pytester, body: str, *args: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult:
    pytester.makeini(
        f"[pytest]\npythonpath = {ROOT} .\nmarkers =\n  step(key): x\n  severity(s): x\n  preflight: x\n  migrate: x\n"
        "  repoint: x\n  read_only: x\n  changes_state: x\n"
    )
    pytester.makeconftest(_with(CONFTEST, *plugins))
    pytester.makepyfile(test_book=HEAD + body)
    # An interrupted inner run is a result, not an interrupt of the tests.
    return pytester.runpytest_inprocess("-s", "-p", "no:cacheprovider", *args, no_reraise_ctrlc=True)


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
        ('raise NotObservedError("wf001: gone")', "UNKNOWN wf001: gone", 2),
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


@pytest.mark.parametrize(("body", "status"), [('judge(unknown("not measured"))', 0), ('judge(failed("not over"))', 1)])
def test_what_could_not_be_measured_is_a_warning_only(pytester: pytest.Pytester, body: str, status: int) -> None:
    """A lost measurement lets the run pass; one that shows a fault does not."""
    step = _step("migrate", "changes_state", "measure-outage", body)

    result = _run(
        pytester,
        step.replace("@pytest.mark.step", '@pytest.mark.severity("warning", unless_failed=True)\n@pytest.mark.step'),
    )

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


@pytest.mark.parametrize(
    "flag", [["-k", "stop"], ["--deselect", "test_book.py::test_stop"], ["test_book.py::test_stop"]]
)
@pytest.mark.parametrize("phase", ["migrate", "repoint"])
def test_a_writing_phase_refuses_to_run_in_part(pytester: pytest.Pytester, phase: str, flag: list[str]) -> None:
    """A later action never runs without the earlier ones: the message names --service."""
    result = _run(pytester, _step(phase, "changes_state", "stop", 'judge(passed("ok"))'), *flag)

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

    rows = [
        line.removeprefix("test_book.py ") for line in result.outlines if "ROW " in line or line.startswith("CLOSED")
    ]
    assert [line.split()[2:4] for line in rows[:-1]] == [["one", "PASSED"], ["two", "NOT_RUN"], ["three", "NOT_RUN"]]
    assert rows[-1] == "CLOSED 2 INTERRUPTED"


WAIVED = """
from datetime import datetime, timedelta, UTC
from engine.run.plugin import WAIVERS
from engine.signoff.waiver import Waiver, Waivers

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
    pytester.makepyfile(
        given=f"import pytest\n{WAIVED.replace('HOURS', str(hours))}{INSTALL.replace('ENTRIES', waivers)}"
    )
    return _run(pytester, body, plugins=("given",))


@pytest.mark.parametrize("end", ['judge(failed("2 of 3"))', 'raise NotObservedError("2 of 3")'])
def test_a_waived_step_is_waived_and_the_run_is_good(pytester: pytest.Pytester, end: str) -> None:
    """FAILED and UNKNOWN become WAIVED, with the reason and what was seen; the exit status is 0."""
    result = _run_with_waivers(pytester, _step("preflight", "read_only", "look", end), 'waiver("preflight/look")')

    result.stdout.fnmatch_lines(
        ["*ROW all look WAIVED waived until *: known. Risk: small. Seen: *: 2 of 3*", "*CLOSED 0*"]
    )
    assert result.ret == 0


def test_an_expired_waiver_covers_nothing(pytester: pytest.Pytester) -> None:
    """The step fails and says that its waiver is over."""
    result = _run_with_waivers(
        pytester,
        _step("preflight", "read_only", "look", 'judge(failed("2 of 3"))'),
        'waiver("preflight/look")',
        hours=-1,
    )

    result.stdout.fnmatch_lines(
        ["*ROW all look FAILED 2 of 3. Its waiver by tess@lab.invalid (technical) expired at *"]
    )
    assert result.ret == 1


def test_a_waiver_for_one_service_covers_no_other(pytester: pytest.Pytester) -> None:
    """The other service's row is FAILED."""
    step = _step("preflight", "read_only", "look", 'judge(failed("2 of 3"))', "move, judge")

    result = _run_with_waivers(pytester, step, 'waiver("preflight/look", service="n8n")')

    result.stdout.fnmatch_lines(["*ROW n8n look WAIVED*", "*ROW postgres look FAILED 2 of 3*"])
    assert result.ret == 1


def test_a_needless_waiver_is_an_error_at_the_end(pytester: pytest.Pytester) -> None:
    """The step passed: one more row fails and names the waiver."""
    result = _run_with_waivers(
        pytester, _step("preflight", "read_only", "look", 'judge(passed("3 of 3"))'), 'waiver("preflight/look")'
    )

    result.stdout.fnmatch_lines(
        [
            "*ROW all look PASSED*",
            "*ROW all waivers-needed FAILED waivers.yaml: preflight/look of all passed.*",
            "*CLOSED 1*",
        ]
    )
    assert result.ret == 1


def test_a_waiver_that_matches_no_step_is_refused_before(pytester: pytest.Pytester) -> None:
    """Wrong input: nothing is looked at, and the steps that there are stand in the message."""
    result = _run_with_waivers(
        pytester, _step("preflight", "read_only", "look", 'judge(passed("3 of 3"))'), 'waiver("preflight/lok")'
    )

    assert result.ret == pytest.ExitCode.USAGE_ERROR == 4
    result.stderr.fnmatch_lines(["*preflight/lok of all: no such step; known here: look*"])
    assert "ROW" not in result.stdout.str()


def test_a_step_that_waits_for_a_person_is_waiting(pytester: pytest.Pytester) -> None:
    """Neither failed nor unknown, but the run is not complete; if something else failed, it has failed."""
    waits = _step("preflight", "read_only", "notice", 'judge(Judgement(Verdict.PENDING, "nobody said so"))')
    fails = _step("preflight", "read_only", "both", 'judge(Judgement(Verdict.PENDING, "nobody said so"), failed("no"))')
    head = "from engine.verdict import Judgement, Verdict\n"

    result = _run(pytester, head + waits)
    result.stdout.fnmatch_lines(["*ROW all notice PENDING nobody said so*", "*CLOSED 2*"])
    assert result.ret == 2

    result = _run(pytester, head + fails)
    result.stdout.fnmatch_lines(["*ROW all both FAILED *", "*CLOSED 1*"])


SPLIT = """
class Share:
    hosts = {"postgres": "a", "n8n": "b"}
    own = OWN
    def group_of(self, service, host, *, together=False):
        return "" if together else self.hosts.get(service, "")
    def is_mine(self, group):
        return self.own is None or group in self.own

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    from engine.run.plugin import SHARE
    config.stash[SHARE] = Share()
    if hasattr(config, "workerinput"):
        from engine.redaction.redactor import Redactor
        from engine.run.xdist_worker import BufferedRun, WorkerRecorder
        config.stash[BOOK] = WorkerRecorder(BufferedRun("run", Redactor()), "preflight", ("n8n", "postgres"), None)
    elif config.option.dist != "no":
        config.option.dist = "loadscope"

@pytest.fixture
def record(pytestconfig):
    return getattr(pytestconfig.stash[BOOK], "run", None)
"""


def _run_split(
    pytester: pytest.Pytester, body: str, *args: str, own: str = "None", plugins: tuple[str, ...] = ()
) -> pytest.RunResult:
    """Run steps with a share, as the composition root hands it over; its book prints what workers recorded."""
    conftest = CONFTEST.replace(
        "    config.stash[BOOK] = Book()",
        '    if not hasattr(config, "workerinput"):\n        config.stash[BOOK] = Book()',
    )
    take = (
        "    def take(self, records, redacted):\n        print(f\"TOOK {[one['body'] for one in records]} "
        '{redacted}")\n    def redact('
    )
    pytester.makepyfile(split="import pytest\nfrom engine.run.plugin import BOOK\n" + SPLIT.replace("OWN", own))
    pytester.makeini(
        f"[pytest]\npythonpath = {ROOT} .\nmarkers =\n  step(key): x\n  severity(s): x\n  preflight: x\n  migrate: x\n"
        "  read_only: x\n  changes_state: x\n  together: x\n  at_once: x\n"
    )
    pytester.makeconftest(_with(conftest.replace("    def redact(", take), "split", *plugins))
    pytester.makepyfile(test_book=HEAD + body)
    return pytester.runpytest_inprocess("-s", "-p", "no:cacheprovider", *args)


def test_a_shard_asks_its_own_rows_only(pytester: pytest.Pytester) -> None:
    """The others are left to the other shards; what is about all belongs to nobody's host."""
    body = _step("preflight", "read_only", "look", 'judge(passed("ok"))', "move, judge") + _step(
        "preflight", "read_only", "all", 'judge(passed("ok"))'
    )

    result = _run_split(pytester, body, own='{"a"}')

    assert [line.split("ROW ")[1] for line in result.outlines if "ROW " in line] == ["postgres look PASSED ok"]
    assert result.ret == 0


def test_a_shard_without_rows_is_good_and_a_run_without_rows_is_not(pytester: pytest.Pytester) -> None:
    """Where others look, this shard has nothing to look at; where nobody looks, nothing is proven."""
    assert (
        _run_split(
            pytester, _step("preflight", "read_only", "look", 'judge(passed("ok"))', "move, judge"), own='{"c"}'
        ).ret
        == 0
    )
    assert _run_split(pytester, "", own='{"c"}').ret == 2


WHO = 'import os; judge(passed(os.environ["PYTEST_XDIST_WORKER"]))'


def test_workers_look_and_one_process_writes(pytester: pytest.Pytester) -> None:
    """Every row arrives once, with what was recorded on the way to it; all rows of a host come from one worker, so do
    those about all at once.
    """
    body = "".join(_step("preflight", "read_only", f"look-{number}", WHO, "move, judge") for number in range(4))
    body += "".join(
        _step("preflight", "read_only", f"all-{number}", WHO, "move, judge").replace(
            "@pytest.mark.preflight", f"@pytest.mark.{mark}\n@pytest.mark.preflight"
        )
        for number, mark in enumerate(("at_once", "together"))
    )
    body += _step(
        "preflight",
        "read_only",
        "records",
        'record.record("report_table", body={"title": "x"}); judge(passed("ok"))',
        "move, judge, record",
    )

    result = _run_split(pytester, body, "-n", "3")
    rows = [line.split("ROW ")[1].split() for line in result.outlines if "ROW " in line]

    assert result.ret == 0
    assert len(rows) == 14
    assert sorted({(subject, key) for subject, key, *_ in rows}) == sorted((row[0], row[1]) for row in rows)
    for service in ("postgres", "n8n"):
        assert len({worker for subject, key, _, worker in rows if subject == service and key.startswith("look")}) == 1
    assert len({worker for _, key, _, worker in rows if key.startswith("all")}) == 1
    assert sum("TOOK [{'title': 'x'}] 0" in line for line in result.outlines) == 2
    result.stdout.fnmatch_lines(["*CLOSED 0*"])


def test_a_worker_that_dies_leaves_an_unknown_row(pytester: pytest.Pytester) -> None:
    """The row that it died in is UNKNOWN, the others are asked by another worker; the run is not good."""
    body = _step(
        "preflight",
        "read_only",
        "dies",
        'import os; os._exit(9) if move == "n8n" else judge(passed("ok"))',
        "move, judge",
    )
    body += _step("preflight", "read_only", "look", 'judge(passed("ok"))', "move, judge")

    result = _run_split(pytester, body, "-n", "2")
    rows = sorted(line.split("ROW ")[1] for line in result.outlines if "ROW " in line)

    assert [row.split()[:3] for row in rows] == [
        ["n8n", "dies", "UNKNOWN"],
        ["n8n", "look", "PASSED"],
        ["postgres", "dies", "PASSED"],
        ["postgres", "look", "PASSED"],
    ]
    assert "the worker process died before this check finished" in rows[0]
    assert result.ret == 2


def test_a_failed_row_of_a_worker_fails_the_run(pytester: pytest.Pytester) -> None:
    """With its text, and a waiver counts in the process that writes."""
    step = _step(
        "preflight",
        "read_only",
        "look",
        'judge(failed("2 of 3")) if move == "n8n" else judge(passed("ok"))',
        "move, judge",
    )

    failed = _run_split(pytester, step, "-n", "2")
    failed.stdout.fnmatch_lines(["*ROW n8n look FAILED 2 of 3*", "*CLOSED 1*"])
    assert failed.ret == 1

    waivers = INSTALL.replace("ENTRIES", 'waiver("preflight/look", service="n8n")')
    pytester.makepyfile(given=f"import pytest\n{WAIVED.replace('HOURS', '1')}{waivers}")
    waived = _run_split(pytester, step, "-n", "2", plugins=("given",))
    waived.stdout.fnmatch_lines(["*ROW n8n look WAIVED waived until *Seen: FAILED: 2 of 3*", "*CLOSED 0*"])
    assert waived.ret == 0


def test_a_writing_phase_is_not_given_to_workers(pytester: pytest.Pytester) -> None:
    """Its actions have one order, in one process."""
    result = _run_split(pytester, _step("migrate", "changes_state", "stop", 'judge(passed("ok"))'), "-n", "2")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ROW" not in result.stdout.str()


FULL = """
import pytest
from engine.errors import JournalError
from engine.run.plugin import BOOK

@pytest.fixture(autouse=True)
def full(pytestconfig):
    def add(row):
        raise {error}
    pytestconfig.stash[BOOK].add = add
"""


def test_a_journal_that_takes_no_row_is_reported_as_what_it_is(pytester: pytest.Pytester) -> None:
    """The result is shown, the rest continues, and the run is not whole: its status is 2, never pytest's 3, which says
    that nothing was done.
    """
    error = 'JournalError("state/lab.sqlite: record 7 (step) cannot be written: database or disk is full")'
    steps = _step("migrate", "changes_state", "stop-source", 'judge(passed("stopped"))')

    result = _run(
        pytester,
        FULL.format(error=error) + steps + _step("migrate", "changes_state", "copy", 'judge(passed("copied"))'),
    )

    result.stdout.fnmatch_lines(
        ["UNWRITTEN stop-source PASSED state/lab.sqlite*full", "UNWRITTEN copy PASSED*", "CLOSED 2"]
    )
    assert result.ret == 2


def test_a_tool_that_breaks_needs_a_person(pytester: pytest.Pytester) -> None:
    """A defect in a hook ends with status 5 and reports where each move stands: pytest's own status for it means
    "refused" here.
    """
    steps = _step("migrate", "changes_state", "stop-source", 'judge(passed("stopped"))')

    result = _run(pytester, FULL.format(error='KeyError("State")') + steps)

    result.stdout.fnmatch_lines(["*INTERNALERROR*KeyError*", "STAND the tool itself failed*"])
    assert result.ret == 5


def test_an_end_that_cannot_be_written_still_reports_where_moves_stand(pytester: pytest.Pytester) -> None:
    """The last record is refused too: the text says why and names each move; the results decide the status."""
    error = """
import pytest
from engine.errors import JournalError
from engine.run.plugin import BOOK

@pytest.fixture(autouse=True)
def full(pytestconfig):
    def close(code, *, interrupted):
        raise JournalError("state/lab.sqlite: full")
    pytestconfig.stash[BOOK].close = close
"""
    result = _run(pytester, error + _step("migrate", "changes_state", "stop-source", 'judge(failed("exit 137"))'))

    result.stdout.fnmatch_lines(["STAND state/lab.sqlite: full"])
    assert result.ret == 1


TWO = _step("preflight", "read_only", "look", 'judge(passed("ok"))') + _step(
    "preflight", "read_only", "see", 'judge(failed("it does not serve"))'
)


@pytest.mark.parametrize(
    "argument",
    [
        "-o python_functions=test_look",
        "-opython_functions=test_look",
        "--override-ini=python_functions=test_look",
        "--ignore=other",
        "--ignore-glob=*other*",
        "-o python_files=other.py",
        "-o norecursedirs=.",
        "-c other.ini",
        "-p json.tool",
        "--pyargs",
    ],
)
@pytest.mark.parametrize("place", ["the command line", "PYTEST_ADDOPTS"])
def test_an_option_that_could_leave_out_a_step_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, argument: str, place: str
) -> None:
    """A step that is not collected leaves no row behind: nothing of the kind comes from flags, or unseen from the
    shell.
    """
    pytester.makefile(".ini", other="[pytest]\n")
    if place == "PYTEST_ADDOPTS":
        monkeypatch.setenv("PYTEST_ADDOPTS", argument)
    result = _run(pytester, TWO, *(argument.split() if place == "the command line" else ()))

    assert result.ret in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}
    assert "ROW" not in result.stdout.str()
    assert "CLOSED" not in result.stdout.str() or result.ret != 0


def test_what_only_shows_more_or_less_is_taken(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours, length of tracebacks and the like change no row."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-q --color=no --tb short")
    result = _run(pytester, TWO, "-vv", "-rA", "-o", "filterwarnings=default")

    result.stdout.fnmatch_lines(["ROW all look PASSED*", "ROW all see FAILED*"])


def test_a_plugin_of_the_shell_is_refused(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTEST_PLUGINS loads code that nobody reviewed."""
    monkeypatch.setenv("PYTEST_PLUGINS", "json.tool")
    result = _run(pytester, TWO)

    assert "ROW" not in result.stdout.str()
    assert "unset PYTEST_PLUGINS" in result.stdout.str() + result.stderr.str()
