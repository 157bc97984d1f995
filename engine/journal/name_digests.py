"""Names of data as they may be written down: keyed digests, and the key next to the journal, in no record.

A key of Redis may be a session, an object's name may be a customer's. Records, messages and evidence carry only the
digests; what they stand for is in the run's `private/` folder, which is never sealed nor packed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from engine.journal.database import SALTS
from engine.journal.journal import Journal

NAMES: Final = "names of data"
BYTES: Final = 32


@dataclass(frozen=True)
class Sealer:
    """Calls each name of data by a digest that only the holder of the salt can find again."""

    salt: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Return what identifies this salt and reveals nothing of it."""
        return hmac.new(self.salt, b"id", hashlib.sha256).hexdigest()[:8]

    def __call__(self, name: str) -> str:
        """Return how a name is written down."""
        return "#" + hmac.new(self.salt, name.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:16]


def sealer_of(journal: Journal) -> Sealer:
    """Return the one of an environment's journal; the first who asks draws the salt."""
    found = _read(journal)
    if found is None:
        try:
            with journal.engine.begin() as connection:
                connection.execute(insert(SALTS).values(name=NAMES, salt=secrets.token_hex(BYTES)))
        except IntegrityError:  # another process drew it in the same moment
            pass
        found = _read(journal)
    return Sealer(bytes.fromhex(str(found)))


def _read(journal: Journal) -> str | None:
    with journal.engine.connect() as connection:
        return connection.execute(select(SALTS.c.salt).where(SALTS.c.name == NAMES)).scalar()


def keep_names(folder: Path, title: str, names: Mapping[str, str]) -> Path:
    """Add what digests stand for to a file in a run's private folder, readable by its owner only; return the file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"names-{title}.json"
    known = dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    part = folder / f".names-{title}-{secrets.token_hex(4)}"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(known | dict(names), file, ensure_ascii=False, indent=0)
    part.replace(path)
    return path
