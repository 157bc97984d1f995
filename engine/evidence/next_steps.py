"""What to do next: the command to paste after a run, or after one of its steps that did not pass."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from engine.command_line import environment_words
from engine.contracts.move_state import MoveState
from engine.contracts.phase import NEXT_PHASE, TABLE
from engine.i18n.language import Language, term
from engine.journal.journal import Record
from engine.journal.kinds import RecordKind
from engine.redaction.redactor import MARK
from engine.verdict import Verdict

FILES: Final = ("--inventory", "--plan", "--ssh-config", "--lang", "--state", "--waivers", "--project")
APPLIED_AGAIN: Final = frozenset(phase.name for phase in TABLE if phase.retries_whole)
"""Writing phases that are run again once the cause of a failure is fixed."""
SELECTION: Final = ("--service", "--wave")
FORWARD: Final = frozenset(state.value for state in MoveState if state.is_forward)
"""From these states migrate continues without a new preflight."""

OPEN_ENDS: Final = {
    MoveState.UNDONE.value: term("was undone; its old host has it"),
    MoveState.IN_PROGRESS.value: term("is partly done and has not been undone"),
    MoveState.COMMITTED.value: term("is committed: its new host serves, some steps are left"),
    MoveState.NEEDS_OPERATOR.value: term("needs a person: its undo could not finish"),
    MoveState.ROLLING_BACK.value: term("rollback in progress"),
    MoveState.RETURNED.value: term("is back: its old host serves, some steps are left"),
}
"""The words for the state of a move that did not end."""

ENDED: Final = frozenset({MoveState.DONE.value, MoveState.ROLLED_BACK.value})
RETURNING: Final = frozenset(state.value for state in MoveState if state.is_returning)


def next_command(about: Mapping[str, Any], row: Mapping[str, Any], state: str, *, dry_run: bool) -> str:
    """Return the command that follows a FAILED or UNKNOWN step, once its cause is repaired; "" for other steps."""
    if row["verdict"] not in {Verdict.FAILED.value, Verdict.UNKNOWN.value}:
        return ""
    command, service = str(about["command"]), row["service"]
    if command != "migrate":
        return command_line(about, command, service, apply=command in APPLIED_AGAIN and not dry_run)
    if state == MoveState.NEEDS_OPERATOR:
        return command_line(about, "status")
    look = command_line(about, "preflight", service)
    if dry_run:
        return look
    again = command_line(about, "migrate", service, apply=True)
    return again if state in FORWARD else f"{look} && {again}"


def following_command(about: Mapping[str, Any], verdict: str) -> str:
    """Return the command that follows a run as a whole: the action after its dry run, the next phase after a pass, else
    "".
    """
    command = str(about["command"])
    if verdict == Verdict.PLANNED.value:
        return command_line(about, command, apply=True)
    following = NEXT_PHASE.get(command)
    return command_line(about, following) if following and verdict == Verdict.PASSED.value else ""


def command_line(about: Mapping[str, Any], command: str, service: str | None = None, *, apply: bool = False) -> str:
    """Return a command in the environment of a run and with its files; for one service, or for those that the run
    chose.
    """
    argv = [str(argument) for argument in about.get("argv") or ()]
    chosen = ["--service", service] if service else _kept(argv, SELECTION)
    words = [
        *environment_words(str(about["environment"])),
        *chosen,
        *_kept(argv, FILES),
        *(["--apply"] if apply else []),
    ]
    return f"nox -s {command} -- {shlex.join(words)}"


def where_words(environment: str, argv: Sequence[str]) -> str:
    """Return the flags that each command about a run needs: its environment, and the files it was given."""
    return shlex.join([*environment_words(environment), *_kept(argv, FILES)])


def _kept(argv: Sequence[str], flags: Sequence[str]) -> Iterable[str]:
    for position, argument in enumerate(argv):
        flag, equals, value = argument.partition("=")
        if flag in flags and (equals or position + 1 < len(argv)):
            kept = value if equals else argv[position + 1]
            yield from (flag, kept) if MARK not in kept else ()


def ways_on(records: Sequence[Record], language: Language) -> Iterator[str]:
    """Yield, after Ctrl-C, the state of each move that was begun, and the commands that continue it or take it back."""
    about, say = records[0].body, language.say
    states = {
        str(record.service): str(record.body["state"]) for record in records if record.kind == RecordKind.MOVE_STATE
    }
    proofs = {
        str(record.service): language.text_of(record.body)
        for record in records
        if record.kind == RecordKind.SOURCE_VERIFIED
    }
    is_open = any(state not in ENDED for state in states.values())
    yield (
        say("interrupted: nothing more will run.")
        if is_open
        else say("interrupted: nothing more will run, and no move is partly done.")
    )
    yield from stands_of(about, states, language, proofs)
    yield say(
        "to resume where this run stopped: {command}",
        command=command_line(about, str(about["command"]), apply=bool(about.get("apply"))),
    )


def stands_of(
    about: Mapping[str, Any], states: Mapping[str, str], language: Language, proofs: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield the state of each move that did not end, and the commands that continue it or take it back."""
    for service, state in states.items():
        if state in OPEN_ENDS:
            proof = (proofs or {}).get(service, "")
            yield f"  {service}: {language.say(OPEN_ENDS[state])}" + (f" ({proof})" if proof else "")
            yield from (f"    {line}" for line in _ways_of(about, service, state, language))


def _ways_of(about: Mapping[str, Any], service: str, state: str, language: Language) -> Iterator[str]:
    say = language.say
    forward, back = (command_line(about, command, service, apply=True) for command in ("migrate", "rollback"))
    if state == MoveState.UNDONE:
        yield say("to move it again: {command}", command=forward)
    elif state == MoveState.NEEDS_OPERATOR:
        yield say("to see what is left to do: {command}", command=command_line(about, "status"))
        yield say("to resume its undo: {command}", command=back)
    elif state in RETURNING:
        yield say("to resume: {command}", command=back)
    else:
        yield say("to resume: {command}", command=forward)
        yield say("to take it back: {command}", command=back)
