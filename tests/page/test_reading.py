"""The page answers at once, on a desk and on a phone, by keyboard alone, in the dark, for everybody, with no word from
outside.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.fakes.run_on_record import Night
from tests.page import pages
from tests.page.conftest import DESK, PHONE, Open

VERDICT = "Migration of 13 services failed"


def is_on_screen(page: Page, text: str) -> bool:
    """Return whether a text stands within the window without scrolling."""
    box = page.get_by_text(text).first.bounding_box()
    height = (page.viewport_size or {"height": 0})["height"]
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= height


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_verdict_needs_no_scrolling(opens: Open, failed_page: Path, size: tuple[int, int]) -> None:
    """Nor do the totals and the first thing to decide; and nothing is wider than the screen."""
    page = opens(failed_page, size).page

    for text in (VERDICT, "Needs a decision", "2 of 1,204 files differ: bucket/object-1", "NOT RUN"):
        assert is_on_screen(page, text), text
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_first_screen_of_a_desk_holds_what_an_approver_asks(opens: Open, failed_page: Path) -> None:
    """Phase, plan, approvers, hosts, times, and the outage of each service."""
    page = opens(failed_page).page

    for text in (
        "ana@example.org (technical, 2026-01-01 10:00 UTC)",
        "d" * 16,
        "wf001, wf005, wf002",
        "Took",
        "Outage as clients saw it",
        "postgres",
    ):
        assert is_on_screen(page, text), text


def test_a_validation_shows_first_what_changed(opens: Open, nightly_page: Path) -> None:
    """Between verdict and everything else."""
    page = opens(nightly_page).page

    assert is_on_screen(page, "Since the run of")
    assert page.locator("#since").bounding_box()["y"] < page.locator("#decide").bounding_box()["y"]  # type: ignore[index]
    assert page.locator(".since .tally").inner_text().split() == [
        "1",
        "new",
        "problem",
        "1",
        "fixed",
        "0",
        "still",
        "there",
        "1",
        "slower",
        "1",
        "drifted",
    ]


def test_everything_is_reached_by_keyboard(opens: Open, failed_page: Path) -> None:
    """The skip link, the search, the verdicts by arrow keys, a detail that opens; the focus is always to be seen."""
    page = opens(failed_page).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "q"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"

    page.keyboard.type("files MINIO")
    assert page.locator("#count").inner_text() == "4 steps"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "FAILED"
    assert page.evaluate("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle") == "solid"
    assert page.locator("#count").inner_text() == "1 steps"

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    was_open = page.evaluate("document.activeElement.parentElement.open")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open") is not was_open


def visible_rows(page: Page) -> list[str]:
    """Return the verdicts of the rows that are shown."""
    rows = (
        "[...document.querySelectorAll('.rows > li')].filter(one => !one.closest('[hidden]')).map(one => one.dataset.v)"
    )
    shown: list[str] = page.evaluate(rows)
    return shown


def test_filters_show_what_fits_and_say_how_much(opens: Open, failed_page: Path) -> None:
    """Words in any order, together with a verdict; nothing fits is said; emptied again, all is there."""
    page = opens(failed_page).page
    everything = len(visible_rows(page))

    page.locator('.chip:has(input[value="NOT_RUN"])').click()
    assert set(visible_rows(page)) == {"NOT_RUN"}
    assert len(visible_rows(page)) == 35 == int(page.locator("#count").inner_text().split()[0])
    page.locator("#q").fill("caddy stopped")
    assert len(visible_rows(page)) == 7
    page.locator("#q").fill("no such words")
    assert (visible_rows(page), page.locator("#nothing").is_visible(), page.locator("#count").inner_text()) == (
        [],
        True,
        "0 steps",
    )
    page.locator("#q").fill("")
    page.locator('.chip:has(input[value=""])').click()
    assert (len(visible_rows(page)), page.locator("#nothing").is_visible()) == (everything, False)


def test_a_decision_leads_to_its_row_even_when_a_filter_hides_it(opens: Open, failed_page: Path) -> None:
    """The link clears the filter that stands in its way."""
    page = opens(failed_page).page
    page.locator("#q").fill("postgres")

    page.locator("a.jump").first.click()

    assert page.locator("li:target").is_visible()
    assert "2 of 1,204 files differ" in (page.locator("li:target").text_content() or "")


def test_the_dark_is_dark(opens: Open, failed_page: Path) -> None:
    """As the reader's system says, without a switch."""
    colour = "getComputedStyle(document.body).backgroundColor"

    assert opens(failed_page, scheme="light").page.evaluate(colour) == "rgb(244, 246, 249)"
    assert opens(failed_page, scheme="dark").page.evaluate(colour) == "rgb(15, 19, 24)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_axe_finds_nothing(
    opens: Open, failed_page: Path, nightly_page: Path, scheme: str, size: tuple[int, int]
) -> None:
    """WCAG 2.2 AA and axe's best practices, with every detail open."""
    for file in (failed_page, nightly_page):
        page = opens(file, size, scheme).page
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")

        found = Axe().run(page)

        assert found.violations_count == 0, found.generate_report()


def test_nothing_is_asked_from_anywhere(opens: Open, failed_page: Path) -> None:
    """One file, one request, no complaint: not even the icon of the tab, and nothing after a click."""
    one = opens(failed_page)
    one.page.locator("#q").fill("redis")
    one.page.wait_for_timeout(300)

    assert one.requests == [one.url]
    assert one.complaints == []


def test_the_page_reads_without_its_script(browser: object, failed_page: Path, opens: Open) -> None:
    """A mail programme that runs none shows all but the filter."""
    context = opens(failed_page).context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    page = context.new_page()
    page.goto(failed_page.as_uri())

    assert page.locator("h1").inner_text().startswith(VERDICT)
    assert not page.locator("#filter").is_visible()
    assert page.locator(".rows > li").count() > 50
    context.close()


def test_portuguese_is_complete_and_accessible(opens: Open, failed: Night, place: Path) -> None:
    """The same page in the other language, on a phone, where its longer words must fit too."""
    page = opens(pages.page_of(failed, place / "failed", "pt-BR"), PHONE).page

    assert page.locator("html").get_attribute("lang") == "pt-BR"
    assert is_on_screen(page, "Migração de 13 serviços falhou")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
