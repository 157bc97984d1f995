"""Gates: what must hold before a move that has not begun may begin. They guard the way in, never the way out.

A move that has begun, its undo and a rollback need only the lock: what a gate would have said is shown and recorded.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.config.scope import Scope
from engine.contracts.move_state import MoveState
from engine.contracts.phase import WRITING_PHASES
from engine.errors import RefusedError
from engine.finding import joined, say
from engine.journal.journal import Journal, Record
from engine.journal.kinds import RecordKind
from engine.project import project_folder
from engine.sharding.merged_run import STEP, counted
from engine.verdict import Judgement, Severity, Verdict, failed, passed
from hosts.local.git import is_committed
from phases.context.attempt import read_past
from phases.context.frozen_plan import hosts_agree
from phases.context.link_state import has_begun, in_the_way, links_to_rewrite, repoint_command
from phases.context.required_results import first_missing, missing_rows
from phases.signoff.approvals import code_digest, judge_plan_approved
from phases.signoff.signatures import CLOCKS_APART

GOOD: Final = {Verdict.PASSED.value, Verdict.WAIVED.value}
BAD: Final = {Verdict.FAILED.value, Verdict.UNKNOWN.value}
UNMOVED: Final = {MoveState.PLANNED, MoveState.UNDONE}
GUARDED: Final = "migrate"
ROLLBACK: Final = "rollback"
REPOINT: Final = "repoint"
NOTHING_DONE: Final = say("refused, nothing was done")
SHOWN_COMMIT: Final = 12


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Gates:
    """The gates of one run over what the journal and the files say; hosts are not asked.

    `outside_window` is the operator's reason, `again` the services that may start after a rollback, `commit` the
    checkout's (with "+changes" when it is not what was committed), `project_commit` that of the project where it has a
    checkout of its own.
    """

    scope: Scope
    journal: Journal
    commit: str
    outside_window: str | None = None
    again: frozenset[str] = frozenset()
    undo: bool = False
    project_commit: str = ""
    clock: Callable[[], datetime] = _now

    def check(self, command: str) -> None:
        """Raise RefusedError when `command` must not change hosts now; nothing was done then."""
        if command == ROLLBACK:
            self._check_rollback()
        if command == REPOINT and not self.undo:
            self._check_repoint()
        if command != GUARDED:
            return
        answers = [ask() for ask in (self.state, self.preflight, self.approved, self.window, self.tree)]
        wrong = [line for answer in answers if not answer.passed for line in answer.details or (answer.text,)]
        if wrong:
            raise RefusedError(
                joined(
                    "\n",
                    [
                        say("{phase}: {nothing_done}", phase=command, nothing_done=NOTHING_DONE),
                        *(say("  {line}", line=line) for line in wrong),
                        say("Try: {next}", next=self._next(answers)),
                    ],
                )
            )

    def _check_rollback(self) -> None:
        states = {move.service: read_past(self.journal, move.service).settled for move in self.scope.moves}
        wrong = [
            say("{service}: is {words}; there is nothing to bring back", service=service, words=state.words)
            for service, state in states.items()
            if state in UNMOVED
        ]
        if wrong:
            refused = joined(
                "\n",
                [
                    say("{phase}: {nothing_done}", phase=ROLLBACK, nothing_done=NOTHING_DONE),
                    *(say("  {line}", line=line) for line in wrong),
                ],
            )
            raise RefusedError(say("{refused}\nTry: {command}", refused=refused, command=self.scope.command("status")))
        self._refuse_repointed(states)

    def _refuse_repointed(self, services: Iterable[str]) -> None:
        """Raise RefusedError when dependants use the addresses that a rollback would take from them."""
        pointed = {name: owners for name in services if (owners := in_the_way(self.scope, self.journal, name))}
        if pointed:
            pointing = [
                say(
                    "  {name}: references to {owners} are re-pointed; they would lead nowhere",
                    name=name,
                    owners=", ".join(owners),
                )
                for name, owners in pointed.items()
            ]
            ways = dict.fromkeys(
                repoint_command(self.scope, owner, undo=True) for owners in pointed.values() for owner in owners
            )
            advice = say(
                "Put them back first (of a dead host with the same --target-lost): {ways}", ways=joined(" && ", ways)
            )
            raise RefusedError(
                joined(
                    "\n", [say("{phase}: {nothing_done}", phase=ROLLBACK, nothing_done=NOTHING_DONE), *pointing, advice]
                )
            )

    def _check_repoint(self) -> None:
        """Raise RefusedError when references must not begin to be rewritten; what has begun continues."""
        new = tuple(move.service for move in self.scope.moves if not has_begun(self.journal, move.service))
        if not new:
            return
        approvals = judge_plan_approved(self.scope, self.journal, new)
        moved = [
            name
            for name in new
            if read_past(self.journal, name).state is not MoveState.DONE and links_to_rewrite(self.scope, name)
        ]
        wrong = [
            *(
                say(
                    "{name}: is not moved yet. Expected: done. Move it: {command}",
                    name=name,
                    command=self.scope.command("migrate", service=name, apply=True),
                )
                for name in moved
            ),
            *approvals.problems,
            *self._window_problems(),
            *self._tree_problems(),
        ]
        if wrong:
            raise RefusedError(
                joined(
                    "\n",
                    [
                        say("{phase}: {nothing_done}", phase=REPOINT, nothing_done=NOTHING_DONE),
                        *(say("  {line}", line=line) for line in wrong),
                        say("Try: {command}", command=self.scope.command("status")),
                    ],
                )
            )

    def state(self) -> Judgement:
        """Judge whether each move is in a state that it can start from."""
        stuck: list[str] = []
        for service in (move.service for move in self.scope.moves):
            state = MoveState(self.journal.move_state(service))
            if state.is_returning:  # --retry does not help: clients may have written to either side
                stuck.append(
                    say(
                        "{service}: is being rolled back. Finish that first: {command}",
                        service=service,
                        command=self.scope.command("rollback", service=service, apply=True),
                    )
                )
            elif service in self.again:
                continue
            elif state is MoveState.NEEDS_OPERATOR:
                stuck.append(
                    say(
                        "{service}: {words}: look at its last evidence, then continue its undo: {command}; or repair "
                        "it by hand, then --retry {service}",
                        service=service,
                        words=state.words,
                        command=self.scope.command("rollback", service=service, apply=True),
                    )
                )
            elif state is MoveState.ROLLED_BACK:
                again = self.scope.command("migrate", "--retry", service, service=service, apply=True)
                stuck.append(say("{service}: was rolled back. To move it again: {again}", service=service, again=again))
        return _judged(stuck, say("{count} moves can start or continue", count=len(self.scope.moves)))

    def preflight(self) -> Judgement:
        """Judge whether each move that has not begun has a preflight of exactly this plan that passed, lately."""
        return self._of_new_moves(
            say("a preflight passed"),
            lambda new: [
                line for service in new for line in preflight_problems(service, self.scope, self.journal, self.clock())
            ],
        )

    def approved(self) -> Judgement:
        """Judge whether the people whom the plan names signed it as everything is now."""
        new = (*self.new_moves(), *self._begun_by_hearsay())
        if not new:
            return self._of_new_moves("", lambda _: [])
        approvals = judge_plan_approved(self.scope, self.journal, new)
        return _judged(
            approvals.problems,
            say("approved by {approvals}", approvals=approvals.text())
            if approvals.valid
            else say("nobody is asked to approve in the lab"),
        )

    def window(self) -> Judgement:
        """Judge whether it is time."""
        problems = self._window_problems()
        if self.outside_window and not self._is_inside():
            return passed(
                say(
                    'outside the window of {window}, because "{outside_window}"',
                    window=self._window_text(),
                    outside_window=self.outside_window,
                )
            )
        return self._of_new_moves(say("inside the window of {window}", window=self._window_text()), lambda _: problems)

    def _window_problems(self) -> list[str]:
        window, now = self.scope.window, self.clock()
        if self.outside_window or self._is_inside():
            return []
        if window.status != "agreed":
            return [
                say(
                    'window: {window} is only {status}. Expected: status "agreed", once the stakeholders said so',
                    window=self._window_text(),
                    status=window.status,
                )
            ]
        what = say("has not begun") if now < window.starts_at else say("is over")
        at = now.astimezone(window.starts_at.tzinfo)
        return [
            say(
                'window: {window} {what}; it is {at}. To continue: --outside-window "reason"',
                window=self._window_text(),
                what=what,
                at=f"{at:%Y-%m-%d %H:%M}",
            )
        ]

    def _is_inside(self) -> bool:
        window = self.scope.window
        return window.status == "agreed" and window.starts_at <= self.clock() < window.ends_at

    def _window_text(self) -> str:
        return say(
            "{starts_at} to {ends_at}",
            starts_at=f"{self.scope.window.starts_at:%Y-%m-%d %H:%M}",
            ends_at=f"{self.scope.window.ends_at:%Y-%m-%d %H:%M %z}",
        )

    def tree(self) -> Judgement:
        """Judge whether the runbooks that run are those that were committed; approvals may be newer."""
        return self._of_new_moves(
            say("runbooks of commit {commit}", commit=self.commit[:SHOWN_COMMIT]), lambda _: self._tree_problems()
        )

    def _tree_problems(self) -> list[str]:
        if not self.scope.environment.require_clean_checkout:
            return []
        problems = [] if is_committed(self.commit) else [_checkout_problem(say("checkout"), "git", self.commit)]
        if self.project_commit and not is_committed(self.project_commit):
            problems.append(
                _checkout_problem(say("project"), f"git -C {shlex.quote(str(project_folder()))}", self.project_commit)
            )
        return problems

    def new_moves(self) -> tuple[str, ...]:
        """Return the services whose move has not begun."""
        return tuple(
            move.service for move in self.scope.moves if not MoveState(self.journal.move_state(move.service)).is_forward
        )

    def _begun_by_hearsay(self) -> tuple[str, ...]:
        """Return the services that have begun by the word of one host alone (adopt): no host opens the way past those
        who approve.
        """
        begun = (move for move in self.scope.moves if MoveState(self.journal.move_state(move.service)).is_forward)
        return tuple(
            move.service
            for move in begun
            if (state := self.journal.last(RecordKind.MOVE_STATE, service=move.service)) is not None
            and hosts_agree(state, move) is False
        )

    def _of_new_moves(self, good: str, problems: Callable[[tuple[str, ...]], list[str]]) -> Judgement:
        new = self.new_moves()
        if not new:
            begun = ", ".join(move.service for move in self.scope.moves)
            return passed(
                say("skipped: {begun} has already started; gates apply only before a move starts", begun=begun)
            )
        return _judged(problems(new), good)

    def _next(self, answers: list[Judgement]) -> str:
        if not answers[1].passed:
            return self.scope.command("preflight")
        return self.scope.command("approve" if not answers[2].passed else "status")


def _checkout_problem(what: str, git: str, commit: str) -> str:
    if commit.endswith("+changes"):
        return say(
            "{what}: files differ from the commit. Expected: what runs is what was reviewed. Look: {git} status "
            "--ignored",
            what=what,
            git=git,
        )
    return say(
        "{what}: git did not report whether it is what was committed ({commit}). Expected: a clean checkout. Look: "
        "{git} status",
        what=what,
        commit=commit,
        git=git,
    )


def _judged(problems: list[str], good: str) -> Judgement:
    return failed(say("{problems}", problems=joined("; ", problems)), tuple(problems)) if problems else passed(good)


def preflight_problems(service: str, scope: Scope, journal: Journal, now: datetime) -> list[str]:
    """Return why the preflight on record is not enough for a move.

    That is: none, cut off, another plan's, of other runbooks, too old or of the future, without a row that the runbooks
    have, or not passed. So is one after a preparation that failed: what it should have made ready is not. So is a
    journal that lost records: the preflight that failed may be among them.
    """
    if lost := journal.lost_records():
        return [
            say(
                "{service}: journal: {lost}. Expected: all that was written. Put back a copy of {where}, or run "
                "preflight with a new one",
                service=service,
                lost=lost,
                where=journal.where,
            )
        ]
    run, ended = _last_run(service, journal, "preflight")
    if not run:
        return [say("{service}: no preflight on record. Expected: one that PASSED", service=service)]
    about, rows = run[0], _rows_about(service, run)
    if lacking := [row.body["text"] for row in rows if row.key == STEP]:
        return [
            say("{service}: preflight of {at} is not whole: {text}", service=service, at=about.at[:16], text=text)
            for text in lacking
        ]
    if not ended:
        return [
            say(
                "{service}: preflight of {at} was killed after {count} rows. Expected: one that ran to its end",
                service=service,
                at=about.at[:16],
                count=len(rows),
            )
        ]
    if unfit := _unfit(about, scope, now):
        return [f"{service}: {unfit}"]
    missing = missing_rows("preflight", service, scope, run)
    lines: list[str] = (
        [
            say(
                "{service}: preflight of {at} has no row {missing}. Expected: a row of every step. Run it again",
                service=service,
                at=about.at[:16],
                missing=first_missing(missing),
            )
        ]
        if missing
        else []
    )
    blocking = [row for row in rows if row.body["severity"] == Severity.BLOCKER.value]
    lines += [
        say("{service}: preflight {key} {problem}", service=service, key=row.key, problem=problem)
        for row in blocking
        if (problem := _not_good(row, now))
    ]
    failed_before = _failed_preparation(service, journal)
    return lines + [
        say(
            "{service}: prepare {key} is {verdict}: {text}",
            service=service,
            key=row.key,
            verdict=row.body["verdict"],
            text=row.body["text"][:160],
        )
        for row in failed_before
    ]


def _unfit(about: Record, scope: Scope, now: datetime) -> str:
    """Return why a preflight is not one of this plan, by these runbooks, of the last hours."""
    age = now - datetime.fromisoformat(about.at)
    if about.body["plan_digest"] != scope.digest:
        return say(
            "preflight of {at} was for plan {plan_digest}. Expected: {digest}; files changed",
            at=about.at[:16],
            plan_digest=about.body["plan_digest"][:12],
            digest=scope.digest[:12],
        )
    if age < -CLOCKS_APART:
        return say(
            "preflight is of {at} UTC, and it is {now} now. Expected: not of the future; a clock was wrong",
            at=about.at[:16],
            now=f"{now.astimezone(UTC):%Y-%m-%dT%H:%M}",
        )
    if age > timedelta(hours=scope.plan.evidence_max_age_h):
        return say(
            "preflight is {age:.1f} h old. Expected: at most {evidence_max_age_h:g} h",
            age=age.total_seconds() / 3600,
            evidence_max_age_h=scope.plan.evidence_max_age_h,
        )
    code = code_digest(scope.environment.own_checks) if scope.environment.require_clean_checkout else ""
    if code and about.body.get("code") != code:
        seen = str(about.body.get("code") or say("not recorded"))[:SHOWN_COMMIT]
        return say(
            "preflight of {at} was made by other code ({seen}). Expected: {code}, the code that runs now",
            at=about.at[:16],
            seen=seen,
            code=code[:SHOWN_COMMIT],
        )
    return ""


def _failed_preparation(service: str, journal: Journal) -> list[Record]:
    """Return the rows of the newest preparation of a service that FAILED or are UNKNOWN; a person who has not attested
    yet is no failure.
    """
    run, _ = _last_run(service, journal, "prepare")
    return [
        row
        for row in _rows_about(service, run)
        if row.body["severity"] == Severity.BLOCKER.value and row.body["verdict"] in BAD
    ]


def _not_good(row: Record, now: datetime) -> str:
    """Return why a row closes the gate, also one that was good only because of a waiver that no longer holds."""
    waiver = row.body.get("waiver") or {}
    if row.body["verdict"] not in GOOD:
        return say("is {verdict}: {text}", verdict=row.body["verdict"], text=row.body["text"][:160])
    return (
        say("is WAIVED, but only until {expires_at}", expires_at=waiver["expires_at"])
        if waiver and datetime.fromisoformat(waiver["expires_at"]) <= now
        else ""
    )


def _last_run(service: str, journal: Journal, phase: str) -> tuple[list[Record], bool]:
    """Return the newest run of a phase that looked at this service, or was about to, and whether it ended; a dry run
    looked at nothing.
    """
    planned = Verdict.PLANNED.value
    steps = [
        row
        for row in journal.records(kind=RecordKind.RESULT, service=service)
        if row.body["phase"] == phase and row.body["verdict"] != planned
    ]
    asked = {row.run_id for row in steps} | {
        record.run_id for record in journal.records(kind=RecordKind.SCOPE) if _is_about(record, service)
    }
    starts = [
        run
        for run in journal.records(kind=RecordKind.RUN_STARTED)
        if run.body.get("command") == phase and run.run_id in asked
    ]
    looked = [run for run in starts if phase not in WRITING_PHASES or run.body.get("apply") is not False]
    newest = max(looked, key=lambda run: run.seq, default=None)
    if newest is None:
        return [], False
    run = counted(journal.records(run_id=newest.run_id))
    return run, run[-1].kind == RecordKind.RUN_ENDED


def _is_about(scope: Record, service: str) -> bool:
    return any(move.get("service") == service for move in scope.body.get("moves") or ())


def _rows_about(service: str, run: Iterable[Record]) -> list[Record]:
    """Return the rows of a service, and those of hosts and of all together."""
    return [row for row in run if row.kind == RecordKind.RESULT and row.service in {service, None}]
