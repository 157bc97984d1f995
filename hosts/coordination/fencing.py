"""Changes on a host run under the test of the lock's token, on the host: a run that lost its lock is refused there.

A test that the operator's machine makes before it sends a change proves nothing: it may sleep between the two. So the
host tests when all of the change has arrived, and keeps whoever breaks the lock waiting until a short change has ended
(`lock.FENCE`). A long one (a copy, a backup) is tested at its start only. It runs in helper containers of its move,
which the next run of that move removes before it touches anything. What runs long outside of one (removing a million
files, an operator's hook) keeps a new holder out however long it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, Protocol

from engine.constants import HOST_STATE_DIR
from engine.contracts.container import CommandResult, ContainerCommand
from engine.errors import NotObservedError, UnreachableError
from engine.finding import say
from hosts.coordination.lock import DIRECTORY, FENCE, LOST, NO_FLOCK, lost_lock

HELD_S: Final = 120.0
"""A change that may take longer does not keep a new holder waiting."""
LARGEST_GIVEN: Final = 4 << 20
"""Standard input up to so many bytes arrives whole before the token is tested; more comes while the change is
running.
"""
GIVEN_AT: Final = "/run"
NOT_WHOLE: Final = 75
SHORT_S: Final = 20.0
NOT_OURS: Final = "the lock of this run is not here:"
SILENT_ENGINE: Final = re.compile(
    r"^(docker: )?(Cannot connect to the Docker daemon|error during connect: |failed to connect to the docker API)",
    re.MULTILINE,
)
"""What Docker's own client says when its engine gives no answer (docker/docker, client: ErrorConnectionFailed): it
says nothing about what was asked for."""

FENCED: Final = f"""\
token=$1 held=$2 given=$3; shift 3
command -v flock >/dev/null || {{ echo "flock is not there" >&2; exit {NO_FLOCK}; }}
if [ "$given" -gt 0 ]; then
    file=$(umask 077; mktemp {GIVEN_AT}/longshore-given.XXXXXX) || exit {NO_FLOCK}
    trap 'rm -f -- "$file"' EXIT
    cat > "$file"
    [ "$(wc -c < "$file")" -eq "$given" ] || {{ echo "it did not arrive whole: the connection ended before" >&2;
      exit {NOT_WHOLE}; }}
    exec 8< "$file"; rm -f -- "$file"; trap - EXIT
else exec 8<&0
fi
if [ -d {HOST_STATE_DIR} ]; then exec 9>>{FENCE} && flock -s 9 || exit {NO_FLOCK}; fi
[ "$(cat {DIRECTORY}/token 2>/dev/null)" = "$token" ] \\
    || {{ printf '%s %s\\n' "{NOT_OURS}" "$(cat {DIRECTORY}/holder 2>/dev/null)" >&2; exit {LOST}; }}
[ "$held" = yes ] || exec "$@" <&8 8<&- 9<&-
"$@" <&8 8<&- 9<&-
"""
"""`$1` is the token, `$2` whether the fence is held to the end, `$3` how many bytes standard input has (0: take it as
it comes).
"""


class Locked(Protocol):
    """The hosts of a run; `token` is that of the lock that it holds on all of them, None (or not there) while it holds
    none.
    """

    def __getitem__(self, name: str) -> Any:
        """Return a host."""


def token_of(fleet: Locked) -> str | None:
    """Return the token of the lock that a run holds on all of its hosts, None while it holds none."""
    token: str | None = getattr(fleet, "token", None)
    return token


def fenced(
    argv: list[str], token: str | None, *, stdin: bytes = b"", timeout_s: float, held: bool | None = None
) -> list[str]:
    """Return argv as the host runs it only while the lock's token is `token`; argv itself for a run without a lock.

    Whether a new holder has to wait for its end is `held`; not given, its deadline decides.
    """
    if token is None:
        return argv
    small = len(stdin) <= LARGEST_GIVEN
    hold = small and (timeout_s <= HELD_S if held is None else held)
    return ["sh", "-c", FENCED, "fenced", token, "yes" if hold else "no", str(len(stdin) if small else 0), *argv]


def change(
    fleet: Locked, host: str, argv: list[str], *, stdin: bytes = b"", timeout_s: float, held: bool | None = None
) -> CommandResult:
    """Run argv, which changes something, on a host and return its result; raises LockLostError when the lock is not
    this run's any more. `held` is for what may take long and can't be ended by the next run: see `fenced`.
    """
    result: CommandResult = fleet[host].run(
        fenced(argv, token_of(fleet), stdin=stdin, timeout_s=timeout_s, held=held), stdin=stdin, timeout_s=timeout_s
    )
    refuse_lost(host, result)
    refuse_silent(host, result)
    return result


def change_inside(fleet: Locked, host: str, container: str, command: ContainerCommand) -> CommandResult:
    """Run a command that changes something inside a container, under the fence of its host's lock; its variables travel
    on standard input.
    """
    variables = "".join(f"{name}={value.reveal()}\n" for name, value in command.env.items()).encode()
    given = ("--env-file", "/dev/stdin") if variables else ()
    argv = ["docker", "exec", *given, container, *command.argv]
    return change(fleet, host, argv, stdin=variables, timeout_s=command.timeout_s)


@contextmanager
def changing(
    fleet: Locked, host: str, argv: list[str], *, stdin: bytes = b"", timeout_s: float, held: bool = False
) -> Iterator[IO[bytes]]:
    """Yield the output of argv, which changes something, while it comes; raises LockLostError as `change` does."""
    words = fenced(argv, token_of(fleet), stdin=stdin, timeout_s=timeout_s, held=held)
    try:
        with fleet[host].stream(words, stdin=stdin, timeout_s=timeout_s) as output:
            yield output
    except NotObservedError:
        see_ours(fleet, host)
        raise


def see_ours(fleet: Locked, host: str) -> None:
    """Ask a host whether the lock is still this run's; raises LockLostError when it is not."""
    if token_of(fleet) is not None:
        change(fleet, host, ["true"], timeout_s=SHORT_S)


def refuse_lost(host: str, result: CommandResult) -> None:
    """Raise LockLostError for the answer of a fenced command that was not run, CouldNotLookError when the host can't
    fence.
    """
    if result.exit_code == LOST and result.error_text.startswith(NOT_OURS):
        raise lost_lock(host, result.error_text.removeprefix(NOT_OURS))
    if result.exit_code == NO_FLOCK and result.error_text.endswith("flock is not there"):
        raise NotObservedError(
            say(
                "{host}: has no flock. Expected: flock of util-linux or busybox. Try: ssh {host} sudo apt-get install "
                "util-linux",
                host=host,
            )
        )


def refuse_silent(host: str, result: CommandResult) -> None:
    """Raise UnreachableError for a docker command whose engine gave no answer: what it was for has not failed."""
    if result.exit_code and SILENT_ENGINE.search(result.error_text):
        said = result.error_text.strip().splitlines()[-1][:160]
        raise UnreachableError(
            say("{host}: Docker does not answer: {said}. Try: ssh {host} docker ps", host=host, said=said)
        )
