"""Rows of the evidence page: ten thousand steps become a page, compared with plain pytest-html on the same rows.

The limits are absolute: what a person waits for. The peer's figures are next to them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event

from bench.row import Row, median_and_spread, seconds
from engine.errors import ActionError
from engine.evidence.page.html import render
from engine.evidence.page.page import view_of
from engine.journal.journal import Journal, Run
from engine.journal.kinds import RecordKind
from engine.redaction.redactor import Redactor
from engine.verdict import ExitCode

ROWS: Final = 10_000
SERVICES: Final = 13
RUNS: Final = 3
PEER: Final = "pytest-html"
MEGABYTE: Final = 1_000_000
SEARCHES: Final = ("q", "question 7", "question 77", "", "service-03", "round 5", "")
BROWSER: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--disable-background-networking",
)

PAINT: Final = """() => new Promise(done => new PerformanceObserver(list => {
  const found = list.getEntries().find(one => one.name === "first-contentful-paint"); if (found) done(found.startTime);
}).observe({type: "paint", buffered: true}))"""

FRAME: Final = "const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));"
OURS: Final = f"""async words => {{ {FRAME} const query = document.getElementById("q"), taken = [];
  for (const word of words) {{ await frame(); const start = performance.now(); query.value = word;
    query.dispatchEvent(new Event("input", {{bubbles: true}})); await frame(); taken.push(performance.now() - start); }}
  return Math.max(...taken); }}"""
THEIRS: Final = f"""async () => {{ {FRAME}
  const boxes = [...document.querySelectorAll("input.filter:not([disabled])")], taken = [];
  for (const box of [...boxes, ...boxes]) {{ await frame(); const start = performance.now(); box.click();
    await frame(); taken.push(performance.now() - start); }}
  return Math.max(...taken); }}"""

MODULE: Final = '''
import pytest
@pytest.mark.parametrize("number", range({rows}))
def test_question(number):
    """Question about the service has its right answer."""
    print(f"{{number}} of {{number}} rows are as they were, looked at in round {{number % 37}}")
    assert number % 500 != 7, "the first of them, the second of them"
'''


@dataclass(frozen=True)
class Pages:
    """Both pages of the same rows, and how long each took to make."""

    ours: Path
    theirs: Path
    ours_s: tuple[float, ...]
    theirs_s: float


@dataclass(frozen=True)
class Seen:
    """What a browser measured of a page: seconds to the first paint, milliseconds of the slowest filter."""

    paint_s: float
    filter_ms: float


def report_10k() -> Row:
    """Measure how long a journal of ten thousand rows takes to become a page."""
    pages = _pages()
    return _row(
        "report-10k",
        "a journal of 10,000 rows becomes a page",
        median_and_spread(list(pages.ours_s)),
        pages.theirs_s,
        ("s", 3),
    )


def report_10k_bytes() -> Row:
    """Measure the size of that page."""
    pages = _pages()
    ours, theirs = (file.stat().st_size / MEGABYTE for file in (pages.ours, pages.theirs))
    return _row("report-10k-bytes", "the size of that page", (ours, 0.0), theirs, ("MB", 5))


def report_10k_paint() -> Row:
    """Measure when a browser first shows something of it."""
    ours, theirs = _seen()
    figures = median_and_spread([one.paint_s for one in ours])
    return _row("report-10k-paint", "first contentful paint of that page", figures, theirs.paint_s, ("s", 1))


def report_10k_filter() -> Row:
    """Measure the slowest of several searches, from the letter to the picture."""
    ours, theirs = _seen()
    figures = median_and_spread([one.filter_ms for one in ours])
    return _row(
        "report-10k-filter",
        "the slowest filter of that page, from input to picture",
        figures,
        theirs.filter_ms,
        ("ms", 100),
    )


def _row(name: str, work: str, ours: tuple[float, float], theirs: float, limit: tuple[str, float]) -> Row:
    """Return a row from our median and spread, the peer's figure, and the unit with its limit."""
    (middle, spread), (unit, goal) = ours, limit
    return Row(name, work, PEER, middle, theirs, unit, goal, "less", RUNS if spread else 1, spread, absolute=True)


