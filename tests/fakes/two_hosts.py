"""Two hosts in memory: engines, volumes, files, relays and clients that write; any call to a host can be the last of a
killed process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Final

import docker.errors
import pytest
import requests.exceptions

from actions.common.labels import labels
from actions.common.route import Route
from actions.container_spec.identity import NEVER
from actions.copy.endpoints import CopyEndpoints
from actions.copy.locations import DataPlace
from actions.copy.rsync import CopyPass
from actions.relays.planning import Relay
from actions.replication.replica import ROLE as REPLICA
from actions.replication.replica import Replica
from engine.config.scope import Scope, build_scope
from engine.constants import LABEL_ROLE
from engine.contracts.action import Action
from engine.contracts.container import CommandResult
from engine.errors import ActionError, UnreachableError
from engine.journal.journal import Run
from engine.redaction.redactor import Redactor
from engine.verdict import Effect, passed
from hosts.facts.model import HostFacts
from hosts.facts.parse import parse_container
from hosts.facts.system import SystemFacts
from hosts.manifest.manifest import Drift
from phases.context.run_context import RunContext
from phases.context.service_move import service_move
from tests.fakes.facts import make_host
from tests.fakes.inspect_answer import TARGET_ID, inspected, json_copy, recreated
from tests.fakes.project_files import make_environment, make_inventory, make_plan
from tests.unit.actions.container.test_source import Engine

SOURCE: Final = "wf005"
REPLICA_ID: Final = "7" * 64
TARGET: Final = "wf001"
DATA: Final = "redis_data"
POLICY: Final = "unless-stopped"
NETWORKS: Final = ("services/n8n/networks", ["apps"])


HOOKS: Final = (
    "services/redis/hooks",
    {"before_hold": {"argv": ["/bin/drain"], "undo_argv": ["/bin/fill"]}, "after_commit": {"argv": ["/bin/notify"]}},
)
REWRITTEN: Final = (
    "links/0/rewrite",
    [{"kind": "environment", "variable": "QUEUE_BULL_REDIS_HOST", "value": "{host}"}],
)


def scope_of(*changes: tuple[str, Any], services: tuple[str, ...] = ("redis",)) -> Scope:
    """Return the move of redis, copied once it is stopped."""
    inventory = make_inventory(NETWORKS, ("services/redis/networks", ["apps"]), *changes)
    backup = ("backup", {"host": "wf002", "path": "/srv/backup", "password": "env:BACKUP_PASSWORD"})
    return build_scope(
        inventory, make_plan(("moves/1/strategy", "stop_copy")), make_environment(backup), services=services
    )


SCOPE: Final = scope_of()


class Killed(BaseException):
    """The operator's process ends here: nothing of it runs any more."""


