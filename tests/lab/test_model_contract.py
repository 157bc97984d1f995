"""The modelled host of the simulation answers as a real one of the lab: the same questions, put to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker.errors
import pytest

from actions.common.labels import labels
from actions.common.route import Route
from actions.common.toolbox import ToolboxMount, remove_helpers, toolbox_argv
from actions.container_spec.saved_spec import read_privately, save_privately
from actions.copy.locations import DataPlace, volume_label
from actions.copy.safety_copy import aside_of, copy_beside, prove_beside
from actions.copy.ssh_channel import Peer, close_channel, has_key, list_keys, make_channel
from engine.config.environment import load_environment
from engine.constants import HOST_STATE_DIR, LABEL_MOVE, TOOLBOX_IMAGE
from engine.errors import LongshoreError
from hosts.coordination.audit_log import append_lines, read_audit
from hosts.coordination.fencing import change
from hosts.coordination.lock import Holder, read_lock, release_lock, take_lock
from hosts.fleet import Fleet, open_hosts
from tests.simulation.fleet import SimFleet
from tests.simulation.play import simulation
from tests.simulation.process import Process
from tests.simulation.story import Story
from tests.simulation.world import File, Machine, Volume, World

ROOT: Final = Path(__file__).resolve().parents[2]
FIRST, SECOND = "wf005", "wf001"
LABEL: Final = "lab/contract/1"
NAME, OTHER, NETWORK, DATA, MISSING = "contract", "contract-other", "contract-net", "contract_data", "contract-missing"
PORT: Final = 39871
PROGRAM: Final = ["-c", "trap 'exit 0' TERM; sleep 600 & wait"]
NEVER: Final = "0001-01-01T00:00:00Z"
SAYS: Final = (
    "already in use", "no such container", "no such volume", "volume is in use", "port is already allocated",
    "active endpoints", "network", "does not run", "is not running", "container is running", "no such object",
)  # fmt: skip
"""What distinguishes the engine's refusals; the first that fits counts."""

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("raised_lab")]


@dataclass
class Side:
    """Hosts that are asked: real ones, or modelled ones."""

    fleet: Any
    peer: Peer
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def api(self) -> Any:
        """Return the engine's client of the first host."""
        return self.fleet.docker(FIRST).api

    def run(self, *argv: str) -> tuple[int, str, str]:
        """Return how a command ends on the first host: its status, whether it said anything, what kind of error."""
        answer = self.fleet[FIRST].run(list(argv), timeout_s=60.0)
        return answer.exit_code, "words" if answer.text.strip() else "", _kind(answer.error_text)

    def ask(self, name: str, question: Callable[[], Any]) -> None:
        """Put a question and keep the answer, or how it was refused."""
        try:
            self.answers[name] = question()
        except docker.errors.APIError as error:
            self.answers[name] = f"{type(error).__name__}: {_kind(str(error.explanation))}"
        except LongshoreError as error:
            self.answers[name] = type(error).__name__

    def route(self) -> Route:
        """Return the way of a move from the first host to the second."""
        return Route(self.fleet, NAME, NAME, FIRST, SECOND, LABEL)


def _kind(text: str) -> str:
    return next((one for one in SAYS if one in text.lower()), "other" if text.strip() else "")


def _body(name: str, *, port: bool = False) -> dict[str, Any]:
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": str(PORT)}]} if port else {}
    return {
        "Image": TOOLBOX_IMAGE, "Entrypoint": ["sh"], "Cmd": PROGRAM, "Labels": labels(LABEL, "service"),
        "Env": ["A=b"], "Hostname": name, "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {
            "Binds": [f"{DATA}:/data"], "NetworkMode": NETWORK, "PortBindings": bindings,
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        },
        "NetworkingConfig": {"EndpointsConfig": {NETWORK: {"Aliases": ["alias"]}}},
    }  # fmt: skip


