"""People get a message for start, each move, each failure and the end of what changes hosts; for a validation only
when something changed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from engine.config.scope import build_scope
from engine.i18n.language import ENGLISH, Language, language_of
from engine.redaction.redactor import Redactor, Secret
from engine.verdict import ExitCode
from hosts.local.notifications import Messenger
from phases.session.notifications import notify
from tests.fakes.project_files import make_environment, make_inventory, make_plan
from tests.fakes.run_on_record import MOVES, Night

SCOPE: Final = build_scope(make_inventory(), make_plan(), make_environment())


class Chat:
    """A room that takes messages, or does not."""

    def __init__(self, *, reachable: bool = True) -> None:
        """Open it."""
        self.reachable, self.seen = reachable, list[tuple[str, str]]()

    def deliver(self, _address: Secret, title: str, text: str) -> bool:
        """Take a message."""
        self.seen.append((title, text))
        return self.reachable

    def messenger(self, _environment: Mapping[str, str], redactor: Redactor) -> Messenger:
        """Return who brings them."""
        return Messenger((Secret("json://secret-address"),), self.deliver, redactor)


class NotifiedRun:
    """A run that sends its messages to a chat."""

    def __init__(self, path: Path, command: str, *, reachable: bool = True, language: Language = ENGLISH) -> None:
        """Begin it."""
        self.night, self.command, self.language = Night(path, command, MOVES), command, language
        self.chat, self.screen = Chat(reachable=reachable), io.StringIO()

    def __call__(self, act: Any, *, apply: bool = True) -> list[tuple[str, str]]:
        """Let `act` happen during the run and return the messages."""
        console = Console(file=self.screen, width=200)
        with notify(
            SCOPE,
            self.night.run,
            self.command,
            apply=apply,
            console=console,
            language=self.language,
            messenger=self.chat.messenger,
        ):
            act(self.night)
        return self.chat.seen

    @property
    def titles(self) -> list[str]:
        """Return what stands first in each message."""
        return [title.partition("] ")[2] for title, _ in self.chat.seen]


def move_redis(night: Night) -> None:
    """Move redis, and end."""
    night.run.record("move_state", service="redis", body={"state": "in_progress"})
    night.row()
    night.run.record("outage", service="redis", body={"seconds": 4.2, "error_bar_s": 0.1})
    night.run.record("move_state", service="redis", body={"state": "done"})
    night.run.finish({}, ExitCode.OK)


def test_a_migration_reports_start_moves_and_end(tmp_path: Path) -> None:
    """With the environment first: nobody takes the rehearsal for the night."""
    notified = NotifiedRun(tmp_path, "migrate")

    seen = notified(move_redis)

    assert notified.titles == [
        "migrate has begun",
        "redis was moved wf005 → wf001",
        "Migration of 2 services passed: 1 of 1 steps passed",
    ]
    assert seen[1][1] == f"1 of {len(SCOPE.moves)} moves are done; outage 4.2 s"
    assert all(title.startswith(f"[longshore {SCOPE.environment.environment}] ") for title, _ in seen)


def test_a_failure_is_reported_with_what_was_seen_and_done(tmp_path: Path) -> None:
    """A warning is not, nor a step that did not run."""

    def fail(night: Night) -> None:
        night.row("FAILED", "exit code 137. Undone (stop-source)", sentence="It stops.")
        night.row("FAILED", "2 s off", severity="warning")
        night.row("NOT_RUN", "not run")
        night.run.record("move_state", service="redis", body={"state": "needs_operator"})
        night.run.finish({}, ExitCode.FAILED)

    notified = NotifiedRun(tmp_path, "migrate")
    seen = notified(fail)

    assert notified.titles[1:3] == ["redis: FAILED", "redis needs a person"]
    assert seen[1][1] == "It stops.\nexit code 137. Undone (stop-source)"
    assert len(seen) == 4


def test_a_run_that_dies_is_reported(tmp_path: Path) -> None:
    """Silence is not success."""

    def die(night: Night) -> None:
        raise RuntimeError("a defect")

    notified = NotifiedRun(tmp_path, "migrate")
    with pytest.raises(RuntimeError, match="a defect"):
        notified(die)

    assert notified.titles == ["migrate has begun", "migrate stopped before its end"]


@pytest.mark.parametrize(("command", "apply"), [("migrate", False), ("prepare", False), ("preflight", False)])
def test_what_changes_nothing_is_not_reported(tmp_path: Path, command: str, *, apply: bool) -> None:
    """A dry run and a preflight are for the one who started them."""
    assert NotifiedRun(tmp_path, command)(move_redis, apply=apply) == []


def validate(verdict: str) -> Any:
    """Return a validation whose one step ends so."""

    def act(night: Night) -> None:
        night.row(verdict, "2 rows differ", key="holds", sentence="It holds.")
        night.run.finish({}, ExitCode.OK)

    return act


def test_a_validation_reports_only_a_change(tmp_path: Path) -> None:
    """The first failure, the same again (silence), its end, and a quiet night (silence)."""
    notified = NotifiedRun(tmp_path, "validate")
    lengths = []
    for verdict in ("PASSED", "FAILED", "FAILED", "PASSED", "PASSED"):
        notified(validate(verdict), apply=False)
        lengths.append(len(notified.chat.seen))
        notified.night.run = notified.night.another("validate", MOVES)

    assert lengths == [0, 1, 1, 2, 2]
    assert "1 new, 0 fixed" in notified.chat.seen[0][1]
    assert "new: redis: It holds. 2 rows differ" in notified.chat.seen[0][1]
    assert "0 new, 1 fixed" in notified.chat.seen[1][1]


def test_the_first_validation_reports_a_problem(tmp_path: Path) -> None:
    """There is nothing to compare with, and something is wrong."""
    assert len(NotifiedRun(tmp_path, "validate")(validate("UNKNOWN"), apply=False)) == 1


def test_a_chat_that_cannot_be_reached_costs_one_line(tmp_path: Path) -> None:
    """How many messages are lost and where to look, without the address."""
    notified = NotifiedRun(tmp_path, "migrate", reachable=False)

    notified(move_redis)

    assert notified.screen.getvalue() == "3 of 3 messages did not arrive. Check the addresses in LONGSHORE_NOTIFY\n"


def test_messages_speak_the_language_of_the_run(tmp_path: Path) -> None:
    """Sentences of steps, verdicts and numbers."""
    notified = NotifiedRun(tmp_path, "migrate", language=language_of("pt-BR"))

    notified(move_redis)

    assert notified.titles[1] == "redis foi migrado wf005 → wf001"
    assert "indisponível por 4,2 s" in notified.chat.seen[1][1]
