"""A run of a phase as a process: the real session, the real steps of the runbooks, in one process with modelled
borders.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from types import SimpleNamespace
from typing import Any, Final

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

import engine.journal.journal
import engine.journal.record
import phases.context.locks
import phases.context.run_context
import phases.session.opening
from engine.contracts.product import Product
from engine.contracts.step import Judge, StepResult
from engine.errors import InputError, JournalError, LongshoreError, NotObservedError, RefusedError
from engine.i18n.marking import summary_of
from engine.journal.database import METADATA
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.journal.name_digests import Sealer
from engine.journal.record import FIRST_PREVIOUS, Record
from engine.redaction.redactor import Redactor
from engine.run.options import Options
from engine.run.plugin import JUDGE, _judgement, exit_code
from engine.run.progress import Progress
from engine.run.recorder import RunRecorder
from engine.saga.saga import RunningMove
from engine.signoff.waiver import Waivers
from engine.verdict import Effect, ExitCode, Judgement, Severity, Verdict, passed
from hosts.facts.parse import parse_container
from phases.gates.gates import Gates
from phases.signoff.approvals import source_body
from services.registry import PRODUCTS
from tests.simulation.clock import PLAYING, SimDatetime
from tests.simulation.fleet import open_sim_hosts
from tests.simulation.process import Killed, Process
from tests.simulation.products import ASKING, Actor, Store
from tests.simulation.replication import SimReplication
from tests.simulation.scenario import TARGETS, Command, Plans, Scenario, scope_of
from tests.simulation.shell import run_inside
from tests.simulation.story import Story
from tests.simulation.world import World

REFUSED_MARK: Final = "refused, nothing was done"


@dataclass
class Stage:
    """Everything of one story while it is played."""

    scenario: Scenario
    world: World
    story: Story
    journal: Journal
    plans: Plans = field(default_factory=Plans)
    tokens: dict[str, str] = field(default_factory=dict)
    runs: int = 0
    processes: list[Process] = field(default_factory=list)
    row_passed: Callable[[Stage, Process, Any, StepResult], None] = lambda _stage, _process, _session, _row: None
    kept: dict[str, dict[str, tuple[frozenset[Any], int]]] = field(
        default_factory=dict
    )  # what each source held when it was kept
    started_by_hand: bool = False
    journal_lost: bool = False
    adopted: bool = False
    outside_book: list[str] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)  # services whose target's writes a flag admitted to leave there
    abandoned: list[Command] = field(default_factory=list)
    carrying: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def begun(self, service: str | None, body: Any) -> None:
        """Check that what a move begins with is what the files, and the approvals, say now."""
        scope = scope_of(self.scenario, (), self.process.replanned)
        move = next(one for one in scope.plan.moves if one.service == service)
        if body["move"]["target"] != move.target:
            self.world.violate(
                f"another plan than the approved one is carried out: {service} to {body['move']['target']}, "
                f"approved {move.target}"
            )

    def is_moved(self, service: str) -> bool:
        """Return whether the plan moves a service."""
        return service in TARGETS[self.scenario.topology]

    def is_target_lost(self, service: str) -> bool:
        """Return whether a service's target never comes back."""
        return self.world.machines[self.target_of(service)].gone

    def target_of(self, service: str) -> str:
        """Return where a service goes by the plan in the files."""
        moves = scope_of(self.scenario, (), self.plans.replanned).plan.moves
        return next(one.target for one in moves if one.service == service)

    @property
    def process(self) -> Process:
        """Return the process that runs now."""
        return self.processes[-1]


STAGES: Final[list[Stage]] = []


def stage() -> Stage:
    """Return the story that is played."""
    return STAGES[-1]