def _state(inspect: dict[str, Any]) -> dict[str, Any]:
    """Return of an inspection what longshore judges by."""
    state, networks = inspect["State"], inspect["NetworkSettings"]["Networks"]
    return {
        "name": inspect["Name"], "status": state["Status"], "running": state["Running"], "exit": state["ExitCode"],
        "started": state["StartedAt"] != NEVER, "finished": state["FinishedAt"] != NEVER, "pid": state["Pid"] > 0,
        "policy": inspect["HostConfig"]["RestartPolicy"], "move": inspect["Config"]["Labels"][LABEL_MOVE],
        "mounts": [(one["Type"], one["Name"], one["Destination"], one["RW"]) for one in inspect["Mounts"]],
        "networks": sorted(networks), "address": bool(networks.get(NETWORK, {}).get("IPAddress")),
        "image": inspect["Image"].startswith("sha256:"), "id": len(inspect["Id"]),
    }  # fmt: skip


def ask_engine(side: Side) -> None:
    """Create, start, stop, rename and remove through the engine's API, and be refused."""
    api, ask = side.api, side.ask

    def state(name: str = NAME) -> dict[str, Any]:
        return _state(api.inspect_container(name))

    def after(name: str, question: Callable[[], Any]) -> None:
        ask(name, lambda: (question(), None)[1])
        ask(f"{name}: state", state)

    ask("inspect missing", lambda: api.inspect_container(MISSING))
    ask("start missing", lambda: api.start(MISSING))
    ask("stop missing", lambda: api.stop(MISSING))
    ask("remove missing", lambda: api.remove_container(MISSING))
    ask("create without its network", lambda: sorted(api.create_container_from_config(_body(NAME), NAME)))
    ask("start without its network", lambda: api.start(NAME))
    ask("its state", lambda: [api.inspect_container(NAME)["State"][key] for key in ("Status", "Running")])
    ask("remove what never ran", lambda: api.remove_container(NAME))
    ask("create a network", lambda: sorted(set(api.create_network(NETWORK, labels={"c": "d"})) & {"Id"}))
    ask("networks by label", lambda: [one["Name"] for one in api.networks(filters={"label": "c=d"})])
    ask("inspect a network", lambda: api.inspect_network(NETWORK)["Containers"])
    ask("inspect a missing network", lambda: api.inspect_network(MISSING))
    after("create", lambda: api.create_container_from_config(_body(NAME, port=True), NAME))
    ask("create again", lambda: api.create_container_from_config(_body(NAME), NAME))
    after("start", lambda: api.start(NAME))
    after("start again", lambda: api.start(NAME))
    ask("create another", lambda: (api.create_container_from_config(_body(OTHER, port=True), OTHER), None)[1])
    ask("start it at a taken port", lambda: api.start(OTHER))
    ask("it is not running", lambda: api.inspect_container(OTHER)["State"]["Running"])
    ask("rename to a taken name", lambda: api.rename(OTHER, NAME))
    ask("rename", lambda: api.rename(OTHER, f"{OTHER}-2"))
    ask("the old name is gone", lambda: api.inspect_container(OTHER))
    ask("listed", lambda: sorted(one["Names"][0] for one in _listed(api, all=True)))
    ask("listed as running", lambda: sorted(one["Names"][0] for one in _listed(api)))
    ask("remove it", lambda: api.remove_container(f"{OTHER}-2"))
    ask("on the network", lambda: len(api.inspect_network(NETWORK)["Containers"]))
    ask("remove a network in use", lambda: api.remove_network(NETWORK))
    after("policy", lambda: api.update_container(NAME, restart_policy={"Name": "no"}))
    ask("remove while it runs", lambda: api.remove_container(NAME))
    ask("volume in use", lambda: api.remove_volume(DATA))
    after("stop", lambda: api.stop(NAME, timeout=10))
    after("stop again", lambda: api.stop(NAME, timeout=10))
    ask("on the network when stopped", lambda: len(api.inspect_network(NETWORK)["Containers"]))
    ask("volume of a stopped one", lambda: api.remove_volume(DATA))
    after("start after a stop", lambda: api.start(NAME))
    ask("remove by force", lambda: api.remove_container(NAME, force=True))
    ask("remove the network", lambda: api.remove_network(NETWORK))
    ask("remove it again", lambda: api.remove_network(NETWORK))
    ask("remove its volume", lambda: api.remove_volume(DATA))


