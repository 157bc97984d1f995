"""Where a journal is kept: a file, or a database that the migration does not touch; a password in its URL shows
nowhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from engine.config.scope import Scope, build_scope
from engine.errors import InputError
from engine.journal.database import archive_store
from engine.journal.journal import Journal
from engine.journal.location import JournalLocation, place_of
from engine.redaction.redactor import Redactor, Secret
from engine.run.options import Options, read_options
from phases.context import open_journal as open_journal_module
from phases.context.open_journal import open_journal, read_journal, refuse_moved_host
from tests.fakes.project_files import make_environment, make_inventory, make_plan

PASSWORD: Final = "Tr0ub4dor&3/x"
URL: Final = f"postgresql://ops:{PASSWORD.replace('&', '%26').replace('/', '%2F')}@db.example.org/state?sslmode=require"
NAMES: Final = {"db.example.org": "198.51.100.7", "moved.example.org": "192.0.2.15", "localhost": "127.0.0.1"}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for the name server; this machine is wf002."""
    monkeypatch.setattr(
        open_journal_module, "addresses_of", lambda name: frozenset({NAMES[name]} if name in NAMES else ())
    )
    monkeypatch.setattr(
        open_journal_module, "is_this_machine", lambda name: name in {"localhost", "/var/run/postgresql"}
    )
    monkeypatch.setattr(open_journal_module, "own_names", lambda: frozenset({"wf002"}))


@pytest.fixture
def scope() -> Scope:
    """Return the scope of the small files."""
    return build_scope(make_inventory(), make_plan(), make_environment())


def options_of(state: str | None, *argv: str) -> Options:
    """Return the options of a run with this --state."""
    given = {"environment": "production", "inventory": "i", "plan": "p", "state": state}
    return read_options(given.get, list(argv))


def postgresql(url: str) -> JournalLocation:
    """Return the place of an URL."""
    return place_of("production", Secret(url))


def test_without_a_state_each_environment_has_a_file() -> None:
    """Nothing need be set up for one operator."""
    assert options_of(None).place.file == Path("state/production.sqlite")


def test_a_url_puts_each_environment_into_a_schema_of_its_own() -> None:
    """One address serves a team for all its environments, and nothing of the lab opens a gate in production."""
    places = [place_of(name, Secret("postgres://ops@db/state")) for name in ("lab", "production")]

    assert [place.schema for place in places] == ["longshore_lab", "longshore_production"]
    assert places[0].text == "postgresql://ops@db/state (schema longshore_lab)"


def test_the_environment_may_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """LONGSHORE_STATE is the same as --state, which wins."""
    monkeypatch.setenv("LONGSHORE_STATE", "postgresql://one/state")

    assert options_of(None).place.servers() == ["one"]
    assert options_of("postgresql://two/state").place.servers() == ["two"]


@pytest.mark.parametrize(
    "state", [f"mysql://ops:{PASSWORD}@db/x", "sqlite://", f"not a url {PASSWORD}", f"postgresql://h:{PASSWORD}:x/y"]
)
def test_another_url_is_refused_and_not_shown(state: str) -> None:
    """The message says what is expected, not what was given: there may be a password in it."""
    with pytest.raises(InputError, match=r"--state: .*Expected: postgresql://USER@HOST/DATABASE") as refused:
        options_of(state).place  # noqa: B018 asking is the test

    assert PASSWORD not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_password_shows_nowhere() -> None:
    """Not in the place's words, not in a repr, not in options, and the redactor knows it in each form."""
    options, place = options_of(URL), postgresql(URL + "&password=0ther-Secret")
    redactor = Redactor()
    for secret in place.secrets():
        redactor.register(secret)

    for text in (place.text, repr(place), repr(options), redactor.text(URL), redactor.text(f"{PASSWORD} 0ther-Secret")):
        assert "Tr0ub4dor" not in text
        assert "0ther-Secret" not in text


def test_a_password_typed_on_the_command_line_is_warned_of(
    scope: Scope, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is taken, but every user of this machine can read it there: the words say where it belongs."""
    given = URL.replace("db.example.org", "moved.example.org")
    with pytest.raises(InputError):
        open_journal(options_of(given, "--state", given.replace("%26", "&").replace("%2F", "/")), Redactor(), scope)

    assert "stands in this machine's list of processes. Better: LONGSHORE_STATE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://ops@wf005/state", "wf005"),
        ("postgresql://ops@192.0.2.12/state", "wf002"),
        ("postgresql://ops@moved.example.org/state", "wf005"),
        ("postgresql://ops@db.example.org,wf001/state", "wf001"),
        ("postgresql:///state?host=wf001:5433", "wf001"),
        ("postgresql:///state?hostaddr=192.0.2.15", "wf005"),
        ("postgresql://ops@localhost/state", "wf002"),
        ("postgresql:///state?host=/var/run/postgresql", "wf002"),
    ],
)
def test_a_journal_on_a_host_of_the_inventory_is_refused(scope: Scope, url: str, host: str) -> None:
    """By its name, its address, another name for it, one of several, or because this very machine is to be moved."""
    with pytest.raises(
        InputError,
        match=f"its server is {host}, a host of the inventory. Expected: a machine that the migration does not touch",
    ):
        refuse_moved_host(postgresql(url), scope)


def test_libpqs_own_variables_do_not_count(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL without a server is this machine's, whatever the operator's shell says."""
    monkeypatch.setenv("PGHOST", "wf005")

    with pytest.raises(InputError, match="its server is wf002, a host of the inventory"):
        refuse_moved_host(postgresql("postgresql:///state"), scope)


def test_another_machine_is_fine(scope: Scope) -> None:
    """So is a file."""
    refuse_moved_host(postgresql(URL), scope)
    refuse_moved_host(place_of("production", None), scope)


def test_looking_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped environment leaves no empty journal behind."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match=r"state/production.sqlite: not there.*Look: ls state"):
        read_journal(options_of(None))

    assert list(tmp_path.iterdir()) == []


def test_a_world_that_is_gone_keeps_its_journal_aside(tmp_path: Path) -> None:
    """With what SQLite keeps next to the file; the next world starts empty."""
    place = place_of("lab", Secret(f"sqlite:///{tmp_path}/lab.sqlite"))
    Journal.open(place, redactor=Redactor()).start_run(command="x")

    kept = archive_store(place, "20260101T000000Z")

    assert kept == str(tmp_path / "lab-20260101T000000Z.sqlite")
    assert len(Journal.open(Path(kept), redactor=Redactor()).records()) == 1
    assert not Path(f"{tmp_path}/lab.sqlite").exists()
    assert archive_store(place, "x") == ""


def test_the_next_command_keeps_the_state(tmp_path: Path) -> None:
    """What a run advises to type leads to the same journal; a password that was hidden is not typed as stars."""
    from engine.evidence.next_steps import command_line  # noqa: PLC0415 only this test draws

    about = {"environment": "production", "argv": json.loads(json.dumps(["--state", "postgresql://ops@db/state"]))}
    hidden = {**about, "argv": ["--state", "postgresql://ops:***@db/state"]}

    assert (
        command_line(about, "migrate") == "nox -s migrate -- --environment production --state postgresql://ops@db/state"
    )
    assert command_line(hidden, "migrate") == "nox -s migrate -- --environment production"