class ModelledEngine(Engine):
    """An engine with volumes, whose changing calls count and whose containers are made as they are asked for."""

    def __init__(self, model: Model, host: str, *containers: dict[str, Any]) -> None:
        """Belong to a host of the model."""
        super().__init__(*containers)
        self.model, self.host = model, host
        self.silent_for = 0

    @property
    def api(self) -> Engine:
        """Answer, unless it is silent for some calls or for good."""
        if self.silent_for:
            self.silent_for -= 1
            raise requests.exceptions.ConnectionError("the forward was cut")
        return super().api

    def inspect_volume(self, name: str) -> dict[str, Any]:
        """Return a volume."""
        volume = self.model.volumes.get((self.host, name))
        if volume is None:
            raise docker.errors.NotFound("no such volume", explanation=f"No such volume: {name}")
        return {"Name": name, "Driver": "local", "Options": {}, "Labels": dict(volume["labels"])}

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Have none."""
        raise docker.errors.ImageNotFound("no such image", explanation=f"No such image: {name}")

    def create_volume(self, name: str, labels: dict[str, str] | None = None, **_: Any) -> None:
        """Make an empty volume."""
        self.model.step()
        self.model.volumes.setdefault((self.host, name), {"labels": labels or {}, "content": []})

    def create_container_from_config(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """Make the container that is asked for."""
        self.model.step()
        made = recreated()
        made.update(
            Id=TARGET_ID,
            Name=f"/{name}",
            State={"Status": "created", "Running": False, "ExitCode": 0, "StartedAt": NEVER},
        )
        made["Config"]["Labels"] = dict(body["Labels"])
        made["Config"]["Env"] = list(body["Env"])
        made["HostConfig"].pop("Mounts", None)
        made["HostConfig"]["RestartPolicy"] = dict(body["HostConfig"]["RestartPolicy"])
        made["Mounts"] = made["Mounts"][:1]
        self.containers.append(made)
        return {"Id": TARGET_ID}

    def stop(self, name: str, timeout: int) -> None:
        """Stop."""
        self.model.step()
        super().stop(name, timeout)

    def start(self, name: str) -> None:
        """Start."""
        self.model.step()
        super().start(name)

    def rename(self, name: str, new: str) -> None:
        """Rename."""
        self.model.step()
        super().rename(name, new)

    def update_container(self, name: str, restart_policy: dict[str, Any]) -> dict[str, Any]:
        """Set a restart policy."""
        self.model.step()
        return super().update_container(name, restart_policy)

    def remove_container(self, name: str, *, v: bool) -> None:
        """Remove."""
        self.model.step()
        super().remove_container(name, v=v)


class ModelledHost:
    """A host whose files are in memory; of commands it knows those that keep files and remove volumes."""

    def __init__(self, model: Model, name: str) -> None:
        """Belong to the model."""
        self.model, self.name, self.address = model, name, "192.0.2.5"
        self.files: dict[str, bytes] = {}

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Do it."""
        path, out, error = argv[-1], b"", b""
        if argv[:2] == ["sh", "-c"] and stdin:
            self.model.step()
            self.files[path] = stdin
        elif argv[0] == "cat":
            out, error = self.files.get(path, b""), b"" if path in self.files else b"cat: No such file or directory"
        elif argv[0] == "ls":
            out = b"-rw------- 1 0 0 1 x"
        elif argv[0] == "rm":
            self.model.step()
            self.files.pop(path, None)
        elif argv[:3] == ["docker", "rm", "--force"]:
            self.model.step()
            kept = [
                item
                for item in self.model.engines[self.name].containers
                if path not in {item["Id"], item["Name"].lstrip("/")}
            ]
            self.model.engines[self.name].containers[:] = kept
        elif argv[:3] == ["docker", "volume", "rm"]:
            self.model.step()
            self.model.volumes.pop((self.name, path), None)
        return CommandResult(tuple(argv), int(bool(error)), out, error, 0.0)


class ModelledFleet(dict[str, ModelledHost]):
    """Both hosts."""

    token: str | None = None

    def __init__(self, model: Model) -> None:
        """Be the model's."""
        super().__init__({name: ModelledHost(model, name) for name in (SOURCE, TARGET, "wf002")})
        self.model = model

    def docker(self, name: str) -> Any:
        """Return an engine."""
        return self.model.engines[name]

    def facts(self, name: str) -> HostFacts:
        """Return what is there now."""
        containers = tuple(parse_container(name, json_copy(item)) for item in self.model.engines[name].containers)
        return make_host(host=name, containers=containers, around=SystemFacts(host=name))

    def forget_facts(self, name: str) -> None:
        """Remember nothing."""

    def cached(self, _name: str, _what: str, ask: Callable[[], Any]) -> Any:
        """Ask anew."""
        return ask()