def ask_volumes(side: Side) -> None:
    """Create, create again and remove volumes through the engine's API."""
    api, ask = side.api, side.ask
    ask("create the volume", lambda: api.create_volume(DATA)["Name"])
    ask("inspect the volume", lambda: api.inspect_volume(DATA)["Name"])
    ask("create the volume again", lambda: api.create_volume(DATA, labels={"e": "f"})["Name"])
    ask("its labels stay", lambda: api.inspect_volume(DATA)["Labels"] or {})
    ask("remove the volume", lambda: api.remove_volume(DATA))
    ask("inspect a missing volume", lambda: api.inspect_volume(DATA))
    ask("remove a missing volume", lambda: api.remove_volume(DATA))
    ask("create a volume", lambda: (api.create_volume(DATA, labels=labels(LABEL, "copy")), None)[1])
    ask("its label", lambda: volume_label(side.route(), FIRST, DATA))
    ask("remove that volume", lambda: api.remove_volume(DATA))


def _listed(api: Any, *, all: bool = False) -> list[dict[str, Any]]:  # noqa: A002 the SDK's name
    found: list[dict[str, Any]] = api.containers(all=all, filters={"label": [f"{LABEL_MOVE}={LABEL}"]})
    return found


def ask_commands(side: Side) -> None:
    """Put the commands of Docker that longshore sends over ssh, about what is there and what is not."""
    ask, run = side.ask, side.run
    label = f"label={LABEL_MOVE}={LABEL}"
    helper = toolbox_argv(
        ["sleep", "600"], name=NAME, move_label=LABEL, role="copy", flags=("--detach",),
        mounts=[ToolboxMount("volume", DATA, "/data")],
    )  # fmt: skip
    for verb in ("inspect", "logs", "start", "stop", "rm"):
        ask(f"{verb} missing", lambda verb=verb: run("docker", verb, MISSING))
    ask("rm --force missing", lambda: run("docker", "rm", "--force", "--volumes", MISSING))
    ask("update missing", lambda: run("docker", "update", "--restart", "no", MISSING))
    ask("volume rm missing", lambda: run("docker", "volume", "rm", MISSING))
    ask("exec missing", lambda: run("docker", "exec", MISSING, "true"))
    ask("none is listed", lambda: run("docker", "ps", "--all", "--quiet", "--filter", label))
    for network in (MISSING, f"container:{MISSING}"):
        elsewhere = toolbox_argv(["true"], name=NAME, move_label=LABEL, role="copy", network=network)
        ask(f"run on network {network}", lambda elsewhere=elsewhere: run(*elsewhere)[:2])
        ask(f"nothing of it is left: {network}", lambda: run("docker", "ps", "--all", "--quiet", "--filter", label))
    ask("run", lambda: run(*helper))
    ask("run again", lambda: run(*helper))
    ask("listed", lambda: run("docker", "ps", "--all", "--quiet", "--filter", label))
    ask("inspect", lambda: run("docker", "inspect", NAME))
    ask("exec", lambda: run("docker", "exec", NAME, "true"))
    ask("rm of a running one", lambda: run("docker", "rm", NAME))
    ask("update", lambda: run("docker", "update", "--restart", "no", NAME))
    ask("volume rm in use", lambda: run("docker", "volume", "rm", DATA))
    ask("helpers removed", lambda: remove_helpers(side.fleet, FIRST, LABEL, "copy"))
    ask("helpers removed again", lambda: remove_helpers(side.fleet, FIRST, LABEL, "copy"))
    ask("volume rm", lambda: run("docker", "volume", "rm", DATA))
    ask("a file that is not there", lambda: run("cat", "--", f"{HOST_STATE_DIR}/{MISSING}"))
    ask("a directory that is not there", lambda: run("ls", "-d", "--", f"/run/{MISSING}"))
    ask("rm -rf of what is not there", lambda: run("rm", "-rf", "--", f"/run/{MISSING}"))


