"""What to do next: the command to paste after a run, or after one of its steps that did not pass."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from engine.phases import NEXT_PHASE
from engine.secret import MARK
from engine.verdict import Verdict

FILES: Final = ("--inventory", "--plan", "--ssh-config", "--state", "--waivers")
SELECTION: Final = ("--service", "--wave")
BEGUN: Final = ("in progress", "committed", "done")
"""States in which migrate goes on where it stopped, without a new preflight."""


def next_command(about: Mapping[str, Any], row: Mapping[str, Any], state: str, *, dry_run: bool) -> str:
    """Return the command that follows a FAILED or UNKNOWN step, once its cause is mended; "" for other steps."""
    if row["verdict"] not in {Verdict.FAILED.value, Verdict.UNKNOWN.value}:
        return ""
    command, service = str(about["command"]), row["service"]
    if command != "migrate":
        return command_line(about, command, service, apply=command == "prepare" and not dry_run)
    if state == "needs person":
        return command_line(about, "status")
    look = command_line(about, "preflight", service)
    if dry_run:
        return look
    again = command_line(about, "migrate", service, apply=True)
    return again if state in BEGUN else f"{look} && {again}"


def following_command(about: Mapping[str, Any], verdict: str) -> str:
    """Return the command that follows a run as a whole: the deed after its dry run, the next phase after a pass, else ""."""
    command = str(about["command"])
    if verdict == Verdict.PLANNED.value:
        return command_line(about, command, apply=True)
    following = NEXT_PHASE.get(command)
    return command_line(about, following) if following and verdict == Verdict.PASSED.value else ""


def command_line(about: Mapping[str, Any], command: str, service: str | None = None, *, apply: bool = False) -> str:
    """Return a command in the environment of a run and with its files; for one service, or for those that the run chose."""
    environment = str(about["environment"])
    where = ["--lab"] if environment == "lab" else ["--environment", environment]
    argv = [str(argument) for argument in about.get("argv") or ()]
    chosen = ["--service", service] if service else _kept(argv, SELECTION)
    words = [*where, *chosen, *_kept(argv, FILES), *(["--apply"] if apply else [])]
    return f"nox -s {command} -- {shlex.join(words)}"


def _kept(argv: Sequence[str], flags: Sequence[str]) -> Iterable[str]:
    for position, argument in enumerate(argv):
        flag, equals, value = argument.partition("=")
        if flag in flags and (equals or position + 1 < len(argv)):
            kept = value if equals else argv[position + 1]
            yield from (flag, kept) if MARK not in kept else ()