@cache
def _pages() -> Pages:
    """Make both pages once for all rows of this process; the folder is removed when it ends with the machine's
    temporary files.
    """
    folder = Path(tempfile.mkdtemp(prefix="longshore-bench-"))
    run = _many_rows(folder)
    ours, theirs = folder / "ours.html", folder / "theirs.html"
    drawn = tuple(
        seconds(lambda: ours.write_text(render(view_of(run.journal, run.id)), encoding="utf-8")) for _ in range(RUNS)
    )
    module = folder / "test_rows.py"
    module.write_text(MODULE.format(rows=ROWS), encoding="utf-8")
    bare = seconds(lambda: _pytest(module))
    with_page = seconds(lambda: _pytest(module, f"--html={theirs}", "--self-contained-html"))
    return Pages(ours, theirs, drawn, max(with_page - bare, 0.0))


def _many_rows(folder: Path) -> Run:
    """Return a validation of ten thousand steps; its journal does not wait for the disk, since that is not what is
    measured.
    """
    journal = Journal.open(folder / "bench.sqlite", redactor=Redactor())
    event.listen(journal.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    journal.engine.dispose()
    about: dict[str, Any] = {
        "environment": "lab",
        "plan_digest": "d" * 64,
        "operator": "bench",
        "version": "0",
        "commit": "0",
        "argv": [],
    }
    run = journal.start_run(command="validate", **about)
    services = [f"service-{number:02d}" for number in range(SERVICES)]
    moves = [
        {"service": one, "source": "wf005", "target": "wf001", "wave": "critical", "strategy": "stop_copy"}
        for one in services
    ]
    run.record(RecordKind.SCOPE, body={"title": "Ten thousand steps", "moves": moves, "simulated": []})
    for number in range(ROWS):
        service = services[number % SERVICES]
        run.record(
            RecordKind.RESULT, service=service, key=f"question-{number // SERVICES}", body=_step(number, service)
        )
    run.finish({}, ExitCode.FAILED)
    return run


def _step(number: int, service: str) -> dict[str, Any]:
    wrong = number % 500 == 7  # noqa: PLR2004 twenty of ten thousand
    return {
        "phase": "validate",
        "sentence": f"Question {number // SERVICES} about the service has its right answer.",
        "subject": service,
        "service": service,
        "host": None,
        "wave": "critical",
        "effect": "read_only",
        "severity": "blocker",
        "verdict": "FAILED" if wrong else "PASSED",
        "text": f"{number} of {number} rows are as they were, looked at in round {number % 37}",
        "measured": {"rows": number},
        "details": ["the first of them", "the second of them"] if wrong else [],
        "duration_s": number % 97 / 10,
    }


def _pytest(module: Path, *flags: str) -> None:
    """Run the peer's rows; their failures are meant."""
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--no-header",
        "--no-summary",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(module.parent),
        *flags,
    ]
    answer = subprocess.run([*argv, str(module)], capture_output=True, text=True, check=False, cwd=module.parent)
    if answer.returncode not in {0, 1}:
        raise ActionError(
            f"{' '.join(argv)}: exit status {answer.returncode}. Expected: 10,000 tests "
            f"run\n{answer.stdout[-1000:]}{answer.stderr[-1000:]}"
        )


@cache
def _seen() -> tuple[tuple[Seen, ...], Seen]:
    pages = _pages()
    with _browser() as browser:
        ours = tuple(_look(browser, pages.ours, OURS, list(SEARCHES)) for _ in range(RUNS))
        return ours, _look(browser, pages.theirs, THEIRS)


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 only these two rows need it

    program = next(filter(None, map(shutil.which, BROWSER)), None)
    if program is None:
        raise ActionError("this machine: no Chromium. Expected: Debian's. Try: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=list(FLAGS))


def _look(browser: Any, file: Path, measure: str, *arguments: Any) -> Seen:
    """Open a page in a window of its own, as a reader does, and filter it."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(file.as_uri())
    paint_ms = float(page.evaluate(PAINT))
    page.wait_for_timeout(500)
    filter_ms = float(page.evaluate(measure, *arguments))
    context.close()
    return Seen(paint_ms / 1000, filter_ms)
