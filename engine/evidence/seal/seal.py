"""Sealing a run's folder: evidence.json over its files, SHA256SUMS over all of them, and a signature when there is a
key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from engine.constants import NAME
from engine.evidence.formats.journal_jsonl import read_records
from engine.evidence.seal.checksums import read_sums, sums_text
from engine.evidence.seal.in_toto import statement_of
from engine.evidence.seal.sealed_folder import (
    RECORDS,
    SEALS,
    SIGNATURE,
    STATEMENT,
    SUMS,
    Sealed,
    digest_of,
    read_folder,
)
from engine.journal.journal import Record, chain_problems

NAMESPACE: Final = f"{NAME}-evidence"
"""Of the signatures: one made for another purpose is none."""


class Signer(Protocol):
    """Who signs; implemented by `hosts.local.ssh_signing.KeySigner`, faked in unit tests."""

    @property
    def fingerprint(self) -> str:
        """Return the key's fingerprint, as ssh-keygen -l shows it."""

    def sign(self, path: Path, namespace: str) -> None:
        """Write `<path>.sig`; raises InputError when the key can't sign."""


def seal(folder: Path, signer: Signer | None = None, *, whole: bool | None = None) -> None:
    """Seal a folder as it is now; without a signer a signature stays when it still fits, else it goes.

    `whole`: whether the chain of its records is, None when nobody looked yet. Raises InputError when the signer can't
    sign: the folder is sealed then, without a signature.
    """
    sealed = read_folder(folder)
    records, problems = read_records(sealed.text(RECORDS))
    if problems:  # nothing can be stated of records that are none: verify says what is wrong
        (folder / STATEMENT).unlink(missing_ok=True)
        write_whole(folder / SUMS, sums_text(sealed.digests(without=SEALS)))
        return
    whole = not chain_problems(records) if whole is None else whole
    if signer is None and _still_fits(sealed, records, whole=whole):
        return
    (folder / SIGNATURE).unlink(missing_ok=True)
    _write_seals(folder, seals_of(sealed, records, None, whole=whole))
    if signer is not None:
        _write_seals(folder, seals_of(sealed, records, signer.fingerprint, whole=whole))
        try:
            signer.sign(folder / SUMS, NAMESPACE)
        except BaseException:
            _write_seals(folder, seals_of(sealed, records, None, whole=whole))
            raise
        (folder / SIGNATURE).chmod(0o600)


def changed_since_sealed(folder: Path, drawn: Sequence[str]) -> list[str]:
    """Return which files that are not drawn anew differ from what a folder was sealed with: sealing them again would
    hide it.
    """
    if not (folder / SUMS).exists():
        return []
    sealed = read_folder(folder)
    expected, _ = read_sums(sealed.text(SUMS))
    digests = sealed.digests(without=SEALS)
    return [name for name, digest in digests.items() if name not in drawn and expected.get(name, digest) != digest]


def statement_text(statement: dict[str, Any]) -> str:
    """Return a statement as evidence.json holds it."""
    return json.dumps(statement, indent=2, ensure_ascii=True) + "\n"


def seals_of(
    sealed: Sealed, records: Sequence[Record], signed_with: str | None, *, whole: bool | None = None
) -> tuple[str, str]:
    """Return evidence.json and SHA256SUMS of a folder's files."""
    digests = sealed.digests(without=SEALS)
    statement = statement_text(statement_of(records, digests, signed_with, whole=whole))
    return statement, sums_text({**digests, STATEMENT: digest_of(statement.encode())})


def _still_fits(sealed: Sealed, records: Sequence[Record], *, whole: bool) -> bool:
    """Return whether a signed folder would be sealed just as it is."""
    signed_with = signed_with_of(sealed.text(STATEMENT)) if SIGNATURE in sealed.files else None
    return bool(signed_with) and seals_of(sealed, records, signed_with, whole=whole) == (
        sealed.text(STATEMENT),
        sealed.text(SUMS),
    )


def signed_with_of(statement: str) -> str | None:
    """Return the fingerprint of the key that evidence.json names, None when it names none or can't be read."""
    try:
        return str(json.loads(statement)["predicate"][NAME]["signed_with"] or "") or None
    except (ValueError, LookupError, TypeError):
        return None


def _write_seals(folder: Path, texts: tuple[str, str]) -> None:
    for name, text in zip((STATEMENT, SUMS), texts, strict=True):
        write_whole(folder / name, text)


def write_whole(path: Path, content: str) -> None:
    """Write a file whole or not at all, for its owner only."""
    write_bytes(path, content.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.chmod(0o600)
    part.replace(path)
