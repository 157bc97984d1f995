"""What only a real sshd and a real Docker Engine show about connections."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from engine.config.environment import Environment, load_environment
from engine.errors import DeadlineError, RefusedError
from hosts.fleet import open_hosts

FILE: Final = Path("environments/lab.yaml")
KILLED: Final = """
import os, signal
from pathlib import Path
from engine.config.environment import load_environment
from hosts.fleet import open_hosts
environment = load_environment(Path("environments/lab.yaml"))
with open_hosts(["wf005"], environment, Path(environment.ssh_config)) as fleet:
    print(fleet["wf005"]._master.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.usefixtures("raised_lab")


@pytest.fixture
def environment() -> Environment:
    """Return the lab's environment as its file says."""
    return load_environment(FILE)


def _ssh_config(environment: Environment) -> Path:
    assert environment.ssh_config
    return Path(environment.ssh_config)


def test_a_deadline_is_kept_while_the_far_end_keeps_running(environment: Environment) -> None:
    """A command past its deadline is left at once, although the connection still holds its pipes."""
    with open_hosts(["wf005"], environment, _ssh_config(environment)) as fleet:
        host = fleet["wf005"]
        started = time.monotonic()
        with pytest.raises(DeadlineError, match="did not end within 1 s"):
            host.run(["sleep", "30"], timeout_s=1)

        assert time.monotonic() - started < 15
        assert host.run(["echo", "still here"], timeout_s=10).text == "still here\n"


def test_forwards_come_back_with_a_new_connection(environment: Environment) -> None:
    """After its connection died, a host's Docker client works again on the next one."""
    with open_hosts(["wf005"], environment, _ssh_config(environment)) as fleet:
        before = {container.name for container in fleet.docker("wf005").containers.list(all=True)}
        master = fleet["wf005"]._master
        assert master
        master.kill()
        master.wait()

        assert {container.name for container in fleet.docker("wf005").containers.list(all=True)} == before != set()


def test_a_killed_operator_leaves_no_connection() -> None:
    """The connection ends with the process that opened it, also after kill -9."""
    ran = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    pid = int(ran.stdout)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2]:
        assert time.monotonic() < deadline, f"ssh master {pid} outlived its operator"
        time.sleep(0.1)

    assert ran.returncode == -9, ran.stderr


def test_another_host_key_is_refused(environment: Environment) -> None:
    """A machine with another host key than the pinned one gets no command."""
    stranger = environment.hosts["wf005"].model_copy(update={"ssh_host_key": environment.hosts["wf001"].ssh_host_key})
    other = environment.model_copy(update={"hosts": {**environment.hosts, "wf005": stranger}})
    with (
        open_hosts(["wf005"], other, _ssh_config(environment)) as fleet,
        pytest.raises(RefusedError, match=r"SHA256:.*Expected: the pinned one"),
    ):
        fleet["wf005"]


def test_another_engine_is_refused(environment: Environment) -> None:
    """A Docker Engine with another ID than the pinned one gets no command."""
    stranger = environment.hosts["wf005"].model_copy(update={"engine_id": "another"})
    other = environment.model_copy(update={"hosts": {**environment.hosts, "wf005": stranger}})
    with open_hosts(["wf005"], other, _ssh_config(environment)) as fleet:
        with pytest.raises(RefusedError, match="Engine's ID"):
            fleet.docker("wf005")
        with pytest.raises(RefusedError, match="Engine's ID"):
            fleet.gather(["wf005"])


def test_a_thousand_refused_connections_do_not_stop_a_host(environment: Environment) -> None:
    """Refused forwards leave nothing that fills up: commands still run after many of them."""
    with open_hosts(["wf005"], environment, _ssh_config(environment)) as fleet:
        host = fleet["wf005"]
        endpoint = host.forward(9)
        for _ in range(1500):
            _knock(endpoint.port)

        assert host.run(["echo", "still here"], timeout_s=10).text == "still here\n"


def _knock(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.recv(1)  # empty: the far end refused
