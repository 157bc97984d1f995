"""On A4 nothing is cut: every word stands within the margins, details are open, no table is wider than the paper."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.page.conftest import Open

WORD = re.compile(r'<word xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">(.*?)</word>')
PAGE = re.compile(r'<page width="([\d.]+)" height="([\d.]+)">(.*?)</page>', re.DOTALL)
A4_POINTS = (595, 842)
LEAST_MARGIN = 28  # of the 13 mm = 37 points that the style gives


@pytest.fixture
def printed(
    opens: Open, failed_page: Path, tmp_path: Path
) -> list[tuple[tuple[float, float], list[tuple[float, float, float, float, str]]]]:
    """Return each page's size and its words with their places."""
    pdf = tmp_path / "report.pdf"
    opens(failed_page, scheme="dark").page.pdf(path=str(pdf), prefer_css_page_size=True, print_background=True)
    output = subprocess.run(
        ["pdftotext", "-bbox", str(pdf), "-"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return [
        ((float(width), float(height)), [(*map(float, place), word) for *place, word in WORD.findall(text)])  # type: ignore[misc]
        for width, height, text in PAGE.findall(output)
    ]


def test_every_word_is_within_the_margins(
    printed: list[tuple[tuple[float, float], list[tuple[float, float, float, float, str]]]],
) -> None:
    """On every page; the paper is A4."""
    assert len(printed) > 3
    for number, (size, words) in enumerate(printed, start=1):
        assert [round(side) for side in size] == list(A4_POINTS)
        outside = [
            word
            for x0, y0, x1, y1, word in words
            if x0 < LEAST_MARGIN or x1 > size[0] - LEAST_MARGIN or y0 < LEAST_MARGIN or y1 > size[1] - LEAST_MARGIN
        ]
        assert outside == [], f"page {number}"


def test_tables_are_whole_and_details_open(
    printed: list[tuple[tuple[float, float], list[tuple[float, float, float, float, str]]]],
) -> None:
    """The last column of the widest table, the words of each action, and the last line of a log are there."""
    text = " ".join(word for _, words in printed for *_, word in words)

    assert text.count("a sentence of some length about this host") == 13
    assert "bucket/object-2: size" in text
    assert "line 59" in text
    assert text.count("copy-volumes") >= 8


def test_no_row_of_a_table_is_torn(opens: Open, failed_page: Path) -> None:
    """Rows, cards and figures ask the printer to keep them whole; heads of tables come again on the next page."""
    page = opens(failed_page).page
    page.emulate_media(media="print")

    kept = page.evaluate(
        "['tr', '.rows > li', '.card', 'figure'].map(one => getComputedStyle(document.querySelector(one)).breakInside)"
    )

    assert kept == ["avoid"] * 4
    assert page.evaluate("getComputedStyle(document.querySelector('thead')).display") == "table-header-group"
    assert page.evaluate("getComputedStyle(document.querySelector('#filter')).display") == "none"
    assert page.evaluate("getComputedStyle(document.querySelector('.rows')).contentVisibility") == "visible"


def test_paper_is_white_also_when_the_reader_s_system_is_dark(opens: Open, failed_page: Path) -> None:
    """Ink is dear."""
    page = opens(failed_page, scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(23, 32, 43)"
