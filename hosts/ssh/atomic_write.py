"""Writing what comes over standard input, whole or not at all.

When the operator's machine dies, standard input ends as if all had come: a script that takes that for the end of a file
keeps half of it, or an empty one, under the right name. So the number of bytes goes along.
"""

from __future__ import annotations

from typing import Final

TAKE: Final = """\
whole=$1; shift
take() {
    cat > "$1" && [ "$(wc -c < "$1")" -eq "$whole" ] && return
    rm -f -- "$1"; echo "it did not arrive whole: the connection ended before" >&2; exit 75
}
"""
"""Shell words: `take FILE` writes standard input there, or leaves no FILE and ends the script."""


def taking(script: str, name: str, content: bytes, *arguments: str) -> list[str]:
    """Return argv of a script that stores `content`, which it gets over standard input, with `take`; `name` is its
    `$0`.
    """
    return ["sh", "-c", TAKE + script, name, str(len(content)), *arguments]
