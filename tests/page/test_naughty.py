"""Names from servers are text, whatever they are made of: scripts, quotes, right-to-left, control characters,
templates, very long words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from engine.evidence.formatting import visible
from engine.verdict import ExitCode
from tests.fakes.run_on_record import Night
from tests.page import pages
from tests.page.conftest import PHONE, Open

NAUGHTY: Final = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg/onload=window.hacked=1>",
    "</title></style></script><script>window.hacked=1</script>",
    '" autofocus onfocus=window.hacked=1 x="',
    "' onmouseover='window.hacked=1",
    "--><!-- <iframe src=javascript:window.hacked=1>",
    "javascript:window.hacked=1",
    "{{ 7*7 }}{% for x in page %}${7*7}",
    "{text} {number} {0}",
    "&lt;b&gt;&amp;amp;",
    (
        ']]></svg><math><mtext></table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 '
        'onerror=window.hacked=1&gt;">'
    ),
    "user\u202egnp.exe\u202c",
    "\u2066left\u2069\u200b\ufeffzero",
    "شبكة كاملة والمزيد",
    "\x1b[31mred\x07\x08\x00",
    "line one\u2028line two\x85",
    "\ud800 half a pair",
    "Ｆｕｌｌ ｗｉｄｔｈ ﷽ ｡◕‿◕｡ 🏴‍☠️ Z̮̞̠͙͔ͅḀ̗̞͈̻̗",
    "x" * 3000,
    "../../etc/passwd; rm -rf / && `reboot` $(reboot)",
    "=cmd|' /C calc'!A0",
    "NULL\ttab\nbreak",
)


@pytest.fixture(scope="module")
def naughty_page(place: Path) -> Path:
    """Return a page with each string in every place that text of a server has."""
    folder = place / "naughty"
    night = pages.quick(
        Night(
            folder,
            "migrate",
            [{**pages.MOVES[0], "service": name, "source": name, "target": name} for name in NAUGHTY],
        )
    )
    for number, name in enumerate(NAUGHTY):
        night.row("FAILED" if number % 2 else "PASSED", name, name, name, subject=name, sentence=name, details=[name])
        night.run.record("intent", service=name, key=name, body={"describe": name})
        night.run.record("outcome", service=name, key=name, body={"ok": True, "text": name})
        night.run.record(
            "host_observed",
            body={
                "name": name,
                "address": name,
                "ssh_key_fingerprint": name,
                "error": "",
                "os": name,
                "docker_version": name,
            },
        )
        night.run.record("container_log", service=name, body={"title": name, "lines": [name]})
        part = {"count": 1, "digest": name, "holds": name, "bound": {}}
        night.run.record(
            "fingerprint", service=name, body={"service": name, "moment": name, "host": name, "parts": {name: part}}
        )
    night.run.record("report_table", body={"title": NAUGHTY[0], "columns": list(NAUGHTY), "rows": [list(NAUGHTY)]})
    night.run.record("waiver", key=NAUGHTY[0], body={"person": NAUGHTY[1], "reason": NAUGHTY[4]})
    night.run.record("step_skipped", body={"text": NAUGHTY[2]})
    night.run.finish({}, ExitCode.FAILED)
    return pages.page_of(night, folder)


def test_no_name_becomes_markup_or_runs(opens: Open, naughty_page: Path) -> None:
    """One script, our own; no picture, frame or foreign attribute; nothing ran, nothing was asked."""
    one = opens(naughty_page)
    one.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    one.page.mouse.move(400, 400)
    one.page.keyboard.press("Tab")
    one.page.wait_for_timeout(200)

    assert one.page.evaluate("window.hacked") is None
    assert one.page.evaluate("document.scripts.length") == 1
    assert one.page.evaluate("document.querySelectorAll('img, iframe, math, object, embed, link, base').length") == 0
    attributes = "[...document.querySelectorAll('*')].flatMap(one => [...one.attributes]).map(one => one.name)"
    handlers = f"{attributes}.filter(name => name.startsWith('on') || name === 'style').length"
    assert one.page.evaluate(handlers) == 0
    assert (one.requests, one.complaints) == ([one.url], [])


def test_each_name_is_read_as_it_is(opens: Open, naughty_page: Path) -> None:
    """What can't be seen, or turns the direction of text, is written as its escape; the rest is letter by letter."""
    page = opens(naughty_page).page
    texts = page.evaluate("[...document.querySelectorAll('.rows > li > div > p')].map(one => one.textContent)")

    assert texts == [
        visible(name.encode("utf-8", "backslashreplace").decode()) if "\ud800" in name else visible(name)
        for name in NAUGHTY
    ]


def test_a_search_finds_a_name_of_any_kind(opens: Open, naughty_page: Path) -> None:
    """Typed as it is shown."""
    page = opens(naughty_page).page
    for text, count in (("<script>window.hacked", 2), ("{{ 7*7", 1), ("شبكة", 1), ("\\u202egnp", 1)):
        page.locator("#q").fill(text)
        assert int(page.locator("#count").inner_text().split()[0]) == count, text


def test_a_very_long_word_widens_nothing(opens: Open, naughty_page: Path) -> None:
    """Not even on a phone."""
    page = opens(naughty_page, PHONE).page

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
