"""One container of a product on this machine's engine, asked as longshore asks a moved one: for damage that a moved one
must not keep in its log.
"""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker

from engine.contracts.container import CommandResult, ContainerCommand, ContainerFacts
from engine.contracts.host import Endpoint
from engine.contracts.product import Product, ServiceInstance
from engine.errors import NotObservedError
from engine.redaction.redactor import Secret
from lab.settings import PREFIX, local_name
from services.registry import product
from tests.lab.at_hand import wait_for


class Subject:
    """A product in a container of its own, with volumes that go with it."""

    def __init__(self, name: str, container: Any, port: int) -> None:
        self.product: Product = product(name)
        self.name, self.container, self.port = name, container, port
        self.options: dict[str, Any] = {}
        self.secrets: dict[str, str] = {}

    def at(self) -> ServiceInstance:
        """Return it as the product's file gets it."""
        self.container.reload()
        raw = self.container.attrs
        address = next(network["IPAddress"] for network in raw["NetworkSettings"]["Networks"].values())
        facts = ContainerFacts(
            host="this machine",
            id=raw["Id"],
            name=self.container.name,
            image_ref="",
            image_id=raw["Image"],
            state=raw["State"]["Status"],
            exit_code=0,
            health="none",
            restart_policy="no",
            mounts=(),
            networks={},
            published=(),
            labels={},
            env=dict(line.split("=", 1) for line in raw["Config"]["Env"]),
            raw=raw,
        )
        return ServiceInstance(
            service=self.name, container=facts, endpoint=Endpoint(address, self.port), options=self.options,
            secrets={name: Secret(value) for name, value in self.secrets.items()}, files=self._files,
            at_port=lambda port: Endpoint(address, port), inside=self._inside,
        )  # fmt: skip

    def _inside(self, command: ContainerCommand) -> CommandResult:
        ended = subprocess.run(
            ["docker", "exec", self.container.name, *command.argv], capture_output=True, timeout=120, check=False
        )
        return CommandResult(command.argv, ended.returncode, ended.stdout, ended.stderr, 0.0)

    def volume(self, root: str) -> Path:
        """Return where a volume of it lies on this machine."""
        return Path(next(mount["Source"] for mount in self.container.attrs["Mounts"] if mount["Destination"] == root))

    def _files(self, root: str) -> dict[str, str]:
        files = [path for path in self.volume(root).rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.volume(root))): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }

    def shell(self, script: str) -> str:
        """Run a script inside; raises RuntimeError."""
        answer = self._inside(ContainerCommand(("sh", "-c", script), timeout_s=120))
        if answer.exit_code:
            raise RuntimeError(f"{script[:60]}: exit {answer.exit_code}: {answer.error_text[-300:]}")
        return answer.text

    def wait_until_ready(self) -> None:
        """Wait until the product itself says so."""
        wait_for(f"{self.name} ready", self._is_ready, 60.0)

    def _is_ready(self) -> bool:
        try:
            return self.product.ready(self.at()).passed
        except (NotObservedError, AssertionError, StopIteration):
            return False


@contextmanager
def running(name: str, image: str, port: int, **given: Any) -> Iterator[Subject]:
    """Yield a product in a new container, ready; it and its volumes are removed at the end."""
    engine = docker.from_env(timeout=180)
    options, secret_values = given.pop("options", {}), given.pop("secret_values", {})
    called = f"{PREFIX}-damaged-{name}-{secrets.token_hex(3)}"
    container = engine.containers.run(
        local_name(image), detach=True, name=called, labels={"longshore.lab": "1"}, **given
    )
    try:
        subject = Subject(name, container, port)
        subject.options, subject.secrets = options, secret_values
        container.reload()
        subject.wait_until_ready()
        yield subject
    finally:
        container.remove(force=True, v=True)
