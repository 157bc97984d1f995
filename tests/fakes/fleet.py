"""The hosts of a run."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

Host = TypeVar("Host")


class FakeFleet(dict[str, Host], Generic[Host]):
    """Hosts by name, each with its engine; one that is not among them is an error, as its lock would be."""

    def __init__(
        self, hosts: dict[str, Host], engines: dict[str, Any] | None = None, *, token: str | None = None
    ) -> None:
        """Take hosts and engines by name, and the token of the run's lock, if it holds one."""
        super().__init__(hosts)
        self.token = token
        self.engines = engines or {}

    def docker(self, name: str) -> Any:
        """Return an engine."""
        return self.engines[name]