@dataclass
class Outcome:
    """How a run ended, and what it said."""

    command: Command
    exit: ExitCode | None  # None: it was killed
    said: list[str]
    rows: list[StepResult]
    silenced: bool = False  # whether it wrote nothing, or could not or must not write into the journal at its end

    @property
    def killed(self) -> bool:
        """Return whether it was killed."""
        return self.exit is None

    def text(self) -> str:
        """Return it in a line."""
        ended = "killed" if self.exit is None else f"exit {self.exit.value} ({self.exit.name})"
        wrong = next((row for row in self.rows if row.judgement.verdict in {Verdict.FAILED, Verdict.UNKNOWN}), None)
        return f"{self.command.text()}: {ended}" + (f"; {wrong.key}: {wrong.judgement.text[:300]}" if wrong else "")


class SimBook(RunRecorder):
    """The real book, which keeps what it says and draws no page."""

    def _say(self, text: Any) -> None:
        stage().process.said.append(str(text))

    def _draw(self) -> Any:
        return SimpleNamespace(report="report.html", altered=())


class PlainRedactor(Redactor):
    """A redactor of a world without secrets."""

    def value(self, value: Any) -> Any:
        """Return it as it is."""
        return value

    def text(self, text: str) -> str:
        """Return it as it is."""
        return text

    def hides(self, value: Any) -> bool:
        """Hide nothing."""
        return False

    def register_environment(self, *_: Any, **__: Any) -> None:
        """Learn nothing."""

    def register_container(self, *_: Any, **__: Any) -> None:
        """Learn nothing."""


class SimReserve:
    """The room that is kept for the journal: there is some, unless the disk is gone altogether."""

    def keep(self) -> None:
        """Keep it: whoever starts a run again has made room."""

    def release(self) -> bool:
        """Give it up; return whether that helps."""
        process = stage().process
        process.reserve_released = process.journal_full == "full"
        return process.reserve_released


class ListJournal(Journal):
    """A journal whose table is a list: the same records, chains and questions, without a database's time."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__(None, PlainRedactor(), lambda: SimDatetime.now(UTC), "memory", SimReserve())  # type: ignore[arg-type]
        self.rows: list[Record] = []
        self._kinds: dict[str, list[Record]] = {}

    def keep(self, values: dict[str, Any]) -> int:
        """Keep a record, as the insert does; return its number in the journal."""
        record = Record(**{"writer": "", **values, "seq": len(self.rows) + 1, "body": json.loads(values["body"])})
        self.rows.append(record)
        self._kinds.setdefault(record.kind, []).append(record)
        return record.seq

    def records(self, *, run_id: Any = None, kind: Any = None, service: Any = None, until: Any = None) -> list[Record]:
        """Return records in their order."""
        kinds = [kind] if isinstance(kind, str) else kind
        found = (
            self.rows
            if kinds is None
            else [record for one in dict.fromkeys(kinds) for record in self._kinds.get(one, ())]
        )
        wanted = [
            one
            for one in found
            if (run_id is None or one.run_id == run_id)
            and (service is None or one.service == service)
            and (until is None or one.seq <= until)
        ]
        return wanted if kinds is None or len(list(kinds)) == 1 else sorted(wanted, key=lambda one: one.seq)

    def last(
        self, kind: str, *, service: str | None = None, key: str | None = None, until: int | None = None
    ) -> Record | None:
        """Return the newest record of a kind."""
        found = (
            one
            for one in reversed(self._kinds.get(kind, ()))
            if (service is None or one.service == service)
            and (key is None or one.key == key)
            and (until is None or one.seq <= until)
        )
        return next(found, None)

    def _end(self) -> dict[str, Any]:
        """Return how many records there are, and the last one's hash."""
        return {"records": len(self.rows), "head": self.rows[-1].hash if self.rows else FIRST_PREVIOUS}

    def lost_records(self) -> str:
        """Return nothing: a list loses none."""
        return ""

    def heads(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the head of each writer's chain in a run."""
        return {one.writer: {"records": one.number, "hash": one.hash} for one in self.rows if one.run_id == run_id}


def open_sim_journal(*, real: bool = False) -> Journal:
    """Open a journal: a list, or (`real`) SQLite in memory, which takes longer and says the same."""
    if not real:
        return ListJournal()
    store = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    METADATA.create_all(store)
    return Journal(store, PlainRedactor(), lambda: SimDatetime.now(UTC), "memory")


def _insert(original: Callable[..., int]) -> Callable[..., int]:
    def insert(store: Any, values: dict[str, Any]) -> int:
        journal = stage().journal
        if not stage().process.journal_takes:
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))
        return journal.keep(values) if isinstance(journal, ListJournal) else original(store, values)

    return insert


