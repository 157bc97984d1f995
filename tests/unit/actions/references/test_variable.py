"""Variables of a dependant: its container is made anew with everything else the same, wherever an earlier try was cut
off.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import docker.errors
import pytest

from actions.common.route import Route
from actions.container_spec.create_body import specification_of
from actions.references.variable import VariableReference, body_with
from engine.errors import ActionError
from tests.fakes.host import HostWithFiles
from tests.fakes.inspect_answer import inspected

KEPT = "/var/lib/longshore/references/lab-postgres-redis-variables.json"
CHANGED = {"DB_HOST": "192.0.2.2"}


class Cut(Exception):
    """The operator's machine died."""


class Engine:
    """A Docker Engine that makes what it is asked to make, and dies before the call with a number."""

    def __init__(self) -> None:
        """Start with one container that runs."""
        first = inspected()
        first["HostConfig"]["Links"] = None
        first["Config"]["Env"].append("DB_HOST=postgres")
        self.containers = {"redis": first}
        self.calls: list[str] = []
        self.dies_at = -1
        self.spoils = False

    @property
    def api(self) -> Engine:
        """Return itself."""
        return self

    def _called(self, text: str) -> None:
        if len(self.calls) == self.dies_at:
            raise Cut
        self.calls.append(text)

    def inspect_container(self, name: str) -> dict[str, Any]:
        """Return a container."""
        if name not in self.containers:
            raise docker.errors.NotFound("no", explanation="no")
        return copy.deepcopy({**self.containers[name], "Name": f"/{name}"})

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Return the image behind its tag."""
        return {"Id": "sha256:" + "1" * 64, "Name": name}

    def update_container(self, name: str, restart_policy: dict[str, Any]) -> None:
        """Set a restart policy."""
        self._called(f"policy {name} {restart_policy['Name']}")
        self.containers[name]["HostConfig"]["RestartPolicy"] = restart_policy

    def stop(self, name: str, timeout: int) -> None:
        """Stop."""
        self._called(f"stop {name}")
        self.containers[name]["State"] = {"Status": "exited", "Running": False, "ExitCode": 0}

    def start(self, name: str) -> None:
        """Start."""
        self._called(f"start {name}")
        self.containers[name]["State"] = {"Status": "running", "Running": True, "ExitCode": 0}

    def rename(self, name: str, new: str) -> None:
        """Rename."""
        self._called(f"rename {name} {new}")
        assert new not in self.containers
        self.containers[new] = self.containers.pop(name)

    def remove_container(self, name: str) -> None:
        """Remove one that is stopped."""
        self._called(f"remove {name}")
        assert not self.containers[name]["State"]["Running"]
        del self.containers[name]

    def create_container_from_config(self, body: dict[str, Any], name: str) -> None:
        """Make one as it is asked for."""
        self._called(f"create {name}")
        made = inspected()
        made["Config"] = {
            **{key: value for key, value in body.items() if key not in {"HostConfig", "NetworkingConfig"}},
            "Hostname": made["Id"][:12],
        }
        made["HostConfig"] = {**body["HostConfig"], "Memory": 1} if self.spoils else dict(body["HostConfig"])
        made["State"] = {"Status": "created", "Running": False}
        made["Config"]["Domainname"], made["Config"]["Entrypoint"] = "", body["Entrypoint"]
        self.containers[name] = made

    def connect_container_to_network(self, *words: Any, **given: Any) -> None:
        """Refuse: both networks are in the answer."""
        raise AssertionError((words, given))


class Fleet(dict[str, Any]):
    """One host and its engine."""

    token = None

    def __init__(self) -> None:
        """Start."""
        super().__init__(wf005=HostWithFiles())
        self.engine = Engine()

    def docker(self, name: str) -> Engine:
        """Return the engine."""
        return self.engine


@pytest.fixture
def fleet() -> Fleet:
    """Return a host with redis."""
    return Fleet()


def reference(fleet: Any, values: dict[str, str] | None = None) -> VariableReference:
    """Return the variables of redis."""
    return VariableReference(
        Route(fleet, "redis", "redis", "wf005", "wf005", "lab/postgres/1"), values or CHANGED, KEPT
    )


def test_everything_but_the_variable_stays() -> None:
    """Image by its tag, networks with their fixed addresses, the restart policy, and no label of ours."""
    source = inspected()
    body = body_with(source, dict(CHANGED), source["Image"])
    expected = specification_of(source)

    assert body["Env"] == [*source["Config"]["Env"], "DB_HOST=192.0.2.2"]
    assert body["Image"] == "redis:8"
    assert body["NetworkingConfig"]["EndpointsConfig"]["shop"]["IPAMConfig"] == {"IPv4Address": "172.20.0.9"}
    assert {**body["HostConfig"]} == expected["HostConfig"]
    assert body["Labels"] == source["Config"]["Labels"]


def test_a_tag_that_moved_on_is_not_followed() -> None:
    """The move is not an upgrade, and a rewriting is none either."""
    source = inspected()

    assert body_with(source, dict(CHANGED), "sha256:" + "9" * 64)["Image"] == source["Image"]


def test_it_is_made_anew_and_made_as_it_was(fleet: Fleet) -> None:
    """The old values are kept on the host until the container has them again; nothing else is left."""
    before = fleet.engine.inspect_container("redis")
    one = reference(fleet)

    lines = one.write()

    assert lines == ("environment of redis", "- DB_HOST=postgres", "+ DB_HOST=192.0.2.2")
    assert one.is_done()
    assert json.loads(fleet["wf005"].files[KEPT])["variables"] == {"DB_HOST": "postgres"}
    one.put_back()
    after = fleet.engine.inspect_container("redis")
    assert one.is_undone()
    assert list(fleet.engine.containers) == ["redis"]
    assert fleet["wf005"].files.keys() == {"/var/lib/longshore/audit.jsonl"} & fleet["wf005"].files.keys()
    assert after["Config"]["Env"] == before["Config"]["Env"]
    assert after["HostConfig"]["RestartPolicy"] == before["HostConfig"]["RestartPolicy"]


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("dies_at", range(9))
def test_wherever_it_is_cut_off_it_ends_as_it_should(fleet: Fleet, dies_at: int, back: bool) -> None:
    """One container, running, with its restart policy, with the new values, or with the old ones when it is undone
    instead.
    """
    one = reference(fleet)
    fleet.engine.dies_at = dies_at
    cut = False
    try:
        one.write()
    except Cut:
        cut = True
    fleet.engine.dies_at = -1
    assert cut == (dies_at < len(("policy", "stop", "rename", "create", "policy", "start", "remove")))

    (one.put_back if back else one.write)()

    assert list(fleet.engine.containers) == ["redis"]
    container = fleet.engine.inspect_container("redis")
    assert container["State"]["Running"]
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert ("DB_HOST=postgres" in container["Config"]["Env"]) is back
    assert one.is_undone() if back else one.is_done()


@pytest.mark.parametrize("dies_at", range(7))
def test_an_undo_that_is_cut_off_resumes(fleet: Fleet, dies_at: int) -> None:
    """The same at every call of the way back."""
    one = reference(fleet)
    one.write()
    fleet.engine.dies_at = len(fleet.engine.calls) + dies_at
    with pytest.raises(Cut):
        one.put_back()
    fleet.engine.dies_at = -1

    one.put_back()

    assert one.is_undone()
    assert list(fleet.engine.containers) == ["redis"]
    assert "DB_HOST=postgres" in fleet.engine.inspect_container("redis")["Config"]["Env"]


def test_one_that_is_not_equal_does_not_take_the_place_of_the_old(fleet: Fleet) -> None:
    """The old one is kept, and the undo gives it its name back."""
    one = reference(fleet)
    fleet.engine.spoils = True

    with pytest.raises(ActionError, match=r"HostConfig.Memory.* kept as redis-longshore-replaced"):
        one.write()
    one.put_back()

    assert fleet.engine.inspect_container("redis")["HostConfig"]["Memory"] == inspected()["HostConfig"]["Memory"]
    assert list(fleet.engine.containers) == ["redis"]


def test_two_services_references_do_not_undo_each_other(fleet: Fleet) -> None:
    """What was re-pointed later stays when the earlier one is put back."""
    first = reference(fleet)
    second = VariableReference(first.route, {"CACHE_HOST": "192.0.2.3"}, f"{KEPT}.other")
    first.write()
    second.write()

    first.put_back()

    env = fleet.engine.inspect_container("redis")["Config"]["Env"]
    assert "DB_HOST=postgres" in env
    assert "CACHE_HOST=192.0.2.3" in env
    second.put_back()
    assert "CACHE_HOST=192.0.2.3" not in fleet.engine.inspect_container("redis")["Config"]["Env"]


def test_a_secret_in_an_old_value_is_known_before_it_is_shown(fleet: Fleet) -> None:
    """The redactor gets it first."""
    fleet.engine.containers["redis"]["Config"]["Env"].append("DB_URL=postgres://u:hunter22@postgres/db")
    secrets: dict[str, str] = {}
    one = VariableReference(reference(fleet).route, {"DB_URL": "postgres://192.0.2.2/db"}, KEPT, secret=secrets.update)

    one.foresee()

    assert secrets == {"DB_URL": "postgres://u:hunter22@postgres/db"}


@pytest.mark.parametrize(("field", "value"), [("Links", ["/db:/redis/db"]), ("AutoRemove", True)])
def test_what_cannot_be_made_anew_is_refused_before(fleet: Fleet, field: str, value: Any) -> None:
    """Nothing was stopped then."""
    fleet.engine.containers["redis"]["HostConfig"][field] = value

    with pytest.raises(ActionError, match="can't be made anew as it is"):
        reference(fleet).foresee()
    assert not fleet.engine.calls


def test_its_stop_waits_as_long_as_its_operator_said(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--stop-timeout 300` of a container that finishes its work counts for its replacement too."""
    waited: list[int] = []
    stop = fleet.engine.stop
    monkeypatch.setattr(fleet.engine, "stop", lambda name, timeout: (waited.append(timeout), stop(name, timeout)))
    fleet.engine.containers["redis"]["Config"]["StopTimeout"] = 300
    reference(fleet).write()
    assert waited == [300]
