"""Verify a run's folder or bundle offline: verify RUN_DIR | BUNDLE.tar.gz [--allowed-signers FILE].

Nothing else is asked: no journal, no network. Says what is wrong, file by file, and exits with 1 then; with 2 when
something could not be compared, such as a page that another version drew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.errors import InputError
from engine.evidence.formatting import visible
from engine.evidence.seal.archive import read_archive
from engine.evidence.seal.sealed_folder import Sealed, read_folder
from engine.evidence.seal.verify import verify
from engine.finding import say
from engine.verdict import ExitCode
from hosts.local.ssh_signing import SignatureCheck


def main(argv: list[str]) -> int:
    """Verify each folder or archive that was named."""
    parser = argparse.ArgumentParser(prog="verify", description=__doc__)
    parser.add_argument("run", nargs="+", type=Path, help="a run's folder, or its bundle")
    parser.add_argument(
        "--allowed-signers",
        type=Path,
        metavar="FILE",
        help="file with the accepted signers: ALLOWED SIGNERS in man ssh-keygen",
    )
    parsed = parser.parse_args(argv)
    allowed: Path | None = parsed.allowed_signers
    if allowed is not None and not allowed.is_file():
        raise InputError(
            say(
                "{allowed}: not there. Expected: lines of an e-mail address and a public key. See docs/verify.md",
                allowed=allowed,
            )
        )
    codes = [_judged(place, SignatureCheck(allowed)) for place in parsed.run]
    return next((code for code in (ExitCode.FAILED, ExitCode.INCOMPLETE) if code in codes), ExitCode.OK)


def read_sealed(place: Path) -> Sealed:
    """Return what is in a folder or an archive; raises InputError for something else."""
    return read_folder(place) if place.is_dir() else read_archive(place)


def _judged(place: Path, signatures: SignatureCheck) -> ExitCode:
    found = verify(read_sealed(place), signatures)
    for note in found.notes:
        print(visible(f"{place}: {note}"))
    for problem in found.problems:
        print(visible(f"WRONG {place}: {problem}"), file=sys.stderr)
    for line in found.not_compared:
        print(visible(f"NOT COMPARED {place}: {line}"), file=sys.stderr)
    count, left = len(found.problems), len(found.not_compared)
    good = f"{left} not compared: see above" if left else "nothing was changed since it was sealed"
    bad = f"{count} {'problem' if count == 1 else 'problems'} found; do not trust this evidence"
    print(visible(f"{place}: {bad if count else good}"))
    return ExitCode.FAILED if count else ExitCode.INCOMPLETE if left else ExitCode.OK