def see_sources(now: Stage) -> None:
    """Record what preflight saw of the services' containers: what people approved."""
    process = Process("preflight", "one", 0, now.world, now.story)
    now.processes.append(process)
    run = now.journal.start_run(command="preflight", environment="lab", plan_digest="", operator="one", apply=False)
    for name in ("app", "store"):
        found = now.world.machines["a"].container(name)
        if found is not None:
            run.record(
                RecordKind.SOURCE_OBSERVED, service=name, body=source_body(parse_container("a", found.inspect()))
            )
    now.processes.pop()


def steps_of(phase: str) -> list[Any]:
    """Return a phase's steps in the order in which pytest runs them, each with its key and whether it is about a
    service.
    """
    if phase not in _STEPS:
        names = {"migrate": ("test_gates", "test_move"), "rollback": ("test_rollback",), "repoint": ("test_repoint",)}[
            phase
        ]
        found = []
        for name in names:
            module = importlib.import_module(f"runbooks.{phase}.{name}")
            for function in vars(module).values():
                marks = {mark.name: mark for mark in getattr(function, "pytestmark", [])}
                if inspect.isfunction(function) and function.__module__ == module.__name__ and "step" in marks:
                    severity = marks["severity"].args[0] if "severity" in marks else "blocker"
                    effect = next(one for one in Effect if one.value in marks)
                    wants = tuple(inspect.signature(function).parameters)
                    found.append(
                        SimpleNamespace(
                            key=marks["step"].args[0], run=function, severity=severity, effect=effect, wants=wants
                        )
                    )
        _STEPS[phase] = found
    return _STEPS[phase]


_STEPS: Final[dict[str, list[Any]]] = {}


def run_phase(command: Command, *, machine: str = "one") -> Outcome:
    """Run a command as a process of its own and return how it ended."""
    now = stage()
    now.runs += 1
    process = Process(f"run {now.runs}", machine, now.runs, now.world, now.story, phase=command.phase)
    now.processes.append(process)
    before, ASKING.process = ASKING.process, process
    rows: list[StepResult] = []
    before_it = now.journal._end()
    now.given_up.update(command.services if command.discard else ())
    now.story.add(f"run {now.runs} on machine {machine}: {command.text()}")
    try:
        code = _run(now, process, command, rows)
    except Killed:
        code = None
    finally:
        process.alive = False
        now.processes.pop()
        ASKING.process = before
    wrote_nothing = now.journal._end() == before_it
    lock_lost = any("the lock of this run is gone" in row.judgement.text for row in rows)
    outcome = Outcome(command, code, process.said, rows, lock_lost or not process.journal_takes or wrote_nothing)
    now.story.add(f"  run {process.run} ended: {outcome.text()}")
    return outcome


def _run(now: Stage, process: Process, command: Command, rows: list[StepResult]) -> ExitCode:
    options = Options(
        environment="lab",
        services=command.services,
        waves=(),
        apply=command.apply,
        inventory=None,
        plan=None,
        ssh_config=None,  # type: ignore[arg-type]
        argv=command.argv,
        retry=command.again,
        break_lock=command.break_lock,
        discard=command.discard,
        revert=command.undo,
        target_lost=command.target_lost,
    )
    with ExitStack() as stack:
        try:
            session = stack.enter_context(phases.session.opening.open_session(options, command.phase))
        except InputError as error:
            process.said.append(str(error))
            return ExitCode.INVALID_INPUT
        except RefusedError as error:
            process.said.append(str(error))
            return ExitCode.REFUSED
        except (NotObservedError, JournalError) as error:
            process.said.append(f"{command.phase}: not started, nothing was done\n  {error}")
            return ExitCode.INCOMPLETE
        code = _steps(now, process, command, session, rows)
        process.step = "close"
    return code