def ask_lock(side: Side) -> None:
    """Take, lose, break and give back the lock; change and write under it."""
    host, ask, fleet, said = side.fleet[FIRST], side.ask, side.fleet, '"contract": '
    one, two = (Holder(token, "lab", "contract", "migrate", "2026-01-01T00:00:00+00:00") for token in ("one", "two"))

    def held() -> str:
        found = read_lock(host)
        return found.token if found else ""

    def under(token: str | None, do: Callable[[], Any]) -> Any:
        before, fleet.token = fleet.token, token
        try:
            return do()
        finally:
            fleet.token = before

    ask("free", held)
    ask("take", lambda: take_lock(host, one))
    ask("take again", lambda: take_lock(host, one))
    ask("take another's", lambda: take_lock(host, two))
    ask("held", held)
    ask("change", lambda: under("one", lambda: change(fleet, FIRST, ["true"], timeout_s=20.0).exit_code))
    ask("change with input", lambda: under("one", lambda: save_privately(fleet, FIRST, _path(), b'"a"', doing="save")))
    ask("what was saved", lambda: read_privately(fleet, FIRST, _path(), expected="a word"))
    ask("change of another", lambda: under("two", lambda: change(fleet, FIRST, ["true"], timeout_s=20.0)))
    ask("engine of another", lambda: under("two", lambda: side.api.create_volume(DATA)))
    ask("and it has not", lambda: side.api.inspect_volume(DATA))
    ask("audit", lambda: append_lines(host, [{"contract": 1}], token="one"))
    ask("audit of another", lambda: append_lines(host, [{"contract": 2}], token="two"))
    ask("audit without a token", lambda: append_lines(host, [{"contract": 3}]))
    ask("audit log", lambda: [line.rpartition(said)[2] for line in read_audit(host) if said in line])
    ask("break", lambda: getattr(take_lock(host, two, break_it=True), "token", None))
    ask("held by the other", held)
    ask("change of who lost it", lambda: under("one", lambda: change(fleet, FIRST, ["true"], timeout_s=20.0)))
    ask("release of who lost it", lambda: release_lock(host, "one"))
    ask("release", lambda: release_lock(host, "two"))
    ask("release again", lambda: release_lock(host, "two"))
    ask("free again", held)
    ask("change of nobody", lambda: under("two", lambda: change(fleet, FIRST, ["true"], timeout_s=20.0)))
    ask("remove the file", lambda: side.run("rm", "-f", "--", _path()))
    ask("no file", lambda: read_privately(fleet, FIRST, _path(), expected="a word"))


def _path() -> str:
    return f"{HOST_STATE_DIR}/specifications/{NAME}.json"


def ask_keys(side: Side) -> None:
    """Make a temporary key, let it in on the other host, and take both back; twice, as a resumed run does."""
    ask, fleet, about = side.ask, side.fleet, {"move_label": LABEL, "purpose": "copy"}

    def ours() -> list[str]:
        return [key for key in list_keys(fleet, SECOND) if LABEL in key]

    def make() -> None:
        make_channel(fleet, FIRST, side.peer, forced_command="false", valid_s=60.0, **about)

    ask("no key", lambda: (ours(), has_key(fleet, FIRST, **about)))
    ask("make", make)
    ask("there", lambda: (ours(), has_key(fleet, FIRST, **about)))
    ask("make again", make)
    ask("there once", lambda: (ours(), has_key(fleet, FIRST, **about)))
    ask("close", lambda: close_channel(fleet, FIRST, SECOND, **about))
    ask("gone", lambda: (ours(), has_key(fleet, FIRST, **about)))
    ask("close again", lambda: close_channel(fleet, FIRST, SECOND, **about))