class Model:
    """redis on wf005, its dependants' relays, and the writes that clients saw acknowledged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, run: Run, scope: Scope | None = None) -> None:
        """Start before the move, in the place of copies, relays and proofs."""
        source = inspected()
        source["Mounts"] = source["Mounts"][:1]
        source["Config"]["Env"].append("REDISCLI_AUTH=a-redis-password")
        source["State"]["StartedAt"] = "2025-12-31T00:00:00Z"
        self.engines = {
            SOURCE: ModelledEngine(self, SOURCE, source),
            TARGET: ModelledEngine(self, TARGET),
            "wf002": ModelledEngine(self, "wf002"),
        }
        self.volumes: dict[tuple[str, str], dict[str, Any]] = {(SOURCE, DATA): {"labels": {}, "content": ["before"]}}
        self.fleet: Any = ModelledFleet(self)
        self.relays: dict[str, bool] = {}
        self.acknowledged = ["before"]
        self.steps, self.last_step = 0, 0
        self.ends: set[str] = set()
        self.tunnel = False
        self.context = RunContext(scope or SCOPE, self.fleet, run.journal, run, Redactor())
        self.move = service_move(self.context, "redis")
        self._replace(monkeypatch)

    def step(self) -> None:
        """Count a change of a host; the process may be killed before it."""
        self.steps += 1
        if self.last_step and self.steps > self.last_step:
            raise Killed

    def content(self, host: str, name: str = DATA) -> list[str]:
        """Return what a volume holds; raises KeyError when there is none."""
        found: list[str] = self.volumes[host, name]["content"]
        return found

    def runs(self, host: str) -> bool:
        """Return whether a container over the data runs on a host."""
        return any(item["State"]["Status"] == "running" for item in self.services(host))

    def services(self, host: str) -> list[dict[str, Any]]:
        """Return the containers of a host that are no helpers of ours."""
        return [
            item
            for item in self.engines[host].containers
            if (item["Config"].get("Labels") or {}).get(LABEL_ROLE) != REPLICA
        ]

    def write(self) -> None:
        """Let clients write to the service that they reach now, and remember what was acknowledged; nobody reaches a
        service that does not run.
        """
        led = any(running and f"{SOURCE}: " in text for text, running in self.relays.items())
        host = TARGET if led and self.runs(TARGET) else SOURCE
        if self.runs(host) and (
            host == TARGET or any(item["Name"] == "/redis" for item in self.engines[SOURCE].containers)
        ):
            self.write_on(host)

    def write_on(self, host: str) -> None:
        """Write there."""
        self.acknowledged.append(f"write {len(self.acknowledged)}")
        self.content(host).append(self.acknowledged[-1])

    def lost(self, *hosts: str) -> list[str]:
        """Return the acknowledged writes that no volume of these hosts holds."""
        held = {line for (host, _), volume in self.volumes.items() if host in hosts for line in volume["content"]}
        return [line for line in self.acknowledged if line not in held]

    def policy(self, host: str) -> str:
        """Return the restart policy of the host's container."""
        return str(self.services(host)[0]["HostConfig"]["RestartPolicy"]["Name"])

    def _replace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let copies, proofs, relays and the probe be those of the model."""
        monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)
        monkeypatch.setattr("actions.copy.endpoints.CopyEndpoints.open", lambda ends: self._open(ends))  # noqa: PLW0108 a method is no function of a class
        monkeypatch.setattr("actions.copy.endpoints.CopyEndpoints.remove", lambda ends: self._close(ends))  # noqa: PLW0108
        monkeypatch.setattr("actions.copy.endpoints.CopyEndpoints.runs", lambda ends, _host: ends.name in self.ends)
        monkeypatch.setattr("actions.copy.endpoints.CopyEndpoints.renew", lambda *_, **__: None)
        monkeypatch.setattr("actions.copy.precopy.list_keys", lambda *_: [])
        monkeypatch.setattr("actions.copy.precopy.has_key", lambda *_, **__: bool(self.ends))
        cleaning = "actions.rollback.clean_source"
        monkeypatch.setattr(f"{cleaning}.run_checked", lambda *_, **__: self.ends.clear())
        monkeypatch.setattr(f"{cleaning}.has_key", lambda *_, **__: bool(self.ends))
        monkeypatch.setattr(f"{cleaning}.remove_probe", lambda _route: None)
        monkeypatch.setattr(f"{cleaning}.probe_is_there", lambda _route: False)
        monkeypatch.setattr("actions.copy.precopy.probe_is_there", lambda _route: False)
        monkeypatch.setattr("actions.copy.precopy.remove_probe", lambda _route: None)
        monkeypatch.setattr("actions.copy.precopy.choose_algorithm", lambda *_: "sha256")
        monkeypatch.setattr("actions.copy.endpoints.CopyEndpoints.flush", lambda _ends: None)
        monkeypatch.setattr("actions.copy.verification.Verifier.remember", lambda *_, **__: 0.1)
        self._replace_replication(monkeypatch)
        monkeypatch.setattr("actions.copy.volumes.CopyVolumes.begin", lambda _self, _note: None)
        monkeypatch.setattr(
            "actions.copy.volumes.CopyVolumes.copying",
            lambda this, _doing: SimpleNamespace(copy=lambda **_: self._copy(this.route)),
        )
        monkeypatch.setattr(
            "actions.copy.verification.Verifier.compare", lambda proving: self._compare(proving.ends.route)
        )
        for room in ("actions.copy.safety_copy", "actions.rollback.copy_back"):
            monkeypatch.setattr(f"{room}.copy_aside", self._copy_aside)
            monkeypatch.setattr(f"{room}.prove_aside", self._prove_aside)
        monkeypatch.setattr("actions.container.commit.list_relays", self._list)
        for asked in ("judge_mounts_there", "judge_mounts_filled"):
            monkeypatch.setattr(f"phases.migrate.recipe.{asked}", lambda *_: passed("mounts are there"))
        monkeypatch.setattr("actions.relays.before_start.list_all", lambda *_: [])
        monkeypatch.setattr(
            "actions.relays.before_start.faults_of",
            lambda wanted, _there: [one.text() for one in wanted if not self.relays.get(one.text())],
        )
        for room in (
            "actions.container.commit",
            "actions.rollback.start_returned",
            "actions.relays.before_start",
            "actions.references.steps",
        ):
            monkeypatch.setattr(f"{room}.apply_forwarders", self._apply)
            monkeypatch.setattr(f"{room}.judge_forwarders", lambda *_: passed("relays run"), raising=False)
        monkeypatch.setattr("actions.outage.probe.wait_for_good", lambda *_: [])
        monkeypatch.setattr("actions.outage.probe.read_probe", lambda *_: [])

    def _replace_replication(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let a replica be a container that holds, once it is promoted, what its source held when that had stopped."""
        monkeypatch.setattr("actions.replication.replica.Replica.why_not", lambda _replica: "")
        monkeypatch.setattr("actions.replication.replica.Replica.start", lambda replica: self._replicate(replica))  # noqa: PLW0108
        monkeypatch.setattr(
            "actions.replication.replica.Replica.status", lambda replica: "follows" if replica.runs() else ""
        )
        monkeypatch.setattr("actions.replication.replica.Replica._end_of_source", lambda _replica: "0/1")
        monkeypatch.setattr(
            "actions.replication.replica.Replica._wait", lambda replica, what, *_, **__: self._wait(replica, what)
        )
        monkeypatch.setattr("actions.replication.replica.Replica._ask", lambda *_: self._promote())
        monkeypatch.setattr("actions.replication.replica.Replica._toolbox", lambda *_, **__: None)
        monkeypatch.setattr("actions.replication.replica.remove_helpers", self._remove_replicas)
        monkeypatch.setattr("actions.replication.replica.close_channel", lambda *_, **__: self._close_tunnel())
        monkeypatch.setattr("actions.replication.replica.list_keys", lambda *_: [])
        monkeypatch.setattr("actions.replication.replica.has_key", lambda *_, **__: self.tunnel)
        monkeypatch.setattr("services.redis.replication.RedisReplication.why_not_following", lambda *_: "")

    def _open(self, ends: CopyEndpoints) -> bool:
        if ends.name in self.ends:
            return True
        for place in ends.places:
            ends.make_place(place, {})
        self.step()
        self.ends.add(ends.name)
        return False

    def _close(self, ends: CopyEndpoints) -> None:
        if ends.name in self.ends:
            self.step()
            self.ends.discard(ends.name)

    def _close_tunnel(self) -> None:
        if self.tunnel:
            self.step()
            self.tunnel = False

    def _replicate(self, replica: Replica) -> None:
        replica.remove()
        replica.make_place()
        self.step()
        self.tunnel = True
        self.step()
        made = inspected()
        state = {"Status": "running", "Running": True, "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z"}
        made.update(Id=REPLICA_ID, Name=f"/{replica.name}", State=state, Mounts=made["Mounts"][:1])
        made["Config"]["Labels"] = labels(replica.route.move_label, REPLICA)
        self.engines[TARGET].containers.append(made)
        self.step()
        self.content(TARGET)[:] = ["half of what there is"]

    def _wait(self, replica: Replica, what: str) -> None:
        if not replica.runs():
            raise ActionError(f"{TARGET}: the replica ended while waiting for {what}")

    def _promote(self) -> str:
        self.step()
        assert not self.runs(SOURCE), "a replica takes over only from a source that is stopped"
        self.content(TARGET)[:] = list(self.content(SOURCE))
        return ""

    def _remove_replicas(self, _fleet: Any, host: str, _label: str, _role: str) -> int:
        if self.engines[host].silent_for:
            self.engines[host].silent_for -= 1
            raise UnreachableError(f"{host}: docker ps: no answer")
        found = [
            item
            for item in self.engines[host].containers
            if (item["Config"].get("Labels") or {}).get(LABEL_ROLE) == REPLICA
        ]
        for item in found:
            self.step()
            self.engines[host].containers.remove(item)
        return len(found)

    def _copy(self, route: Route) -> CopyPass:
        self.step()
        self.content(route.target)[:] = ["half a copy"]
        self.step()
        self.content(route.target)[:] = list(self.content(route.source))
        return CopyPass(0.1)

    def _compare(self, route: Route) -> dict[int, Drift]:
        differs = self.content(route.source) != self.content(route.target)
        return {0: Drift(("content differs",) if differs else (), int(differs), 1)}

    def _copy_aside(self, _route: Route, host: str, _step: str, *, place: DataPlace, to: DataPlace) -> None:
        self.step()
        self.content(host, to.source)[:] = ["half a copy"]
        self.step()
        self.content(host, to.source)[:] = list(self.content(host, place.source))

    def _prove_aside(self, _route: Route, host: str, places: Iterable[DataPlace]) -> int:
        for place in places:
            if self.content(host, place.source) != self.content(host, f"{place.source}-longshore-aside-1"):
                raise ActionError(f"{host}: {place.text()} differs from what was set aside")
        return 1

    def _list(self, _fleet: Any, host: str, _environment: str) -> list[Any]:
        return [
            SimpleNamespace(running=running, made_for=text, host=host, name=text, end="near")
            for text, running in self.relays.items()
            if text.startswith(f"{host}: ")
        ]

    def _apply(self, _fleet: Any, _environment: str, _hosts: Any, wanted: frozenset[Relay]) -> Any:
        texts = {forwarder.text() for forwarder in wanted}
        for text in texts - set(self.relays):
            self.step()
            self.relays[text] = False
        for text in set(self.relays) - texts:
            self.step()
            del self.relays[text]
        for text in texts:
            self.step()
            self.relays[text] = True
        return SimpleNamespace(created=tuple(texts), removed=(), kept=())


def changing(actions: Iterable[Action]) -> list[Action]:
    """Return the actions that change hosts, without the measuring of the outage."""
    return [
        action
        for action in actions
        if action.effect is not Effect.READ_ONLY and "outage" not in action.key and "probe" not in action.key
    ]
