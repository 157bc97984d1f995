"""The Docker Engine of this machine, and what the lab asks of it."""

from __future__ import annotations

import fcntl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import docker
from docker.errors import DockerException

from lab.settings import KEPT, LABEL, LabError

DEADLINE_S: Final = 900
Thing = TypeVar("Thing")


def connect() -> Any:
    """Return a client of this machine's engine; raises LabError when none answers."""
    try:
        client = docker.from_env(timeout=DEADLINE_S)
        client.ping()
    except DockerException as error:
        raise LabError(
            "this machine: no Docker Engine answers. Expected: one on the usual socket. Try: ./bootstrap.sh demo, "
            "which "
            f"installs and starts it ({str(error).splitlines()[0][:120]})"
        ) from error
    return client


def run(argv: list[str], *, stdin: bytes | None = None, deadline_s: float = DEADLINE_S) -> bytes:
    """Run a program and return its output; raises LabError with the end of what it said."""
    try:
        answer = subprocess.run(argv, input=stdin, capture_output=True, timeout=deadline_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv[:4])} …: no end after {deadline_s:.0f} s. Try it by hand") from error
    if answer.returncode:
        said = (answer.stderr or answer.stdout).decode(errors="replace").strip().splitlines()[-8:]
        raise LabError(f"{' '.join(argv[:6])} …: exit status {answer.returncode}: " + "\n  ".join(said))
    return answer.stdout


@contextmanager
def alone() -> Iterator[None]:
    """Keep other changing commands of the lab away meanwhile; raises LabError when one runs."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lab.lock").open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(
                "this machine: another command of the lab is running. Expected: one at a time. Wait for its "
                "end: ps ax | grep 'm lab'"
            ) from error
        yield


def at_once(action: Callable[[Thing], object], things: Iterable[Thing], *, at_most: int = 100) -> None:
    """Do the same to several things at the same time; raises the first thing's error after all have ended."""
    wanted = list(things)
    with ThreadPoolExecutor(max_workers=max(1, min(len(wanted), at_most))) as pool:
        for ended in [pool.submit(action, thing) for thing in wanted]:
            ended.result()


def pipe(source: list[str], sink: list[str], *, deadline_s: float = DEADLINE_S) -> None:
    """Run two programs, the first one's output into the second; raises LabError when either fails."""
    with subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as giving:
        try:
            taking = subprocess.run(sink, stdin=giving.stdout, capture_output=True, timeout=deadline_s, check=False)
        except subprocess.TimeoutExpired as error:
            giving.kill()
            raise LabError(
                f"{' '.join(source[:2])} | {' '.join(sink[:4])} …: no end after {deadline_s:.0f} s. Try it by hand"
            ) from error
    if giving.returncode or taking.returncode:
        said = taking.stderr.decode(errors="replace").strip()[-300:]
        raise LabError(
            f"{' '.join(source[:4])} … | {' '.join(sink[:6])} …: exit status {giving.returncode} and "
            f"{taking.returncode}: {said}"
        )


def wait_until(
    what: str, question: Callable[[], str], deadline_s: float, *, hint: str = f"docker ps -a --filter label={LABEL}"
) -> None:
    """Ask until the answer is empty (nothing missing); raises LabError with the last answer, the wait and where to
    look.
    """
    started, pause = time.monotonic(), 0.1
    while missing := question():
        waited = time.monotonic() - started
        if waited > deadline_s:
            raise LabError(f"{what}: not after {waited:.0f} s (last: {missing}). Look: {hint}")
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
