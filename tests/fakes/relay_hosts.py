"""Hosts as far as relays go: their containers, key volumes and what was asked of them, in memory."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from actions.relays.endpoints import KEYS_ROLE
from engine.constants import LABEL_ROLE
from engine.contracts.container import CommandResult
from tests.fakes.facts import make_host


@dataclass
class RelayHost:
    """One host: containers by name with their labels, state and volumes; volumes by name with their labels."""

    name: str
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    fails: str = ""  # a command that contains this fails

    def run(self, argv: Iterable[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Do what Docker would do."""
        words = tuple(argv)
        self.asked.append(words)
        if self.fails and self.fails in " ".join(words):
            return CommandResult(words, 1, b"", b"no", 0.0)
        out = ""
        if words[0] == "docker":
            out = getattr(self, f"_{words[1]}")(words)
        return CommandResult(words, 0, out.encode(), b"", 0.0)

    def _ps(self, words: tuple[str, ...]) -> str:
        names = [part.split('"')[1] for part in words[-1].split("\t")[2:]]
        lines = []
        for name, one in self.containers.items():
            if one["labels"].get(LABEL_ROLE) == "forwarder":
                lines.append("\t".join((name, one["state"], *(one["labels"].get(label, "") for label in names))))
        return "\n".join(lines)

    def _create(self, words: tuple[str, ...]) -> str:
        name = _values(words, "--name")[0]
        assert name not in self.containers, f"{self.name}: {name} is there already"
        volumes = [mount.split("source=")[1].split(",")[0] for mount in _values(words, "--mount")]
        labels = dict(label.split("=", 1) for label in _values(words, "--label"))
        self.containers[name] = {"labels": labels, "state": "created", "volumes": volumes, "argv": words}
        return name

    def _start(self, words: tuple[str, ...]) -> str:
        self.containers[words[-1]]["state"] = "running"
        return words[-1]

    def _rm(self, words: tuple[str, ...]) -> str:
        self.containers.pop(words[-1], None)
        return ""

    def _run(self, words: tuple[str, ...]) -> str:
        for mount in _values(words, "--mount"):
            self.volumes[mount.split("source=")[1].split(",")[0]] = {LABEL_ROLE: KEYS_ROLE}
        names = words[words.index("keys") + 1 :]
        return "\n".join(f"{name}\n{certificate()}" for name in names)

    def _volume(self, words: tuple[str, ...]) -> str:
        if words[2] == "ls":
            used = {volume for one in self.containers.values() for volume in one["volumes"]}
            return "\n".join(sorted(set(self.volumes) - used))
        for name in words[3:]:
            del self.volumes[name]
        return ""


def _values(words: tuple[str, ...], flag: str) -> list[str]:
    return [words[position + 1] for position, word in enumerate(words) if word == flag]


def certificate() -> str:
    """Return what has the form of a certificate, another each time."""
    return (
        f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(secrets.token_bytes(30)).decode()}\n-----END CERTIFICATE-----"
    )


class RelayFleet(dict[str, RelayHost]):
    """The hosts of a run; one that the run does not hold is an error, as its lock would be."""

    token = None

    def __init__(self, hosts: Iterable[RelayHost]) -> None:
        """Take the hosts that a run holds."""
        super().__init__({host.name: host for host in hosts})

    def facts(self, name: str) -> Any:
        """Return facts of a host without containers of anybody else."""
        return make_host(host=self[name].name)

    def forget_facts(self, name: str) -> None:
        """Know that it is one of ours."""
        assert name in self
