"""Compose files that no author meant: bytes at random, real files cut and spliced, trees of the wrong kinds in the
right places.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, Final

REAL: Final = """\
x-base: &base
  image: "shop:${TAG:-1}"
  ports: ["${PORT:-8080}:80", 9000]
services:
  web: &web
    <<: *base
    extends: {service: db, file: common.yml}
    ports: !override
      - target: 80
        published: "8000-8010"
        host_ip: "[::1]"
    profiles: [debug]
    deploy: {replicas: 2}
  db:
    image: 'db'
    network_mode: host
    expose: ["5432/tcp", 53]
include:
  - path: [sub/compose.yml, more.yml]
    env_file: vars.env
"""
WORDS: Final = (
    "services:",
    "ports:",
    "- ",
    "  ",
    "\n",
    "&a ",
    "*a",
    "<<: ",
    "!reset ",
    "!override ",
    "!!binary ",
    "!x ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "? ",
    "| ",
    "> ",
    '"',
    "'",
    "${",
    "$$",
    "}",
    ":-",
    "\t",
    "\0",
    "\ufeff",
    "é",
    "\ud7ff",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "0x1F",
    "1e999",
    "80:80",
    "::1",
    "65536",
    "-1",
    "~",
    "yes",
    "2026-01-01",
    "extends: ",
    "include: ",
    "profiles: ",
    "expose: ",
    "network_mode: host",
    "deploy: ",
    "scale: ",
    "a" * 300,
)
SCALARS: Final = (
    None,
    True,
    False,
    0,
    -1,
    80,
    1e308,
    float("inf"),
    "",
    "80:80",
    "${A",
    "$A",
    "${A:?}",
    "host",
    "\0",
    "services",
    10**30,
    "x" * 5000,
)
KEYS: Final = (
    "services",
    "ports",
    "expose",
    "extends",
    "file",
    "service",
    "include",
    "path",
    "env_file",
    "project_directory",
    "profiles",
    "deploy",
    "replicas",
    "scale",
    "network_mode",
    "container_name",
    "target",
    "published",
    "host_ip",
    "protocol",
    "name",
    "x-a",
    "a",
    "b",
    "",
    "<<",
    "0",
)


def garbage(seed: int, count: int) -> Iterator[dict[str, bytes]]:
    """Yield projects as files by name, the same for the same seed."""
    chance = random.Random(seed)
    makers = (_bytes, _spliced, _words, _tree, _tree, _nearly_right)
    for _ in range(count):
        names = ("compose.yml", "compose.override.yml", "common.yml", "sub/compose.yml", "more.yml", "vars.env", ".env")
        yield {name: chance.choice(makers)(chance) for name in names if name == "compose.yml" or chance.random() < 0.3}


def _bytes(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(200))


def _spliced(chance: random.Random) -> bytes:
    """Return the real file with pieces taken out, doubled, or replaced."""
    text = REAL
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.randrange(30))
        text = (
            text[:start]
            + chance.choice(("", text[start:end] * 2, chance.choice(WORDS), text[: chance.randrange(40)]))
            + text[end:]
        )
    return text.encode("utf-8", "surrogatepass")


def _words(chance: random.Random) -> bytes:
    return "".join(chance.choice(WORDS) for _ in range(chance.randrange(60))).encode("utf-8", "surrogatepass")


def _tree(chance: random.Random) -> bytes:
    """Return a tree of known keys with values of any kind: right YAML, wrong meaning."""
    return json.dumps(
        {"services": _value(chance, 0), **{chance.choice(KEYS): _value(chance, 0) for _ in range(chance.randrange(3))}}
    ).encode()


def _nearly_right(chance: random.Random) -> bytes:
    """Return one service with one port, which is often one."""
    port = chance.choice(("80:80", 8080, "8000-8002:80", {"target": 80, "published": "81"}, *SCALARS))
    return json.dumps({"services": {"a": {"image": "x", "ports": [port]}}}).encode()


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.random()
    if depth > 6 or kind < 0.25:
        return chance.choice(SCALARS)
    if kind < 0.45:
        return [_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(KEYS): _value(chance, depth + 1) for _ in range(chance.randrange(5))}
