"""Pack a run's evidence into one archive, for a ticket: bundle [RUN_DIR | RUN | latest-COMMAND --lab | --environment
NAME].

Its private part stays here. What does not verify is not packed. With a key (`--sign-key FILE`, else
LONGSHORE_SIGNING_KEY) it is signed first.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from engine.command_line import typed_command
from engine.errors import InputError, RefusedError
from engine.evidence.seal.archive import SUFFIX, pack
from engine.evidence.seal.seal import seal, write_bytes
from engine.evidence.seal.sealed_folder import Sealed, digest_of, read_folder
from engine.evidence.seal.verify import verify
from engine.finding import joined, say
from engine.project import REPORTS
from engine.run.options import LAB, add_flags
from hosts.local.ssh_signing import SignatureCheck
from phases.signoff.signatures import SIGN_KEY, signer_of

SHOWN: Final = 5


def main(argv: list[str]) -> int:
    """Pack one run's folder and say where the archive is and what its SHA-256 is."""
    parser = argparse.ArgumentParser(prog="bundle", description=__doc__)
    parser.add_argument(
        "run", help="a run's folder, latest-COMMAND, or the first characters of a run id or folder name"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"archive to write; default: the folder's name with {SUFFIX}, next to the folder",
    )
    parser.add_argument(SIGN_KEY, type=Path, metavar="FILE", help="ssh key that signs the checksums")
    add_flags(parser.add_argument, "--environment", "--lab")
    parsed = parser.parse_args(argv)
    folder = find_folder(parsed.run, LAB if parsed.lab else parsed.environment)
    signer = signer_of(parsed.sign_key)
    _need_whole(folder, read_folder(folder))
    if signer:
        seal(folder, signer)
    sealed = read_folder(folder)
    target: Path = parsed.output or folder.with_name(folder.name + SUFFIX)
    packed = pack(sealed)
    write_bytes(target, packed)
    print(
        f"bundle: {target}\nsha256: {digest_of(packed)}\n{len(sealed.files)} files, {len(packed):,} bytes. To "
        f"check it: nox -s verify -- {target}"
    )
    return 0


def find_folder(asked: str, environment: str | None) -> Path:
    """Return the folder that a person means; raises InputError for none, or for more than one."""
    if Path(asked).is_dir():
        return Path(asked).resolve()
    place = REPORTS / (environment or "*")
    found = {
        path.resolve() for path in REPORTS.glob(f"{environment or '*'}/*") if path.is_dir() and _is_meant(path, asked)
    }
    if len(found) == 1:
        return found.pop()
    known = joined(", ", sorted(path.name for path in found)[:SHOWN]) or say("none in {place}", place=place)
    raise InputError(
        say(
            "run {asked}: {count} there. Expected: one folder of {place}; found {known}. Look: ls {place}",
            asked=asked,
            count=len(found),
            place=place,
            known=known,
        )
    )


def _is_meant(path: Path, asked: str) -> bool:
    return path.name == asked or (
        not path.is_symlink() and bool(asked) and (path.name.startswith(asked) or path.name.endswith(f"-{asked[:8]}"))
    )


def _need_whole(folder: Path, sealed: Sealed) -> None:
    problems = verify(sealed, SignatureCheck()).problems
    if problems:
        lines = joined("\n", (say("  {problem}", problem=problem) for problem in problems))
        again = typed_command("report", folder.name, environment=folder.resolve().parent.name)
        raise RefusedError(
            say(
                "{folder}: refused, nothing was packed: it does not verify\n{lines}\nTry: {again}",
                folder=folder,
                lines=lines,
                again=again,
            )
        )
