"""Whatever is printed passes the redactor: rows, tracebacks of defects, and pytest-html's page."""

from __future__ import annotations

import html
import io
import json
import sys
import types
from pathlib import Path

import pytest
from rich.console import Console

from commands import __main__ as program
from engine.errors import InputError
from engine.evidence.formats.pytest_html import move_appendix, without_secrets
from engine.redaction.guarded_console import GuardedStream, console_redactor, guarded_console
from engine.redaction.redactor import Redactor, Secret

PASSWORD = 'Tr0ub4dor-"and"-<3>'


@pytest.fixture
def redactor() -> Redactor:
    """Return a redactor that knows one password."""
    redactor = Redactor()
    redactor.register(Secret(PASSWORD))
    return redactor


def test_printed_text_holds_no_secret(redactor: Redactor, capsys: pytest.CaptureFixture[str]) -> None:
    """On both streams, through print, rich and writelines, whatever the form; lengths are those that were asked for."""
    with guarded_console(redactor):
        print(f"said {PASSWORD}")
        print("error", PASSWORD, file=sys.stderr)
        Console(highlight=False, soft_wrap=True).print(f"rich {PASSWORD}", markup=False)
        sys.stdout.writelines([f"json {json.dumps(PASSWORD)}\n", "redis://:geheim@cache\n"])
        assert sys.stdout.write(PASSWORD) == len(PASSWORD)
        assert sys.stdout.isatty() is False

    output = capsys.readouterr()
    assert output.out == 'said ***\nrich ***\njson "***"\nredis://:***@cache\n***'
    assert output.err == "error ***\n"
    assert redactor.removed == 0  # the records count


def test_a_run_teaches_the_consoles_own_redactor() -> None:
    """What a session registers is hidden by the guard that stood there before it."""
    screen = io.StringIO()
    own = Redactor()

    assert isinstance(console_redactor(), Redactor)
    before = sys.stdout
    sys.stdout = GuardedStream(screen, own)
    try:
        console_redactor().register(Secret(PASSWORD))
        print(PASSWORD)
    finally:
        sys.stdout = before

    assert screen.getvalue() == "***\n"
    assert console_redactor() is not own


@pytest.mark.parametrize(
    ("error", "code"), [(InputError(f"postgres://app:{PASSWORD[:6]}@db: refused"), 4), (KeyError("token=geheim1"), 70)]
)
def test_errors_and_tracebacks_hold_no_secret(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Foreseen ones are one message; a defect of ours is a traceback, and no verdict."""

    def broken(_: list[str]) -> int:
        raise error

    monkeypatch.setitem(sys.modules, "commands.status", types.SimpleNamespace(main=broken))  # type: ignore[arg-type]

    assert program.main(["status"]) == code

    output = capsys.readouterr()
    assert "geheim1" not in output.err
    assert PASSWORD[:6] not in output.err
    assert "***" in output.err
    assert ("Traceback" in output.err) == (code == 70)


def page(data: object) -> str:
    """Return a page as pytest-html writes it."""
    blob = html.escape(json.dumps(data))
    script = '<script>var token = {key: "x"}; let password = a;</script>'
    return f'<html>{script}<div id="d" data-jsonblob="{blob}"></div><p>{html.escape(PASSWORD)}</p></html>'


DATA = {
    "environment": {"Python": "3.11", "CI_URL": "https://ci:geheim1@ci.example.org/x", "DEPLOY_TOKEN": "geheim2"},
    "tests": {
        f"t::{PASSWORD}": [
            {"log": f"E assert &#x27;a&#x27; == {html.escape(PASSWORD)}\nDB_PASSWORD=geheim3", "extras": []}
        ]
    },
    "title": "pytest.html",
}


def test_the_appendix_holds_no_secret_and_still_works(redactor: Redactor) -> None:
    """Its environment, logs and names are cleaned as values; its scripts are left alone."""
    shown = without_secrets(page(DATA), redactor)

    assert not [value for value in ("geheim1", "geheim2", "geheim3", "Tr0ub4dor") if value in shown]
    assert '<script>var token = {key: "x"}; let password = a;</script>' in shown
    data = json.loads(html.unescape(shown.partition('data-jsonblob="')[2].partition('"')[0]))
    assert data["environment"] == {"Python": "3.11", "CI_URL": "https://ci:***@ci.example.org/x", "DEPLOY_TOKEN": "***"}
    assert list(data["tests"]) == ["t::***"]
    assert redactor.removed == 6


def test_the_raw_appendix_goes(redactor: Redactor, tmp_path: Path) -> None:
    """It lies in the private part for as long as pytest writes it; nothing happens when it wrote none."""
    raw, target = tmp_path / "private" / "pytest.html", tmp_path / "pytest.html"
    raw.parent.mkdir()
    raw.write_text(page(DATA), encoding="utf-8")

    move_appendix(raw, target, redactor)
    move_appendix(raw, target, redactor)

    assert not raw.parent.exists()
    assert "***" in target.read_text(encoding="utf-8")


def test_an_appendix_of_another_form_is_cleaned_as_text(redactor: Redactor) -> None:
    """A pytest-html that writes something else than JSON leaks nothing either."""
    assert "geheim1" not in without_secrets('<div data-jsonblob="{token=geheim1"></div>', redactor)
