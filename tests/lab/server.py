"""A PostgreSQL server for the journal: a container of the lab's postgres image on this machine's own engine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import psycopg

from hosts.ssh.client import free_port
from lab.settings import POSTGRES, local_name

PASSWORD: Final = "Jour-nal%41/7"
"""With characters that an URL must escape."""

START_S: Final = 60.0


@dataclass(frozen=True)
class Server:
    """A running server; `url` holds its password."""

    container: str
    url: str

    def docker(self, *argv: str) -> str:
        """Run a docker command about the container and return its output."""
        return _docker(*argv, self.container)


def _docker(*argv: str) -> str:
    environment = {**os.environ, "POSTGRES_PASSWORD": PASSWORD}
    return subprocess.run(
        ["docker", *argv], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout


@contextmanager
def journal_server() -> Iterator[Server]:
    """Start a server with an empty database, and remove it with its volume whatever happened."""
    name, port = f"longshore-journal-{os.getpid()}", free_port()
    url = f"postgresql://postgres:{PASSWORD.replace('%', '%25').replace('/', '%2F')}@127.0.0.1:{port}/state"
    settings = ["--publish", f"127.0.0.1:{port}:5432", "--env", "POSTGRES_PASSWORD", "--env", "POSTGRES_DB=state"]
    try:
        _docker("run", "--detach", "--name", name, *settings, local_name(POSTGRES))
        _wait(url)
        yield Server(name, url)
    finally:
        _docker("rm", "--force", "--volumes", name)


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=5):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"the journal's server: no answer within {START_S:.0f} s")
        time.sleep(0.3)
