"""One operator at a time: this machine's own lock of an environment, and the lock on every host that a run touches."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final
from uuid import uuid4

from engine.command_line import typed_command
from engine.config.scope import Scope
from engine.contracts.move_state import MoveState
from engine.errors import HostLostError, NotObservedError, RefusedError
from engine.finding import say
from engine.journal.journal import Journal
from engine.project import STATE
from hosts.coordination.lock import Holder, read_lock, release_lock, take_lock
from hosts.fleet import Fleet
from hosts.local.operator import operator_name

LOCKS: Final = STATE


@contextmanager
def lock_environment(environment: str) -> Iterator[str]:
    """Keep other runs of this environment on this machine out and yield the token that its host locks carry.

    The token stays in the file while host locks stay: a run that was killed enters its own locks again. The kernel
    gives the file free when its process dies, however it dies.
    """
    path = LOCKS / f"{environment}.lock"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _lock_file(file, path)
        lines = _lines(file)
        token = lines[0] if lines and lines[0] else str(uuid4())
        hosts = lines[2] if len(lines) > 2 and lines[0] else ""  # noqa: PLR2004 the third line
        _write(file, _content(token, hosts.split()))
        yield token


def drop_token(environment: str) -> None:
    """Start with a new token next time: no host carries this one any more."""
    (LOCKS / f"{environment}.lock").write_text("", encoding="utf-8")


def hosts_with_token(environment: str) -> tuple[str, ...]:
    """Return the hosts that may carry the lock of this machine's token: those of a run that was killed, or of other
    services, too.
    """
    path = LOCKS / f"{environment}.lock"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return tuple(lines[2].split()) if len(lines) > 2 else ()  # noqa: PLR2004 the third line


def _remember(environment: str, token: str, hosts: Iterable[str]) -> None:
    with (LOCKS / f"{environment}.lock").open("a+", encoding="utf-8") as file:
        _write(file, _content(token, hosts))


def _content(token: str, hosts: Iterable[str]) -> str:
    return (
        f"{token}\npid {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n{' '.join(dict.fromkeys(hosts))}\n"
    )


@contextmanager
def lock_hosts(
    fleet: Fleet,
    scope: Scope,
    journal: Journal,
    *,
    token: str,
    command: str,
    break_reason: str | None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[dict[str, Holder]]:
    """Hold the lock of every host of the run; yields the holders whose locks were broken, by host.

    Given back at the end, with those of earlier runs under this token, unless a move of the plan is left unfinished:
    then it keeps everybody else out until the same journal goes on. A lock that somebody took over meanwhile is said.
    Raises RefusedError naming the holder, and leaves no lock behind that this call took.
    """
    environment = scope.environment.environment
    holder = Holder(
        token=token, environment=environment, operator=operator_name(), command=command,
        since=datetime.now(UTC).isoformat(timespec="seconds"), why=break_reason or "",
    )  # fmt: skip
    _remember(environment, token, (*hosts_with_token(environment), *scope.hosts))
    held_by_us: set[str] = set()
    try:
        with ThreadPoolExecutor(max_workers=len(scope.hosts)) as pool:
            jobs = {
                host: pool.submit(take_lock, fleet[host], holder, break_it=break_reason is not None)
                for host in scope.hosts
            }
        broken = {host: job.result() for host, job in jobs.items()}
        fleet.token = token
        held_by_us.update(scope.hosts)
        yield {host: held for host, held in broken.items() if held}
    finally:
        if not unfinished(scope, journal):
            left, taken_over = _release(fleet, (*scope.hosts, *hosts_with_token(environment)), token)
            _remember(environment, token, left) if left else drop_token(environment)
            for host in left:
                tell(
                    f"{host}: did not answer, so its lock is still there. Expected: free. The next run on this "
                    "machine gives it free, "
                    f"or once it answers: {scope.command('lock', 'release', '--token', token)}"
                )
            for host in taken_over:
                if host in held_by_us:
                    _tell_new_holder(fleet, scope, host, tell)


def unfinished(scope: Scope, journal: Journal) -> list[str]:
    """Return the services of the plan whose move is neither untouched nor at an end."""
    return [move.service for move in scope.plan.moves if MoveState(journal.move_state(move.service)).is_open]


def _tell_new_holder(fleet: Fleet, scope: Scope, host: str, tell: Callable[[str], None]) -> None:
    """Say who holds a lock that this run held, and how it is released should that run be dead."""
    try:
        holder = read_lock(fleet[host])
    except NotObservedError:
        return  # this run's lock is gone, which is all that its end needs
    if holder is not None:
        tell(
            say(
                "{host}: its lock was taken over while this run worked; it is held by {holder}. Expected: held by this "
                "run until its end. The new holder's run releases it; if that run is surely dead: {command}",
                host=host,
                holder=holder.text(),
                command=scope.command("lock", "release", "--token", holder.token),
            )
        )


def _release(fleet: Fleet, hosts: Iterable[str], token: str) -> tuple[list[str], list[str]]:
    """Release the locks of a token; return the hosts that did not answer, and those whose lock is not of this token.

    Of the first the token is kept, so that the next run can enter there.
    """
    left, others = [], []
    for host in (host for host in dict.fromkeys(hosts) if host in fleet.names):
        try:
            if not release_lock(fleet[host], token):
                others.append(host)
        except HostLostError:
            continue  # its lock goes with it; --break-lock takes it over should it rise
        except NotObservedError:
            left.append(host)
        except RefusedError:
            continue  # another machine has its name now
    return left, others


def _lock_file(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        lines = file.read().splitlines()
        who = lines[1] if len(lines) > 1 else say("another process")
        raise RefusedError(
            say(
                "{path}: held by a run on this machine ({who}). Expected: one run at a time. Wait for it, or look: "
                "{command}",
                path=path,
                who=who,
                command=typed_command("status", environment=path.stem),
            )
        ) from error


def _lines(file: IO[str]) -> list[str]:
    file.seek(0)
    return file.read().splitlines()


def _write(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
