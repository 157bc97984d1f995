"""A Docker Engine in memory: its low-level API over containers that are inspect answers."""

from __future__ import annotations

from typing import Any

import docker.errors
import requests

from actions.container_spec.identity import NEVER
from tests.fakes.inspect_answer import TARGET_ID, json_copy, recreated


class Containers(list[dict[str, Any]]):
    """The containers of an engine; called, they are listed as its API does."""

    def __call__(self, *, all: bool = False, filters: dict[str, Any] | None = None) -> list[dict[str, Any]]:  # noqa: A002 as Docker has it
        """List them, those that carry all labels when asked."""
        wanted = set((filters or {}).get("label") or [])
        found = []
        for item in self:
            labels = item["Config"].get("Labels") or {}
            shown = all or item["State"].get("Status") == "running"
            if shown and {f"{name}={value}" for name, value in labels.items()} >= wanted:
                found.append(
                    {
                        "Id": item["Id"],
                        "Names": [item["Name"]],
                        "State": item["State"].get("Status"),
                        "Labels": labels,
                        "Mounts": json_copy(item.get("Mounts") or []),
                    }
                )
        return found


class Engine:
    """A Docker Engine with containers in a dictionary; `silent` makes it not answer."""

    def __init__(self, *containers: dict[str, Any]) -> None:
        """Start with these containers, given as inspect answers."""
        self.containers = Containers(containers)
        self.ticks = 0
        self.made_networks: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.silent = False

    @property
    def api(self) -> Engine:
        """Return the low-level API, or fail as requests does when nothing answers."""
        if self.silent:
            raise requests.exceptions.ConnectionError("connection refused")
        return self

    def inspect_container(self, name: str) -> dict[str, Any]:
        """Return a container by name or id."""
        for item in self.containers:
            if name in {item["Name"].lstrip("/"), item["Id"]}:
                return json_copy(item)
        raise docker.errors.NotFound("no such container", explanation=f"No such container: {name}")

    def _find(self, name: str) -> dict[str, Any]:
        return next(item for item in self.containers if name in {item["Name"].lstrip("/"), item["Id"]})

    def update_container(self, name: str, restart_policy: dict[str, Any]) -> dict[str, Any]:
        """Set a restart policy."""
        self.calls.append(f"update {restart_policy['Name']}")
        self._find(name)["HostConfig"]["RestartPolicy"] = restart_policy
        return {}

    def stop(self, name: str, timeout: int) -> None:
        """Stop with exit code 0; what is stopped already stays as it is."""
        self.calls.append(f"stop {timeout}")
        state = self._find(name)["State"]
        if state.get("Status") not in {"exited", "dead"}:
            self._find(name)["State"] = {
                **state,
                "Status": "exited",
                "Running": False,
                "ExitCode": 0,
                "OOMKilled": False,
                "FinishedAt": self._now(),
            }

    def start(self, name: str) -> None:
        """Start; what runs already stays as it is."""
        self.calls.append("start")
        state = self._find(name)["State"]
        if state.get("Status") != "running":
            began = {"Status": "running", "Running": True, "ExitCode": 0, "StartedAt": self._now()}
            self._find(name)["State"] = {**began, "FinishedAt": state.get("FinishedAt", NEVER)}

    def _now(self) -> str:
        """Return the next moment of this engine's clock."""
        self.ticks += 1
        return f"2026-01-01T00:{self.ticks // 60:02}:{self.ticks % 60:02}Z"

    def rename(self, name: str, new: str) -> None:
        """Rename."""
        self._find(name)["Name"] = f"/{new}"

    def remove_container(self, name: str, *, v: bool) -> None:
        """Remove."""
        self.calls.append(f"remove {v}")
        self.containers.remove(self._find(name))

    def networks(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """Return networks, those of one label when asked."""
        wanted = (filters or {}).get("label", "")
        return [
            n
            for n in self.made_networks
            if not wanted or wanted == f"longshore.move={n['Labels'].get('longshore.move')}"
        ]

    def inspect_network(self, name: str) -> dict[str, Any]:
        """Return a network of the source, or one made here."""
        made = next((n for n in self.made_networks if name in {n["Id"], n["Name"]}), None)
        return made or {
            "Name": name,
            "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": "172.20.0.0/16"}]},
            "Labels": {},
        }

    def create_network(self, name: str, **settings: Any) -> None:
        """Make a network."""
        self.made_networks.append({"Id": name, "Name": name, "Labels": settings["labels"], "IPAM": settings["ipam"]})

    def remove_network(self, name: str) -> None:
        """Remove a network."""
        self.made_networks = [n for n in self.made_networks if n["Id"] != name]

    def images(self, name: str) -> list[dict[str, Any]]:
        """Return the image as tagged already."""
        return [{"Id": "sha256:" + "1" * 64}] if name else []

    def create_container_from_config(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """Make the faithful recreation, remembering what was asked for."""
        self.asked_for = body
        made = recreated()
        made["Name"] = f"/{name}"
        made["NetworkSettings"]["Networks"] = {
            key: value for key, value in made["NetworkSettings"]["Networks"].items()
            if key in body["NetworkingConfig"]["EndpointsConfig"]
        }  # fmt: skip
        self.containers.append(made)
        return {"Id": TARGET_ID}

    def connect_container_to_network(self, container: str, network: str, **_: Any) -> None:
        """Connect."""
        self.calls.append(f"connect {network}")
        self._find(container)["NetworkSettings"]["Networks"][network] = recreated()["NetworkSettings"]["Networks"][
            network
        ]
