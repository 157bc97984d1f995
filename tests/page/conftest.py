"""Debian's Chromium and the pages that it opens, offline; without a browser these tests fail, they are
never skipped.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.fakes.run_on_record import Night
from tests.page import pages

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--disable-background-networking",
)
DESK: Final = (1280, 800)
PHONE: Final = (390, 844)


class Opened:
    """A page in a window, with all that it asked for and complained about."""

    def __init__(self, browser: Browser, file: Path, size: tuple[int, int], scheme: str) -> None:
        """Open it, offline."""
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True
        )  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.requests, self.complaints = list[str](), list[str]()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.url = file.as_uri()
        self.page.goto(self.url)


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a running Chromium with a profile of its own."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        raise RuntimeError(
            "this machine: no Chromium. Expected: Debian's. Try: apt-get install chromium, or: nox -s "
            "page_tests as root"
        )
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=list(FLAGS))


@pytest.fixture
def opens(browser: Browser) -> Iterator[Open]:
    """Return what opens a page; all are closed at the end."""
    opened = []

    def open_page(file: Path, size: tuple[int, int] = DESK, scheme: str = "light") -> Opened:
        opened.append(Opened(browser, file, size, scheme))
        return opened[-1]

    yield open_page
    for one in opened:
        one.context.close()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the session."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="session")
def failed(place: Path) -> Night:
    """Return a migration that failed in the middle."""
    return pages.failed_night(place / "failed")


@pytest.fixture(scope="session")
def failed_page(failed: Night, place: Path) -> Path:
    """Return its page."""
    return pages.page_of(failed, place / "failed")


@pytest.fixture(scope="session")
def nightly_page(place: Path) -> Path:
    """Return the page of a validation after another."""
    return pages.page_of(pages.validations(place / "nightly"), place / "nightly")
