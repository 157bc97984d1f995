"""Where an environment's journal is kept: a SQLite file of its own, or a schema of its own in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.constants import ENVIRONMENT_PREFIX, NAME
from engine.errors import InputError
from engine.finding import say
from engine.project import STATE
from engine.redaction.redactor import Secret

if TYPE_CHECKING:  # SQLAlchemy is slow to import, and flags and waivers are read without it
    from sqlalchemy import URL

VARIABLE: Final = f"{ENVIRONMENT_PREFIX}STATE"
FOLDER: Final = STATE
POSTGRESQL: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
SECRET_WORDS: Final = frozenset({"password", "sslpassword"})


@dataclass(frozen=True)
class JournalLocation:
    """One environment's journal; `schema` is where it lies in PostgreSQL. The URL may hold a password: show `text`
    only.
    """

    url: URL = field(repr=False)
    schema: str = ""

    @property
    def file(self) -> Path | None:
        """Return the SQLite file, None for PostgreSQL."""
        return None if self.schema else Path(str(self.url.database))

    @property
    def text(self) -> str:
        """Return where it is, without its password."""
        if not self.schema:
            return str(self.url.database)
        shown = _new_url(
            "postgresql",
            self.url.username,
            host=",".join(self.servers()),
            port=self.url.port,
            database=self.url.database,
        )
        return say("{address} (schema {schema})", address=shown.render_as_string(), schema=self.schema)

    def secrets(self) -> list[Secret]:
        """Return what in the URL must never be shown."""
        given = [self.url.password, *(value for word in SECRET_WORDS for value in _listed(self.url.query.get(word)))]
        return [Secret(str(value)) for value in given if value]

    def servers(self) -> list[str]:
        """Return the names and addresses that a client of this place connects to, as libpq would; none for a file."""
        if not self.schema:
            return []
        asked = [self.url.host, *_listed(self.url.query.get("host")), *_listed(self.url.query.get("hostaddr"))]
        named = [
            name.partition(":")[0] if name.count(":") == 1 else name for one in asked if one for name in one.split(",")
        ]
        return named or ["localhost"]


def _listed(value: str | tuple[str, ...] | None) -> Iterable[str]:
    return () if value is None else (value,) if isinstance(value, str) else value


def place_of(environment: str, state: Secret | None) -> JournalLocation:
    """Return where an environment's journal is, given what `--state` or LONGSHORE_STATE says; raises InputError."""
    if state is None:
        return file_place(FOLDER / f"{environment}.sqlite")
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(state.reveal())
    except (ArgumentError, ValueError):
        raise InputError(f"--state: is no URL; it is not shown, it may hold a password. {_EXPECTED}") from None
    if url.drivername == "sqlite" and url.database:
        return file_place(Path(url.database))
    if url.drivername not in POSTGRESQL:
        raise InputError(f"--state: a URL of {url.drivername}. {_EXPECTED}")
    return JournalLocation(url.set(drivername="postgresql+psycopg"), f"{NAME}_{environment}")


def file_place(path: Path) -> JournalLocation:
    """Return the place of a SQLite file."""
    return JournalLocation(_new_url("sqlite", database=str(path)))


def _new_url(driver: str, user: str | None = None, **parts: Any) -> URL:
    from sqlalchemy import URL  # noqa: PLC0415

    return URL.create(driver, user, **parts)


_EXPECTED: Final = say(
    "Expected: postgresql://USER@HOST/DATABASE (also as {variable}), or nothing for {folder}/ENVIRONMENT.sqlite",
    variable=VARIABLE,
    folder=FOLDER,
)
