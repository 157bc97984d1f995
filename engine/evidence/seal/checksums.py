"""SHA256SUMS: written as `sha256sum -c` reads it, read strictly: each of its bytes means something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from engine.command_line import ANY, typed_command
from engine.evidence.seal.sealed_folder import SIGNATURE, SUMS, Sealed

LINE: Final = re.compile(r"([0-9a-f]{64})  ([^\n\\]+)")
"""sha256sum escapes names with a line break or backslash; our names have none."""


def sums_text(digests: Mapping[str, str]) -> str:
    """Return the content of SHA256SUMS."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def read_sums(text: str) -> tuple[dict[str, str], list[str]]:
    """Return the digests by name, and what is wrong with the file itself."""
    problems, found = [], {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = LINE.fullmatch(line)
        if match is None:
            problems.append(
                f'{SUMS}: line {number} is "{line[:90]}". Expected: a SHA-256 in small letters, two spaces, a '
                "file's name"
            )
        elif match[2] in found:
            problems.append(f"{SUMS}: line {number} names {match[2]} again. Expected: each file once")
        else:
            found[match[2]] = match[1]
    if not problems and text != sums_text(found):
        problems.append(
            f"{SUMS}: its lines or line ends are not as they were written. Expected: sorted by name, one line "
            "break after each"
        )
    return found, problems


def sum_problems(sealed: Sealed) -> Iterable[str]:
    """Yield which files are missing, were added or hold something else than was sealed."""
    if SUMS not in sealed.files:
        again = typed_command("report", "latest", environment=ANY)
        yield (
            f"{SUMS}: not there. Expected: the SHA-256 of every file. Draw the evidence again from its journal: {again}"
        )
        return
    expected, wrong = read_sums(sealed.text(SUMS))
    yield from wrong
    digests = sealed.digests(without=frozenset({SUMS, SIGNATURE}))
    for name in sorted({*expected, *digests}):
        if name not in digests:
            yield f"{name}: missing. Expected: a file with SHA-256 {expected[name]}, which {SUMS} names"
        elif name not in expected:
            yield f"{name}: was added: {SUMS} does not name it. Expected: sealed files only"
        elif digests[name] != expected[name]:
            yield f"{name}: is not what was sealed: SHA-256 {digests[name]}. Expected: {expected[name]}, as {SUMS} says"
    yield from sealed.odd
