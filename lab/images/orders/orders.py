"""A small shop's order intake: writes numbered events to PostgreSQL and Redis all the time, and reports its health."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import redis

PERIOD_S = 0.2
RETRY_S = 0.5
TIMEOUT_S = 2


class Store:
    """One store that we write to: its last acknowledged number and its failures."""

    def __init__(
        self, connect: Callable[[], Any], write: Callable[[Any, int], None], ask: Callable[[Any], None]
    ) -> None:
        """Take how to connect, to write a number and to ask whether it works."""
        self.connect, self.write, self.ask = connect, write, ask
        self.acked = 0
        self.writes = 0
        self.failures = 0
        self.last_error = ""

    def run(self) -> None:
        """Write for ever; a failed number is written again after a new connection, so none is left out."""
        connection: Any = None
        number = int(time.time() * 1000)
        while True:
            try:
                connection = connection or self.connect()
                self.write(connection, number)
                self.acked, self.writes, number = number, self.writes + 1, number + 1
                time.sleep(PERIOD_S)
            except (psycopg.Error, redis.RedisError, OSError) as error:
                self.failures += 1
                self.last_error = type(error).__name__
                connection = None
                time.sleep(RETRY_S)

    def problem(self) -> str:
        """Return why the store does not work right now, empty when it does."""
        try:
            self.ask(self.connect())
        except (psycopg.Error, redis.RedisError, OSError) as error:
            return type(error).__name__
        return ""


def _connect_postgres() -> Any:
    return psycopg.connect(
        host="postgres",
        dbname="shop",
        user="orders_app",
        password=os.environ["ORDERS_DB_PASSWORD"],
        connect_timeout=TIMEOUT_S,
        autocommit=True,
        tcp_user_timeout=TIMEOUT_S * 1000,
        keepalives_idle=1,
        keepalives_interval=1,
        keepalives_count=2,
    )


def _write_postgres(connection: Any, number: int) -> None:
    connection.execute(
        "INSERT INTO events (source, seq, payload) VALUES ('orders', %s, jsonb_build_object('n', %s::bigint)) ON CONFLICT (source, seq) DO NOTHING",
        (number, number),
    )


def _ask_postgres(connection: Any) -> None:
    with connection:
        connection.execute("SELECT count(*) FROM customers WHERE id <= 10")


def _connect_redis() -> Any:
    return redis.Redis(
        host="redis",
        password=os.environ["ORDERS_REDIS_PASSWORD"],
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
    )


def _write_redis(connection: Any, number: int) -> None:
    connection.set("orders:last", number)
    connection.xadd("orders:log", {"n": number}, maxlen=100_000)


def _ask_redis(connection: Any) -> None:
    connection.get("orders:last")
    connection.close()


POSTGRES = Store(_connect_postgres, _write_postgres, _ask_postgres)
REDIS = Store(_connect_redis, _write_redis, _ask_redis)


class Answers(BaseHTTPRequestHandler):
    """/health, /state and /metrics."""

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/health":
            problems = {
                name: text for name, store in (("postgres", POSTGRES), ("redis", REDIS)) if (text := store.problem())
            }
            self._send(
                503 if problems else 200, json.dumps({"status": "error" if problems else "ok", "problems": problems})
            )
        elif self.path == "/state":
            self._send(
                200,
                json.dumps(
                    {
                        "postgres_acked": POSTGRES.acked,
                        "redis_acked": REDIS.acked,
                        "failures": POSTGRES.failures + REDIS.failures,
                    }
                ),
            )
        elif self.path == "/metrics":
            self._send(200, _metrics(), "text/plain; version=0.0.4")
        else:
            self._send(404, "{}")

    def _send(self, status: int, body: str, kind: str = "application/json") -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing: requests are not news."""


def _metrics() -> str:
    lines = []
    for name, store in (("postgres", POSTGRES), ("redis", REDIS)):
        lines += [
            f'orders_writes_total{{store="{name}"}} {store.writes}',
            f'orders_failures_total{{store="{name}"}} {store.failures}',
        ]
    return "\n".join(["# TYPE orders_writes_total counter", "# TYPE orders_failures_total counter", *lines, ""])


if __name__ == "__main__":
    for one in (POSTGRES, REDIS):
        threading.Thread(target=one.run, daemon=True).start()
    print("orders: listening on 8080", flush=True)
    ThreadingHTTPServer(("", 8080), Answers).serve_forever()
