"""A Redis that a unit test serves on the loopback: databases of strings, and a wire that can break."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from engine.contracts.container import ContainerFacts
from engine.contracts.host import Endpoint
from engine.contracts.product import ServiceInstance
from tests.fakes.http_product import target

CONFIG = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "3600 1",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "databases": "16",
    "notify-keyspace-events": "",
    "requirepass": "",
    "shutdown-on-sigterm": "default",
    "dir": "/data",
}


@dataclass
class FakeRedis:
    """What it holds, how it is set up, and after how many commands of one connection that connection breaks, once."""

    databases: dict[int, dict[str, str]]
    config: dict[str, str] = field(default_factory=dict)
    persistence: dict[str, str] = field(default_factory=dict)
    break_at: str = ""
    page: int = 5
    port: int = 0
    connections: int = 0

    def target(self, options: dict[str, Any] | None = None, **facts: Any) -> ServiceInstance:
        """Return the service to ask; `facts` change its container."""
        at = target("redis", options)
        container: ContainerFacts = replace(at.container, **facts)
        return replace(at, endpoint=Endpoint("127.0.0.1", self.port), container=container)

    def info(self, section: str) -> str:
        """Return INFO of a section."""
        if section == "keyspace":
            return "\r\n".join(
                f"db{number}:keys={len(keys)},expires=0,avg_ttl=0" for number, keys in self.databases.items()
            )
        aof = "1" if {**CONFIG, **self.config}["appendonly"] == "yes" else "0"
        fields = {
            "loading": "0",
            "aof_enabled": aof,
            "rdb_last_bgsave_status": "ok",
            "aof_last_write_status": "ok",
            "role": "master",
            **self.persistence,
        }
        return "\r\n".join(f"{name}:{value}" for name, value in fields.items())

    def answer(self, words: list[str], state: dict[str, int]) -> bytes:
        """Return the bytes that answer a command."""
        command, keys = words[0].upper(), self.databases.get(state["db"], {})
        known = {**CONFIG, **self.config}
        if command == "SELECT":
            state["db"] = int(words[1])
        answers: dict[str, Callable[[], bytes]] = {
            "HELLO": lambda: b"%1\r\n" + _bulk("proto") + b":3\r\n",
            "SELECT": lambda: b"+OK\r\n",
            "INFO": lambda: _bulk(self.info(words[1].lower())),
            "CONFIG": lambda: b"%1\r\n" + _bulk(words[2]) + _bulk(known[words[2]]) if words[2] in known else b"%0\r\n",
            "SCAN": lambda: _scanned(sorted(keys), int(words[1]), self.page),
            "TYPE": lambda: b"+string\r\n" if words[1] in keys else b"+none\r\n",
            "PEXPIRETIME": lambda: b":-1\r\n" if words[1] in keys else b":-2\r\n",
            "GET": lambda: _bulk(keys[words[1]]) if words[1] in keys else b"$-1\r\n",
        }
        return answers[command]() if command in answers else b"-ERR unknown command\r\n"

    def serve(self, connection: socket.socket) -> None:
        """Answer one connection until it ends, or breaks."""
        self.connections += 1
        reader, state = connection.makefile("rb"), {"db": 0}
        while head := reader.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int(reader.readline()[1:])
                words.append(reader.read(size + 2)[:-2].decode())
            if self.break_at and self.break_at == f"{state['db']} {' '.join(words[:2])}":
                self.break_at = ""
                return
            connection.sendall(self.answer(words, state))


def _bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())


def _scanned(names: list[str], begin: int, size: int) -> bytes:
    rest = begin + size
    return b"*2\r\n" + _bulk(str(rest if rest < len(names) else 0)) + _array(names[begin:rest])


def _array(texts: list[str]) -> bytes:
    return b"*%d\r\n" % len(texts) + b"".join(_bulk(text) for text in texts)


@contextmanager
def serving_redis(fake: FakeRedis) -> Iterator[FakeRedis]:
    """Serve until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fake.port = listener.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_one, args=(fake, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield fake
        listener.shutdown(socket.SHUT_RDWR)


def _one(fake: FakeRedis, connection: socket.socket) -> None:
    with connection:
        try:
            fake.serve(connection)
        except OSError:
            return
