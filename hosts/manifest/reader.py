"""Manifests made inside the toolbox, where the data is."""

from __future__ import annotations

import hashlib
import secrets
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Final

from engine.constants import LABEL_MOVE, LABEL_ROLE, NAME, TOOLBOX_IMAGE
from engine.contracts.container import CommandResult
from engine.errors import DeadlineError, NotObservedError
from engine.finding import say
from hosts.coordination.fencing import change
from hosts.fleet import Fleet
from hosts.manifest.manifest import Manifest

PROGRAM: Final = (Path(__file__).parent / "program.py").read_bytes()
PROGRAM_AT: Final = "/tmp/manifest_program.py"  # noqa: S108 in the container, which is ours alone
LONGEST_S: Final = 4 * 3600.0
REMOVE_S: Final = 60.0


def run_helper(
    fleet: Fleet, host: str, name: str, argv: list[str], program: bytes, *, timeout_s: float, lacking: str
) -> CommandResult:
    """Run a program, given over standard input, in a helper container that is named `name`; one that outlives its
    deadline is removed.

    Raises DeadlineError, and CouldNotLookError that begins with what is `lacking` when the container can't be run or
    fails.
    """
    try:
        answer = change(fleet, host, argv, stdin=program, timeout_s=timeout_s)
    except DeadlineError:
        with suppress(NotObservedError):
            change(fleet, host, ["docker", "rm", "--force", name], timeout_s=REMOVE_S)
        raise
    if answer.exit_code:
        look = shlex.join(["docker", "image", "inspect", TOOLBOX_IMAGE])
        raise NotObservedError(
            say(
                "{host}: {lacking}: {error_text}. Try: ssh {host} {look}",
                host=host,
                lacking=lacking,
                error_text=answer.error_text[-300:],
                look=look,
            )
        )
    return answer


def read_manifest(fleet: Fleet, host: str, place: str, move_label: str = "", *, level: str = "full") -> Manifest:
    """Return the manifest of a volume (its name) or of a path of the host; one container, read-only, without network.

    The container carries `move_label` when it is made for a move. Raises CouldNotLookError when the manifest can't be
    made.
    """
    name = f"{NAME}-manifest-{secrets.token_hex(6)}"
    answer = run_helper(
        fleet,
        host,
        name,
        manifest_argv(name, place, move_label, level),
        PROGRAM,
        timeout_s=LONGEST_S,
        lacking=say("no manifest of {place}", place=place),
    )
    return Manifest(host, place, answer.stdout)


FROM_STDIN: Final = (
    "import hashlib, sys; text = sys.stdin.buffer.read(); "
    "hashlib.sha256(text).hexdigest() == sys.argv.pop(1) or sys.exit('the program did not arrive whole'); "
    "exec(compile(text, 'manifest_program.py', 'exec'))"
)
"""Runs a program that comes over standard input if it is the one whose digest is in the command: no file of it can
be replaced.
"""


def program_words() -> list[str]:
    """Return the words that run the program given over standard input; see `manifest_words`."""
    return ["python3", "-c", FROM_STDIN, hashlib.sha256(PROGRAM).hexdigest()]


def manifest_words(
    root: str = "/data",
    *,
    known: str = "",
    remember: str = "",
    level: str = "full",
    algorithm: str = "sha256",
    program: str = PROGRAM_AT,
    given: bool = False,
) -> list[str]:
    """Return the words that print a manifest where the program is a file already, or is `given` over standard input."""
    words = [
        *(program_words() if given else ["python3", program]),
        root,
        "--gzip",
        "--level",
        level,
        "--hash",
        algorithm,
    ]
    words += ["--known", known] if known else []
    return [*words, "--remember", remember] if remember else words


def manifest_argv(name: str, place: str, move_label: str, level: str = "full") -> list[str]:
    """Return the command; a program on standard input can't be imported by worker processes, as a file in
    /tmp it can.
    """
    kind = "bind" if place.startswith("/") else "volume"
    mount = f"type={kind},source={place},target=/data,readonly" + (",volume-nocopy" if kind == "volume" else "")
    label = ["--label", f"{LABEL_MOVE}={move_label}"] if move_label else []
    return [
        "docker", "run", "--rm", "--interactive", "--name", name, "--network", "none", "--log-driver", "none",
        *label, "--label", f"{LABEL_ROLE}=manifest", "--mount", mount, TOOLBOX_IMAGE,
        "sh", "-c", f"cat > {PROGRAM_AT} && exec {shlex.join(manifest_words(level=level))}",
    ]  # fmt: skip