def _steps(now: Stage, process: Process, command: Command, session: Any, rows: list[StepResult]) -> ExitCode:
    unwritten = 0
    left_out = {  # asked once, before the first step, as pytest's collection does
        move.service: session.only_for_some(move.service) for move in session.scope.moves
    }
    for subject in ("all", *(move.service for move in session.scope.moves)):
        for step in steps_of(command.phase):
            if ("move" in step.wants) != (subject != "all"):
                continue
            if subject != "all" and step.key in left_out[subject]:
                continue
            process.step = f"{subject} {step.key}" if subject != "all" else step.key
            row = _step(command, session, subject, step)
            if row.judgement.passed:
                now.row_passed(now, process, session, row)
            rows.append(row)
            unwritten += _add(session.book, row)
    process.step = "end"
    session.beside.end()
    try:
        code = (
            ExitCode.NEEDS_OPERATOR
            if session.book.needs_operator()
            else exit_code(rows) or (ExitCode.INCOMPLETE if unwritten else ExitCode.OK)
        )
        session.book.close(code)
    except LongshoreError as error:
        session.book.tell_stand(str(error))
        code = ExitCode.NEEDS_OPERATOR if session.book.needs_operator() else exit_code(rows) or ExitCode.INCOMPLETE
    return code


def _add(book: Any, row: StepResult) -> int:
    """Record a row as the plugin does; return 1 when the journal did not take it."""
    try:
        book.add(row)
    except LongshoreError as error:
        book.show_unwritten(row, str(error))
        return 1
    return 0


def _step(command: Command, session: Any, subject: str, step: Any) -> StepResult:
    judge, stash = Judge(), pytest.Stash()
    stash[JUDGE] = judge
    ended = None
    session.book.begin(subject, summary_of(step.run.__doc__), 1, 1)
    try:
        given: dict[str, Any] = {"judge": judge}
        if "move" in step.wants:
            move: RunningMove = session.moves[subject]
            given["move"] = move
        if "gates" in step.wants:
            given["gates"] = session.gates
        step.run(**given)
    except Exception as error:  # noqa: BLE001 as pytest does: it becomes the step's verdict
        ended = SimpleNamespace(value=error)
    judgement: Judgement = _judgement(SimpleNamespace(stash=stash), SimpleNamespace(excinfo=ended))  # type: ignore[arg-type]
    service = subject if subject != "all" else None
    return StepResult(
        command.phase,
        step.key,
        summary_of(step.run.__doc__),
        subject,
        service,
        None,
        None,
        step.effect,
        Severity(step.severity),
        judgement,
        0.1,
    )


# what stands in for the borders


@contextmanager
def _hold_machine(_environment: str) -> Iterator[str]:
    now, process = stage(), stage().process
    process.must_live()
    token = now.tokens.get(process.machine) or f"token-{process.machine}-{next(PLAYING.numbers)}"
    now.tokens[process.machine] = token
    yield token


def _forget_token(_environment: str) -> None:
    stage().process.must_live()
    stage().tokens[stage().process.machine] = ""


