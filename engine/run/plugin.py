"""The pytest code: options, order, verdicts and rows. It knows neither hosts nor products.

A runbook's step is a test function marked with `step(key)`, one phase and one effect. Its verdict comes from what it
handed to `judge` and from how it ended; see `engine.saga.saga.judgement_of_error`. The composition root
(runbooks/conftest.py) puts a `Book` into the config's stash: where rows go.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Final, Protocol, TypeVar

import pytest

from engine.contracts.phase import ORDERED_PHASES, PHASES, TABLE, WRITING_PHASES
from engine.contracts.step import Judge, StepResult
from engine.errors import InputError, LongshoreError
from engine.finding import joined, say, stripped
from engine.i18n.marking import summary_of
from engine.redaction.visible_text import visible
from engine.run.admitted_options import refused_options
from engine.run.xdist_scheduler import ByHost, is_spread, is_worker
from engine.run.xdist_worker import WorkerRecorder
from engine.saga.outcomes import judgement_of_error
from engine.signoff.waiver import Waivers
from engine.verdict import Effect, ExitCode, Judgement, Severity, Verdict, exit_code_of, unknown

SHOWN_AS: Final = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "failed",
    Verdict.UNKNOWN: "failed",
    Verdict.PENDING: "failed",
}


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


class Book(Protocol):
    """Where rows of evidence go, and what the run is about."""

    subjects: tuple[str, ...]  # services in the plan's order
    apply: bool

    def begin(self, subject: str, sentence: str, number: int, total: int) -> None:
        """Show that a step begins."""

    def add(self, row: StepResult) -> None:
        """Record a row durably and show it."""

    def redact(self, text: str) -> str:
        """Return text without secrets."""

    def take(self, records: Iterable[Mapping[str, Any]], redacted: int) -> None:
        """Record what a worker recorded on the way to a row."""

    def needs_operator(self) -> bool:
        """Return whether this run left a move in a state that only a person can continue from."""

    def show_unwritten(self, row: StepResult, why: str) -> None:
        """Show a row that could not be recorded."""

    def report_states(self, why: str) -> None:
        """Print the state of each move that was begun, and the commands that continue it, when the run could not be
        ended as it should.
        """

    def close(self, exit_code: ExitCode, *, interrupted: bool = False) -> None:
        """End the run and draw its evidence."""


class Share(Protocol):
    """Which rows this process asks, when a run is split by host."""

    def group_of(self, service: str | None, host: str | None, *, together: bool = False) -> str:
        """Return the host that a row belongs to, "" for one about all."""

    def is_mine(self, group: str) -> bool:
        """Return whether the rows of a host are asked here."""


BOOK: Final = pytest.StashKey[Book]()
WAIVERS: Final = pytest.StashKey[Waivers]()
JUDGE: Final = pytest.StashKey[Judge]()
ROWS: Final = pytest.StashKey[list[StepResult]]()
SHARE: Final = pytest.StashKey[Share]()
ELSEWHERE: Final = pytest.StashKey[int]()
"""How many rows the other shards ask."""
Endings = Callable[[pytest.CallInfo[None]], Judgement]
OWN: Final = pytest.StashKey[Endings]()
"""How the end of a project's own check is judged: it is an ordinary test, which hands nothing to `judge` unless it
wants to.
"""
ALL: Final = "all"
VERDICT: Final = pytest.StashKey[Verdict]()
UNWRITTEN: Final = pytest.StashKey[list[str]]()
"""Why rows are not on record, one text for each."""


class Gathering:
    """Takes the rows that workers hand over: this process alone writes them down."""

    def __init__(self, config: pytest.Config) -> None:
        """Know where they go."""
        self.config = config
        self.items: dict[str, pytest.Item] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Collect here too: what is asked must be known, so that what no worker answered shows."""
        session.perform_collect()
        self.items = {item.nodeid: item for item in session.items}
        return True

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> ByHost:
        """Give all steps of a host to one worker, and those about all hosts at once: facts are gathered once."""
        share = config.stash[SHARE]
        return ByHost(
            config, log, ALL, {name: worker_group_of(item, share) or ALL for name, item in self.items.items()}
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down the row of a step that a worker ended, or that its worker died in."""
        book, carried = self.config.stash.get(BOOK, None), getattr(report, "longshore", None)
        item = self.items.get(report.nodeid)
        if book is None or item is None or VERDICT in item.stash:
            return
        if carried is not None:
            book.take(carried["records"], carried["redacted"])
            row = StepResult.of_body(carried["row"]["key"], carried["row"]["body"])
        elif report.when not in {"setup", "call", "teardown"}:  # xdist's own report of a worker that is gone
            row = _row(
                item, unknown(say("the worker process died before this check finished. Run the phase again")), 0.0
            )
        else:
            return
        row = self.config.stash.get(WAIVERS, Waivers()).judge(row)
        self.config.stash[ROWS].append(row)
        item.stash[VERDICT] = row.judgement.verdict
        _add(self.config, book, row)
        report.outcome = SHOWN_AS.get(row.judgement.verdict, "skipped")  # type: ignore[assignment]
        if row.judgement.verdict is Verdict.WAIVED:
            report.longrepr = _shown(
                item, visible(book.redact(f"{Verdict.WAIVED.value}: {row.judgement.text}")), Verdict.WAIVED
            )


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judge:
    """Take this step's judgements."""
    taken = Judge()
    request.node.stash[JUDGE] = taken
    return taken


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start without rows; a run that has a book gathers those of its workers. Each phase is a marker of its steps."""
    for phase in TABLE:
        config.addinivalue_line("markers", f"{phase.name}: {phase.help}")
    config.stash[ROWS] = []
    config.stash[UNWRITTEN] = []
    if BOOK in config.stash and is_spread(config):
        config.pluginmanager.register(Gathering(config), "longshore-gathering")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse steps without a declaration and what would break a move's order; sort by host, move, module and line."""
    if BOOK not in config.stash:
        return
    problems = [problem for item in items for problem in _undeclared(item)]
    problems += refused_options(config)
    writes = any(item.get_closest_marker(phase) for item in items for phase in WRITING_PHASES)
    if any(item.get_closest_marker(phase) for item in items for phase in ORDERED_PHASES):
        problems += _breaks_order(config, writes=writes)
    if problems:
        raise pytest.UsageError("\n".join(sorted(set(problems))))
    subjects = config.stash[BOOK].subjects
    _refuse_unknown_waivers(config, items)
    modules = {path: position for position, path in enumerate(dict.fromkeys(item.path for item in items))}
    items.sort(key=lambda item: (_turn(item, subjects), modules[item.path], item.location[1] or 0))
    if SHARE in config.stash:
        _keep_own(config, items, config.stash[SHARE])


def _keep_own(config: pytest.Config, items: list[pytest.Item], share: Share) -> None:
    """Leave the rows of other shards to them."""
    others = [item for item in items if not share.is_mine(group_of(item, share))]
    config.stash[ELSEWHERE] = len(others)
    items[:] = [item for item in items if share.is_mine(group_of(item, share))]
    if others:
        config.hook.pytest_deselected(items=others)


def worker_group_of(item: pytest.Item, share: Share) -> str:
    """Return the host whose worker asks a step, "" for the one that asks about all hosts at once."""
    return "" if item.get_closest_marker("at_once") else group_of(item, share)


def group_of(item: pytest.Item, share: Share) -> str:
    """Return the host that a step belongs to, "" for one about all hosts together."""
    together = item.get_closest_marker("together") is not None
    return share.group_of(_param(item, "move"), _param(item, "machine"), together=together)


def _refuse_unknown_waivers(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a waiver that no step can match, before anything is looked at."""
    rows = {(_marker_argument(item, "step"), _param(item, "move"), _param(item, "machine")) for item in items}
    for phase in (phase for phase in PHASES if any(item.get_closest_marker(phase) for item in items)):
        try:
            config.stash.get(WAIVERS, Waivers()).refuse_unknown(phase, rows, config.stash[BOOK].subjects)
        except InputError as error:
            raise pytest.UsageError(str(error)) from error


def _undeclared(item: pytest.Item) -> Iterable[str]:
    name = item.nodeid.partition("[")[0]
    if item.get_closest_marker("step") is None:
        yield f'{name}: no key; expected @pytest.mark.step("…")'
    for kind, words in (("phase", PHASES), ("effect", tuple(effect.value for effect in Effect))):
        marked = [word for word in words if item.get_closest_marker(word)]
        if len(marked) != 1:
            yield f"{name}: {len(marked)} {kind} marks; expected exactly one of {', '.join(words)}"
    if not _sentence(item):
        yield f"{name}: no docstring; its first line is the sentence in the evidence"


def _breaks_order(config: pytest.Config, *, writes: bool) -> Iterable[str]:
    option = config.option
    flags = {
        "-k": getattr(option, "keyword", ""),
        "-m": getattr(option, "markexpr", ""),
        "--lf/--ff": getattr(option, "lf", False) or getattr(option, "failedfirst", False),
        "--deselect": getattr(option, "deselect", None),
        "--reruns": getattr(option, "reruns", None),
        "-n (xdist)": writes and (getattr(option, "numprocesses", None) or is_worker(config)),
        "node ids": any("::" in str(argument) for argument in config.args),
        "random order": config.pluginmanager.hasplugin("randomly") or config.pluginmanager.hasplugin("random_order"),
    }
    for flag, used in flags.items():
        if used:
            yield (
                f"{flag}: a phase that changes hosts, or opens the gate to one, runs all its steps in order. "
                "Choose with --service or --wave"
            )


def _turn(item: pytest.Item, subjects: tuple[str, ...]) -> int:
    service = _param(item, "move")
    return subjects.index(service) if service in subjects else -1


def _param(item: pytest.Item, name: str) -> str | None:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return str(params[name]) if name in params else None


def _sentence(item: pytest.Item) -> str:
    return summary_of(getattr(getattr(item, "function", None), "__doc__", None))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Show what is looked at or done now."""
    book = item.config.stash.get(BOOK, None)
    if book is not None:
        book.begin(_subject(item), _sentence(item), item.session.items.index(item) + 1, len(item.session.items))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the end of a step into its verdict and its row."""
    report = yield
    book = item.config.stash.get(BOOK, None)
    if book is None or not _ends_step(call):
        return report if book is None else _without_secrets(report, book)
    judgement = _judgement(item, call)
    row = item.config.stash.get(WAIVERS, Waivers()).judge(_row(item, judgement, report.duration))
    judgement = row.judgement
    item.config.stash[ROWS].append(row)
    item.stash[VERDICT] = judgement.verdict
    _add(item.config, book, row)
    if isinstance(book, WorkerRecorder):
        report.longshore = book.hand_over()  # type: ignore[attr-defined]
    report.outcome = SHOWN_AS.get(judgement.verdict, "skipped")  # type: ignore[assignment]
    text = visible(book.redact(f"{judgement.verdict.value}: {judgement.text}"))
    report.longrepr = None if report.outcome == "passed" else _shown(item, text, judgement.verdict)
    report.sections = []
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Show a runbook that can't be read without secrets: a traceback shows lines and values."""
    report = yield
    book = collector.config.stash.get(BOOK, None)
    return report if book is None else _without_secrets(report, book)


def _without_secrets(report: Report, book: Book) -> Report:
    """Return a report of what is no step's end (a fixture's teardown, a module): its traceback passes the redactor,
    captured text goes.
    """
    if report.longrepr and report.failed:
        report.longrepr = visible(book.redact(str(report.longrepr)))
    report.sections = []
    return report


def _ends_step(call: pytest.CallInfo[None]) -> bool:
    return call.when == "call" or (call.when == "setup" and call.excinfo is not None)


def _judgement(item: pytest.Item, call: pytest.CallInfo[None]) -> Judgement:
    given = item.stash[JUDGE].given if JUDGE in item.stash else []
    if OWN in item.stash and not given:
        return item.stash[OWN](call)
    if call.excinfo is None:
        if not given:
            return unknown(say("this step measured nothing: it ended without handing a judgement to `judge`"))
        return _joined(given, Verdict.PASSED, joined("; ", (one.text for one in given)))
    ended = judgement_of_error(call.excinfo.value)
    text = stripped(ended.text.removeprefix("assert False") if ended.text.startswith("assert False") else ended.text)
    if given and ended.verdict in {Verdict.FAILED, Verdict.UNKNOWN}:
        wrong = [one for one in given if not one.passed] or given
        waits = ended.verdict is Verdict.UNKNOWN and all(one.verdict is Verdict.PENDING for one in wrong)
        return _joined(given, Verdict.PENDING if waits else ended.verdict, joined("; ", (one.text for one in wrong)))
    return Judgement(ended.verdict, text)


def _joined(given: list[Judgement], verdict: Verdict, text: str) -> Judgement:
    measured = {name: value for one in given for name, value in one.measured.items()}
    return Judgement(verdict, text, measured, tuple(line for one in given for line in one.details))


def _row(item: pytest.Item, judgement: Judgement, duration_s: float) -> StepResult:
    service, host = _param(item, "move"), _param(item, "machine")
    severity = item.get_closest_marker("severity")
    return StepResult(
        phase=next(phase for phase in PHASES if item.get_closest_marker(phase)),
        key=_marker_argument(item, "step"),
        sentence=_sentence(item),
        subject=_subject(item),
        service=service,
        host=host,
        wave=_marker_argument(item, "wave") or None,
        effect=next(effect for effect in Effect if item.get_closest_marker(effect.value)),
        severity=_severity(severity, judgement),
        judgement=judgement,
        duration_s=duration_s,
    )


def _severity(marker: pytest.Mark | None, judgement: Judgement) -> Severity:
    """Return how much a row counts; `severity("warning", unless_failed=True)`: that it could not be seen is a warning,
    that it is wrong is not.
    """
    if marker is None or (marker.kwargs.get("unless_failed") and judgement.verdict is Verdict.FAILED):
        return Severity.BLOCKER
    return Severity(marker.args[0])


def _subject(item: pytest.Item) -> str:
    return _param(item, "move") or _param(item, "machine") or ALL


def _marker_argument(item: pytest.Item, name: str) -> str:
    marker = item.get_closest_marker(name)
    return str(marker.args[0]) if marker and marker.args else ""


def _shown(item: pytest.Item, text: str, verdict: Verdict) -> Any:
    if verdict in {Verdict.PLANNED, Verdict.NOT_RUN, Verdict.WAIVED}:
        return (str(item.path), item.location[1] or 0, text)
    return text


def exit_code(rows: list[StepResult]) -> ExitCode:
    """Return the exit status of these rows; a dry run whose actions are all PLANNED and whose reads PASSED is OK."""
    return exit_code_of((row.judgement.verdict, row.severity) for row in rows)


def _add(config: pytest.Config, book: Book, row: StepResult) -> None:
    """Record a row and show it; one that the journal does not take is shown, and the run is not whole: a hook must not
    end it half-way.
    """
    try:
        book.add(row)
    except LongshoreError as error:
        config.stash[UNWRITTEN].append(str(error))
        book.show_unwritten(row, str(error))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the book with our own exit status; pytest's own errors of use stay."""
    book = session.config.stash.get(BOOK, None)
    if book is None or is_worker(session.config) or exitstatus == pytest.ExitCode.USAGE_ERROR:
        return
    session.exitstatus = int(_close(session, book, exitstatus))


def _close(session: pytest.Session, book: Book, ended: int) -> ExitCode:
    """End the run and return its exit status: whatever goes wrong here, the state of each move is reported.

    When the tool itself broke, what it had begun stays as it is, so a person must look; pytest's own status for that is
    our "refused".
    """
    config, interrupted, broke = (
        session.config,
        ended == pytest.ExitCode.INTERRUPTED,
        ended == pytest.ExitCode.INTERNAL_ERROR,
    )
    try:
        _add_missing_rows(session, book)
        _add_needless_waivers(session, book)
        code = ExitCode.NEEDS_OPERATOR if broke or book.needs_operator() else _code_of(config)
        book.close(code, interrupted=interrupted)
        if broke:
            book.report_states("the tool itself failed, see above: nothing more was done, and nothing undone")
    except LongshoreError as error:
        book.report_states(str(error))
        return (
            ExitCode.NEEDS_OPERATOR
            if broke or book.needs_operator()
            else exit_code(config.stash[ROWS]) or ExitCode.INCOMPLETE
        )
    return code


def _code_of(config: pytest.Config) -> ExitCode:
    """Return the exit status of the rows; a shard that no row fell to has nothing to look at."""
    rows = config.stash[ROWS]
    code = ExitCode.OK if not rows and config.stash.get(ELSEWHERE, 0) else exit_code(rows)
    return code or (ExitCode.INCOMPLETE if config.stash[UNWRITTEN] else ExitCode.OK)


def _add_missing_rows(session: pytest.Session, book: Book) -> None:
    """Add a row for each step that an interruption left out: what was not asked must not look as if all were."""
    for item in () if session.config.option.collectonly else getattr(session, "items", ()):
        if VERDICT not in item.stash:
            row = _row(
                item,
                Judgement(
                    Verdict.NOT_RUN, say("not run: the run was interrupted before this step ended. Run it again")
                ),
                0.0,
            )
            session.config.stash[ROWS].append(row)
            _add(session.config, book, row)


def _add_needless_waivers(session: pytest.Session, book: Book) -> None:
    """Add a row that fails when a waiver covered a step that passed."""
    phase = next((row.phase for row in session.config.stash[ROWS]), "")
    row = session.config.stash.get(WAIVERS, Waivers()).needless_row(phase)
    if row:
        session.config.stash[ROWS].append(row)
        _add(session.config, book, row)


def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """Print no letters: the book shows each row itself; count each step once."""
    if BOOK not in config.stash or report.when == "teardown":
        return None
    return ("" if report.when == "setup" and report.passed else report.outcome, "", "")
