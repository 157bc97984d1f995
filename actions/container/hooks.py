"""Hooks: a command of the operator's own, run on a host at a fixed place of a move, with a deadline."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Final

from actions.common.base_action import RouteAction
from engine.config.inventory import Hook
from engine.contracts.action import Note
from engine.contracts.container import CommandResult
from engine.errors import ActionError, ManualInterventionError
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from hosts.coordination.fencing import change

LONGEST_TAIL: Final = 2000
"""So many characters of what it said are kept, with secrets replaced as everywhere."""


@dataclass(frozen=True)
class RunHook(RouteAction):
    """One hook of a service on one host; it must bear being run twice: a resume repeats one whose end is
    not on record.
    """

    key: str
    host: str
    hook: Hook

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "{host}: run {argv}, within {timeout_s:g} s",
            host=self.host,
            argv=shlex.join(self.hook.argv),
            timeout_s=self.hook.timeout_s,
        )

    def estimate_s(self) -> float | None:
        """Return its deadline: nobody knows better."""
        return self.hook.timeout_s

    def do(self, note: Note) -> None:
        """Run it; raise ActionError when it does not end with 0."""
        answer = self._run(self.hook.argv, self.describe())
        note.update({"exit_code": answer.exit_code, "said": _tail(answer)})
        if answer.exit_code:
            raise ActionError(
                say(
                    "{host}: {argv} ended with {exit_code}: {tail}. Expected: 0. Try: ssh {host} {argv}",
                    host=self.host,
                    argv=shlex.join(self.hook.argv),
                    exit_code=answer.exit_code,
                    tail=_tail(answer) or say("it said nothing"),
                )
            )

    def verify(self, note: Note) -> Judgement:
        """Judge whether it ended with 0; what it did only its owner can judge."""
        command = f"{self.host}: {shlex.join(self.hook.argv)}"
        if note.get("exit_code") != 0:
            return failed(say("{command} is not known to have ended with 0", command=command))
        said: Any = note.get("said")
        return passed(say("{command} ended with 0{said}", command=command, said=f": {said}" if said else ""))

    def undo(self, note: Note) -> None:  # noqa: ARG002 the contract of Action
        """Run what undoes it, if the inventory names that."""
        argv = self.hook.undo_argv
        if not argv:
            return
        answer = self._run(argv, f"{self.host}: undo it: {shlex.join(argv)}")
        if answer.exit_code:
            raise ManualInterventionError(
                say(
                    "{host}: {argv} ended with {exit_code}: {tail}. Run it by hand: ssh {host} {argv}",
                    host=self.host,
                    argv=shlex.join(argv),
                    exit_code=answer.exit_code,
                    tail=_tail(answer),
                )
            )

    def _run(self, argv: tuple[str, ...], doing: str) -> CommandResult:
        self.route.audit(self.host, self.key, doing)
        return change(self.route.fleet, self.host, list(argv), timeout_s=self.hook.timeout_s, held=True)


def _tail(answer: CommandResult) -> str:
    return f"{answer.text.strip()}\n{answer.error_text}".strip()[-LONGEST_TAIL:]