def quick_json(value: Any) -> bytes:
    """Return JSON as RFC 8785 has it, but for the form of rare numbers and the order of names outside the basic plane:
    five times as fast.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


QUICK_JSON: Final = SimpleNamespace(dumps=quick_json, CanonicalizationError=ValueError)


def _hosts_with_token(_environment: str) -> tuple[str, ...]:
    return stage().carrying.get(stage().process.machine, ())


def _remember(_environment: str, token: str, hosts: Iterable[str]) -> None:
    stage().process.must_live()
    stage().tokens[stage().process.machine] = token
    stage().carrying[stage().process.machine] = tuple(dict.fromkeys(hosts))


def _record(original: Callable[..., Any]) -> Callable[..., Any]:
    def record(
        run: Any, kind: str, *, service: str | None = None, key: str | None = None, body: Any, at: Any = None
    ) -> Any:
        process = stage().process
        process.must_live()
        if kind == "undo_intent":
            process.step = f"{service} undo {key}"
        what = f"journal {kind} {key or ''}".rstrip()
        place = process.story.arrive(process, what)
        process.must_live()
        if kind == "plan_frozen" and process.phase == "migrate":  # a rollback goes by the plan that its move began with
            stage().begun(service, body)
        made = original(run, kind, service=service, key=key, body=body, at=at)
        process.story.leave(place, process, what)
        process.must_live()
        return made

    return record


class QuietProgress(Progress):
    """A progress that nobody sees."""

    def begin(self, *_: Any, **__: Any) -> None:
        """Show nothing."""

    def intend(self, *_: Any, **__: Any) -> None:
        """Show nothing."""

    def wait(self, *_: Any, **__: Any) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


class NoConsole:
    """A console that is a pipe to nowhere."""

    is_terminal = False

    def print(self, text: Any = "", *_: Any, **__: Any) -> None:
        """Keep what is printed outside the book."""
        stage().process.must_live()
        stage().outside_book.append(str(text))


@contextmanager
def _no_notification(*_: Any, **__: Any) -> Iterator[None]:
    yield


def _load_scope(options: Options, **_: Any) -> Any:
    now = stage()
    now.process.replanned = now.plans.replanned
    return scope_of(now.scenario, options.services, now.plans.replanned)


def _approved(gates: Gates) -> Judgement:
    return passed("as the model says: every plan in the files is approved")


@contextmanager
def borders() -> Iterator[None]:
    """Put the modelled borders in the place of the real ones."""
    patch = pytest.MonkeyPatch()
    session = phases.session.opening
    patch.setattr(session, "load_scope", _load_scope)
    patch.setattr(sys, "stderr", io.StringIO())
    patch.setattr(session, "load_waivers", lambda *_: Waivers())
    patch.setattr(session, "read_commit", lambda **_: "0" * 40)
    patch.setattr(session, "read_project_commit", lambda *_: "")
    patch.setattr(session, "open_journal", lambda *_: stage().journal)
    patch.setattr(session, "lock_environment", _hold_machine)
    patch.setattr(
        session, "open_hosts", lambda names, environment, _config: open_sim_hosts(stage().process, names, environment)
    )
    patch.setattr(phases.context.run_context, "sealer_of", lambda _journal: Sealer(b"model"))
    patch.setattr(phases.context.run_context, "keep_names", lambda *_: None)
    patch.setattr(session, "open_console", NoConsole)
    patch.setattr(session, "Progress", QuietProgress)
    patch.setattr(session, "notify", _no_notification)
    patch.setattr(session, "_record_files", lambda *_: None)
    patch.setattr(session, "RunRecorder", SimBook)
    patch.setattr(session, "console_redactor", PlainRedactor)
    patch.setattr(phases.context.locks, "drop_token", _forget_token)
    patch.setattr(Gates, "preflight", _approved)
    patch.setattr(Gates, "approved", _approved)
    patch.setattr(phases.context.locks, "hosts_with_token", _hosts_with_token, raising=False)
    patch.setattr(phases.context.locks, "_remember", _remember, raising=False)
    patch.setattr(engine.journal.journal.Run, "record", _record(engine.journal.journal.Run.record))
    patch.setattr(engine.journal.record, "rfc8785", QUICK_JSON)
    patch.setattr(engine.journal.journal, "insert_record", _insert(engine.journal.journal.insert_record))
    patch.setattr(Store, "replication", SimReplication())
    products: dict[str, Callable[[], Product]] = {"sim-store": Store, "sim-actor": Actor}
    for name, product in products.items():
        patch.setitem(PRODUCTS, name, product)
    try:
        yield
    finally:
        patch.undo()


__all__ = ["Outcome", "Stage", "borders", "open_sim_journal", "run_inside", "run_phase", "stage"]
