"""A hook runs where and when the inventory says, within its deadline; its failure stops the move, its end
is on record.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from actions.common.route import Route
from actions.container.hooks import RunHook
from engine.config.inventory import Hook, ServiceEntry
from engine.contracts.container import CommandResult
from engine.errors import ActionError, DeadlineError, ManualInterventionError
from hosts.coordination.fencing import fenced
from tests.fakes.fleet import FakeFleet
from tests.fakes.project_files import INVENTORY


class Host:
    """A host with given answers that remembers what was run."""

    def __init__(self, exit_code: int = 0, out: bytes = b"") -> None:
        """Answer with this."""
        self.exit_code, self.out, self.ran = exit_code, out, list[tuple[list[str], float]]()
        self.error: Exception | None = None

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run."""
        self.ran.append((argv, timeout_s))
        if self.error:
            raise self.error
        return CommandResult(tuple(argv), self.exit_code, self.out, b"", 0.1)


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is written into audit logs."""
    lines: list[Any] = []
    monkeypatch.setattr("actions.common.route.append_audit", lambda _host, record, **_: lines.append(record))
    return lines


def hook_on(host: Host, **hook: Any) -> RunHook:
    """Return a hook that quiesces an application on the source."""
    route = Route(FakeFleet({"wf005": host}, token="t"), "redis", "redis", "wf005", "wf001", "lab/redis/1")  # type: ignore[arg-type]
    return RunHook(route, "before-hold", "wf005", Hook(argv=("/usr/local/bin/drain", "--app", "shop floor"), **hook))


def test_it_is_said_in_a_dry_run() -> None:
    """Where, what, and how long at most."""
    hook = hook_on(Host(), timeout_s=30)

    assert hook.describe() == "wf005: run /usr/local/bin/drain --app 'shop floor', within 30 s"
    assert hook.estimate_s() == 30


def test_it_runs_once_and_its_end_is_noted(audited: list[Any]) -> None:
    """Written down first; what it said stands in the evidence."""
    host, note = Host(out=b"3 drained\n"), dict[str, Any]()
    hook = hook_on(host, timeout_s=30)
    hook.do(note)

    assert host.ran == [(fenced(["/usr/local/bin/drain", "--app", "shop floor"], "t", timeout_s=30), 30)], (
        "the host runs it under its fence"
    )
    assert audited[0]["text"] == hook.describe()
    assert hook.verify(note).passed
    assert hook.verify(note).text == "wf005: /usr/local/bin/drain --app 'shop floor' ended with 0: 3 drained"


def test_a_hook_that_fails_stops_the_move(audited: list[Any]) -> None:
    """With what it said and the command to try."""
    hook, note = hook_on(Host(3, b"no such app")), dict[str, Any]()

    with pytest.raises(
        ActionError,
        match=r"ended with 3: no such app. Expected: 0. Try: ssh wf005 /usr/local/bin/drain --app 'shop floor'",
    ):
        hook.do(note)

    assert not hook.verify(note).passed


def test_one_that_hangs_is_given_up(audited: list[Any]) -> None:
    """Its deadline ends it; whether it was done is not known, so a resume runs it again."""
    host, note = Host(), dict[str, Any]()
    host.error = DeadlineError("wf005: drain did not end within 30 s")

    with pytest.raises(DeadlineError):
        hook_on(host).do(note)

    assert not hook_on(host).verify(note).passed


def test_its_undo_is_run_when_there_is_one(audited: list[Any]) -> None:
    """Without one nothing is done; one that fails is left to a person with its command."""
    host = Host()
    hook_on(host).undo({})
    assert host.ran == []

    hook_on(host, undo_argv=("/usr/local/bin/undrain",)).undo({})
    assert host.ran[0][0] == fenced(["/usr/local/bin/undrain"], "t", timeout_s=host.ran[0][1])

    host.exit_code = 1
    with pytest.raises(ManualInterventionError, match="Run it by hand: ssh wf005 /usr/local/bin/undrain"):
        hook_on(host, undo_argv=("/usr/local/bin/undrain",)).undo({})


@pytest.mark.parametrize(
    "hook", [{"argv": []}, {"argv": ["x"], "timeout_s": 0}, {"argv": ["x"], "timeout_s": 9000}, {"argv": "drain --all"}]
)
def test_a_hook_without_words_or_deadline_is_wrong_input(hook: dict[str, Any]) -> None:
    """A command is a list of words, so that no shell splits it; a hook never lasts longer than a quarter of an hour."""
    with pytest.raises(ValidationError):
        ServiceEntry.model_validate({**INVENTORY["services"]["redis"], "hooks": {"before_hold": hook}})