def ask_copies(side: Side) -> None:
    """Copy a volume into its safety copy, over what differs and what is only there, and compare; then from nowhere."""
    ask, route, place = side.ask, side.route(), DataPlace("volume", DATA)
    aside = aside_of(place, LABEL)

    def copy(source: DataPlace = place) -> None:
        copy_beside(route, FIRST, "contract", place=source, to=aside)

    ask("volume", lambda: (side.api.create_volume(aside.source, labels=labels(LABEL, "aside")), None)[1])
    ask("differs", lambda: prove_beside(route, FIRST, [place]))
    ask("copy", copy)
    ask("the same", lambda: prove_beside(route, FIRST, [place]))
    ask("copy again", copy)
    ask("the same again", lambda: prove_beside(route, FIRST, [place]))
    ask("remove what was copied", lambda: side.api.remove_volume(aside.source))
    ask("remove the volume", lambda: side.api.remove_volume(DATA))


QUESTIONS: Final = (ask_engine, ask_volumes, ask_commands, ask_lock, ask_keys, ask_copies)


@pytest.fixture(scope="module")
def real() -> Iterator[Fleet]:
    """Open two hosts of the lab."""
    environment = load_environment(ROOT / "environments" / "lab.yaml")
    with open_hosts((FIRST, SECOND), environment, ROOT / "state/lab/ssh_config") as fleet:
        _clear(fleet)
        yield fleet
        _clear(fleet)


def _clear(fleet: Fleet) -> None:
    """Remove from the first host what these questions may have left."""
    names = (NAME, OTHER, f"{OTHER}-2")
    volumes = (DATA, aside_of(DataPlace("volume", DATA), LABEL).source)
    for argv in (["rm", "--force", *names], ["network", "rm", NETWORK], ["volume", "rm", *volumes]):
        fleet[FIRST].run(["docker", *argv], timeout_s=60.0)
    for token in ("one", "two"):
        with suppress(LongshoreError):
            release_lock(fleet[FIRST], token)
    fleet[FIRST].run(["rm", "-f", "--", _path()], timeout_s=20.0)
    with suppress(LongshoreError):
        close_channel(fleet, FIRST, SECOND, move_label=LABEL, purpose="copy")
    log = f"{HOST_STATE_DIR}/audit.jsonl"
    fleet[FIRST].run(["sh", "-c", f"[ ! -e {log} ] || sed -i /contract/d {log}"], timeout_s=20.0)


def _modelled() -> Side:
    """Return modelled hosts under the same names."""
    machines = {FIRST: Machine(FIRST, "192.0.2.1"), SECOND: Machine(SECOND, "192.0.2.2")}
    world = World(machines)
    process = Process("contract", "one", 1, world, Story(()))
    return Side(SimFleet((FIRST, SECOND), None, process), Peer(SECOND, "192.0.2.2", "ssh-ed25519 AAAAmodel"))


@pytest.mark.parametrize("questions", QUESTIONS, ids=lambda one: one.__name__)
def test_the_model_answers_as_a_real_host(real: Fleet, questions: Callable[[Side], None]) -> None:
    """Status, stream and the state afterwards are the same: what the simulation finds, a real host would show."""
    identity = load_environment(ROOT / "environments" / "lab.yaml").hosts[SECOND]
    asked = Side(real, Peer(SECOND, identity.address, identity.ssh_host_key))
    if questions is ask_copies:
        write = "mkdir /data/new && rmdir /data/new && printf 12345 > /data/conf && sync -f /data"
        words = toolbox_argv(
            ["sh", "-c", write], move_label=LABEL, role="copy", mounts=[ToolboxMount("volume", DATA, "/data")]
        )
        assert real[FIRST].run(words, timeout_s=60.0).exit_code == 0
    questions(asked)
    with simulation():
        modelled = _modelled()
        if questions is ask_copies:
            volume = Volume(DATA)
            volume.files["conf"] = File({("conf", number) for number in range(5)}, 1)
            modelled.fleet.process.world.machines[FIRST].volumes[DATA] = volume
        questions(modelled)
    assert asked.answers == modelled.answers
    assert asked.answers
