"""A person at a terminal sees where a run is and until when it waits; a pipe or a CI log gets plain lines alone."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from engine.i18n.language import language_of
from engine.run.progress import Progress
from phases.context.plain_progress import plain_progress


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        """Start at ten in the evening."""
        self.now = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


def progress_on(clock: Clock, *, terminal: bool, code: str = "en") -> tuple[Progress, io.StringIO]:
    """Return a progress of two services and what it printed."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=150, soft_wrap=True)
    return Progress(console, ("postgres", "redis"), language_of(code), clock), screen


def test_the_foot_line_shows_place_time_and_sentence() -> None:
    """Which service of how many, which step of how many, for how long."""
    clock = Clock()
    progress, _ = progress_on(clock, terminal=False)
    clock.now += timedelta(seconds=83)

    progress.begin("redis", "The service is ready to work on its new host.", 7, 36)

    assert (
        progress.text()
        == "service 2 of 2 · step 7 of 36 · 1 min 23 s · redis: The service is ready to work on its new host."
    )
    progress.begin("wf001", "Its Docker Engine answers.", 8, 36)
    assert progress.text() == "step 8 of 36 · 1 min 23 s · wf001: Its Docker Engine answers."


def test_it_shows_what_is_done_and_waited_for_and_until_when() -> None:
    """An action with its estimate, a wait with its deadline; the next step forgets both."""
    clock = Clock()
    progress, _ = progress_on(clock, terminal=False)
    progress.begin("redis", "Sentence.", 1, 2)

    progress.intend("copy redis-data from wf005 to wf001", 90.0)
    assert progress.text().endswith("until 22:01:30 · redis: copy redis-data from wf005 to wf001")
    progress.intend("read what redis holds", None)
    assert progress.text().endswith("redis: read what redis holds")
    progress.wait("redis on wf001", 60.0)
    assert progress.text().endswith("until 22:01:00 · redis: waiting for redis on wf001")
    progress.begin("redis", "Sentence.", 2, 2)
    assert progress.text().endswith("redis: Sentence.")


def test_it_shows_how_far_a_copy_is() -> None:
    """Bytes, rate and time left stand in the line while the copy runs, and no longer."""
    progress, _ = progress_on(Clock(), terminal=False)
    progress.begin("redis", "Sentence.", 1, 2)
    progress.intend("copy redis-data", None)

    progress.tell("412 of 2,048 MB, 96 MB/s, 17 s left")
    assert progress.text().endswith(" · 412 of 2,048 MB, 96 MB/s, 17 s left · redis: copy redis-data")

    progress.intend("compare it", None)
    assert "MB" not in progress.text()


def test_without_a_terminal_how_far_is_a_line_now_and_then() -> None:
    """One each ten seconds, however often it is called."""
    screen, now = io.StringIO(), [0.0]
    show = plain_progress("redis", screen, lambda: now[0])
    for moment in range(26):
        now[0] = float(moment)
        show(f"{moment} MB")

    assert screen.getvalue().split() == ["redis:", "10", "MB", "redis:", "20", "MB"]


def test_a_terminal_shows_it_and_is_clean_afterwards() -> None:
    """The line is drawn, and taken away at the end."""
    progress, screen = progress_on(Clock(), terminal=True)

    progress.begin("redis", "It stops.", 1, 2)
    progress.end()
    progress.end()

    assert "step 1 of 2" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")


def test_no_terminal_gets_none_of_it() -> None:
    """A log is for reading later: no spinner, no control characters."""
    progress, screen = progress_on(Clock(), terminal=False)

    progress.begin("redis", "It stops.", 1, 2)
    progress.wait("redis", 5)
    progress.end()

    assert screen.getvalue() == ""


def test_it_speaks_the_language_of_the_run() -> None:
    """Sentences of steps too; what a host says shows no control characters."""
    progress, _ = progress_on(Clock(), terminal=False, code="pt-BR")

    progress.begin("redis", "Its Docker Engine answers.", 1, 2)
    assert progress.text() == "serviço 2 de 2 · etapa 1 de 2 · 0,0 s · redis: O Docker Engine dele responde."
    progress.wait("\x1b[31m", 1.0)
    assert "até 22:00:01 · redis: aguardando \\u001b[31m" in progress.text()
