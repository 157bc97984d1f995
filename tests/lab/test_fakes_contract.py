"""The fakes of the unit tests answer as the real things do: the same questions, put to both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import docker.errors
import pytest
import redis

from engine.config.environment import load_environment
from engine.contracts.container import CommandResult
from hosts.fleet import Fleet, open_hosts
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine
from tests.fakes.fleet import FakeFleet
from tests.fakes.host import HostWithFiles
from tests.fakes.inspect_answer import inspected
from tests.fakes.redis_server import FakeRedis, serving_redis
from tests.lab import at_hand
from tests.lab.at_hand import ROOT, SOURCE

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("raised_lab")]
NAME: Final = "longshore-contract"
LABEL: Final = "longshore.move"
MOVE: Final = "lab/contract/1"
FILE: Final = "/srv/longshore-contract"
DATABASE: Final = 15
KEYS: Final = {"a": "1", "b": "ü", "c": ""}
STOPS_AT_ONCE: Final = "trap 'exit 0' TERM; sleep 600 & wait"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Open a real host."""
    environment = load_environment(ROOT / "environments" / "lab.yaml")
    with open_hosts([SOURCE], environment, Path(str(environment.ssh_config))) as opened:
        yield opened


def _clean() -> None:
    at_hand.on_host(SOURCE, "sh", "-c", f"docker rm -f {NAME} {NAME}-old; docker network rm {NAME}; rm -f {FILE}; true")


@pytest.fixture
def container(fleet: Fleet) -> Iterator[str]:
    """Run a container on the real host, from an image that is there."""
    _clean()
    image = at_hand.inspect(SOURCE, "redis")["Config"]["Image"]
    argv = ("docker", "run", "--detach", "--name", NAME, "--label", f"{LABEL}={MOVE}", "--restart", "unless-stopped")
    yield at_hand.on_host(SOURCE, *argv, "--entrypoint", "sh", image, "-c", STOPS_AT_ONCE).strip()
    _clean()


def _as_fake() -> Engine:
    made = inspected()
    made["Name"], made["Config"]["Labels"] = f"/{NAME}", {LABEL: MOVE}
    made["State"]["StartedAt"] = "2026-01-01T00:00:00Z"
    made["HostConfig"]["RestartPolicy"] = {"Name": "unless-stopped", "MaximumRetryCount": 0}
    return Engine(made)


def _missing(question: Any, *arguments: Any) -> str:
    """Return which error of Docker's a question about something that is not there raises."""
    with pytest.raises(docker.errors.APIError) as raised:
        question(*arguments)
    return type(raised.value).__name__


def _state(api: Any, name: str = NAME) -> tuple[Any, ...]:
    found = api.inspect_container(name)["State"]
    return found["Status"], found["Running"], found["ExitCode"]


def _listed(api: Any, **how: Any) -> list[tuple[list[str], str]]:
    found = api.containers(filters={"label": [f"{LABEL}={MOVE}"]}, **how)
    return [(one["Names"], one["State"]) for one in found]


def _asked_of_engine(api: Any) -> list[Any]:
    """Put questions and changes to an engine that has the container, and return all answers."""
    said: list[Any] = [_missing(api.inspect_container, "no-such"), _state(api), _listed(api)]
    said.append(api.inspect_container(api.inspect_container(NAME)["Id"])["Name"])
    said += [api.containers(all=True, filters={"label": [f"{LABEL}=another"]})]
    began = api.inspect_container(NAME)["State"]["StartedAt"]
    api.start(NAME)
    said.append(api.inspect_container(NAME)["State"]["StartedAt"] == began)
    api.update_container(NAME, restart_policy={"Name": "no"})
    said.append(api.inspect_container(NAME)["HostConfig"]["RestartPolicy"]["Name"])
    for _ in range(2):
        api.stop(NAME, timeout=10)
        said += [_state(api), _listed(api), _listed(api, all=True)]
    state = api.inspect_container(NAME)["State"]
    said.append(state["FinishedAt"] > state["StartedAt"] == began)
    api.rename(NAME, f"{NAME}-old")
    said += [_missing(api.inspect_container, NAME), _state(api, f"{NAME}-old")]
    api.start(f"{NAME}-old")
    said += [
        _state(api, f"{NAME}-old"),
        api.inspect_container(f"{NAME}-old")["State"]["StartedAt"] > state["FinishedAt"],
    ]
    api.stop(f"{NAME}-old", timeout=10)
    api.remove_container(f"{NAME}-old", v=False)
    return [*said, _listed(api, all=True), _missing(api.inspect_container, f"{NAME}-old")]


def test_containers_of_the_engine(fleet: Fleet, container: str) -> None:
    """Found by name and id, stopped and started once, hidden when stopped, renamed, removed; what is not there is one
    kind of error.
    """
    assert _asked_of_engine(_as_fake().api) == _asked_of_engine(fleet.docker(SOURCE).api)


def _asked_of_networks(api: Any) -> list[Any]:
    pool = {"Driver": "default", "Config": [{"Subnet": "10.213.7.0/24"}]}
    api.create_network(NAME, driver="bridge", ipam=pool, labels={LABEL: MOVE})
    found = api.networks(filters={"label": f"{LABEL}={MOVE}"})
    said = [[(one["Name"], one["Labels"]) for one in found], api.networks(filters={"label": f"{LABEL}=another"})]
    said.append(api.inspect_network(NAME)["IPAM"]["Config"])
    api.remove_network(found[0]["Id"])
    return [*said, api.networks(filters={"label": f"{LABEL}={MOVE}"})]


def test_networks_of_the_engine(fleet: Fleet) -> None:
    """Made with a label, found by it, with the subnet that was asked for, removed by id."""
    _clean()
    try:
        assert _asked_of_networks(Engine().api) == _asked_of_networks(fleet.docker(SOURCE).api)
    finally:
        _clean()


def _outcome(answer: CommandResult) -> tuple[int, bytes, str]:
    """Return the exit code, the output and how the error ends."""
    return answer.exit_code, answer.stdout, answer.error_text.rpartition(": ")[2].strip()


def _asked_of_host(host: Any) -> list[Any]:
    def run(*argv: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        return _outcome(host.run(list(argv), stdin=stdin, timeout_s=20.0))

    said: list[Any] = [run("cat", FILE), run("ls", "-ln", FILE), run("rm", "-f", FILE)]
    said += [run("sh", "-c", 'umask 077; cat >"$1"', "sh", FILE, stdin=b"one\n\xff"), run("cat", FILE)]
    code, out, error = run("ls", "-ln", FILE)
    said += [code, out[:10], error]
    return [*said, run("rm", "-f", FILE), run("cat", FILE)]


def test_files_of_a_host(fleet: Fleet) -> None:
    """Written, read, listed and removed, with the exit codes and errors of the real programs."""
    _clean()
    assert _asked_of_host(HostWithFiles(SOURCE)) == _asked_of_host(fleet[SOURCE])


def test_hosts_of_a_fleet(fleet: Fleet) -> None:
    """A host has its name; one that the run does not hold is an error; without a lock there is no token."""
    fake: Any = FakeFleet({SOURCE: HostWithFiles(SOURCE)})
    for one in (fake, fleet):
        assert (one[SOURCE].name, one.token) == (SOURCE, None)
        with pytest.raises(KeyError):
            one["wf009"]


@pytest.mark.parametrize("clock", [FakeClock(), time], ids=["fake", "real"])
def test_a_clock(clock: Any) -> None:
    """It never goes back, and sleeping moves it by as much at least."""
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01


def _asked_of_redis(client: redis.Redis) -> list[Any]:
    said: list[Any] = [sorted(client.scan_iter()), client.get("a"), client.get("b"), client.get("none")]
    said += [client.type("a"), client.type("none"), client.execute_command("PEXPIRETIME", "a")]
    said += [
        client.execute_command("PEXPIRETIME", "none"),
        client.config_get("databases"),
        client.config_get("no-such"),
    ]
    with pytest.raises(redis.ResponseError, match="unknown command"):
        client.execute_command("NOSUCH")
    return said


def test_redis(fleet: Fleet) -> None:
    """Keys, types, lifetimes, settings, and what is not there."""
    words = ("docker", "exec", "-i", "redis", "redis-cli", "-n", str(DATABASE))
    environment = at_hand.inspect(SOURCE, "redis")["Config"]["Env"]
    password = next(line.partition("=")[2] for line in environment if line.startswith("REDISCLI_AUTH="))
    endpoint = fleet[SOURCE].forward(6379)
    assert at_hand.on_host(SOURCE, *words, "DBSIZE").strip() == "0", "the lab uses this database"
    try:
        for name, value in KEYS.items():
            at_hand.on_host(SOURCE, *words, "-x", "SET", name, stdin=value.encode())
        with serving_redis(FakeRedis({DATABASE: dict(KEYS)})) as fake:
            said = [
                _asked_of_redis(redis.Redis(host, port, db=DATABASE, password=word, protocol=3, decode_responses=True))
                for host, port, word in (("127.0.0.1", fake.port, None), (endpoint.host, endpoint.port, password))
            ]
        assert said[0] == said[1]
    finally:
        at_hand.on_host(SOURCE, *words, "FLUSHDB")
