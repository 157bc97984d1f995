"""RabbitMQ on the source host: exchanges of every type, classic and quorum queues with persistent messages, users with
rights.
"""

from __future__ import annotations

from typing import Any, Final

import pika
import requests

from lab.containers import NETWORK, address, run_container, wait_for_http
from lab.settings import RABBITMQ

RUN: Final = (
    "--name",
    "rabbitmq",
    "--hostname",
    "rabbit-shop",
    "--network",
    NETWORK,
    "--publish",
    "5672:5672",
    "--publish",
    "15672:15672",
    "--volume",
    "rabbitmq_data:/var/lib/rabbitmq",
    "--restart",
    "unless-stopped",
    "--stop-timeout",
    "90",
    "--ulimit",
    "nofile=4096:8192",
    "--label",
    "team=platform",
    RABBITMQ,
)
OPERATOR: Final = "operator"
QUIET: Final = "+sbwt none +sbwtdcpu none +sbwtdio none"
"""Schedulers that wait without spinning: many brokers share this machine's cores."""
QUEUES: Final[dict[str, dict[str, Any]]] = {
    "parcels.work": {},
    "parcels.all": {},
    "parcels.failed": {},
    "parcels.audit": {"x-queue-type": "quorum"},
    "letters": {"x-max-length": 100_000},
}
BINDINGS: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    ("parcels", "parcels.work", "parcel.new", {}),
    ("parcels", "parcels.failed", "parcel.failed.#", {}),
    ("direct", "parcels.audit", "audit", {}),
    ("everybody", "parcels.all", "", {}),
    ("by-header", "letters", "", {"x-match": "all", "kind": "letter"}),
)
KINDS: Final = {"parcels": "topic", "direct": "direct", "everybody": "fanout", "by-header": "headers"}
MESSAGES: Final = {
    "parcels": ("parcel.failed.late", 500),
    "direct": ("audit", 200),
    "everybody": ("", 300),
    "by-header": ("", 250),
}


def create(passwords: dict[str, str]) -> None:
    """Start it, and make what the shop keeps in it."""
    env = {
        "RABBITMQ_DEFAULT_USER": OPERATOR,
        "RABBITMQ_DEFAULT_PASS": passwords["rabbitmq"],
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": QUIET,
    }
    run_container(RUN, env)
    wait_for_http("rabbitmq", 15672, "/")
    _make_users(passwords)
    _publish(passwords["rabbitmq"])


def _make_users(passwords: dict[str, str]) -> None:
    session = requests.Session()
    session.auth = (OPERATOR, passwords["rabbitmq"])
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    puts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("vhosts/shop", {"description": "the shop", "default_queue_type": "classic"}),
        (f"permissions/shop/{OPERATOR}", everything),
        ("users/parcels", {"password": passwords["parcels_amqp"], "tags": ""}),
        ("permissions/shop/parcels", {"configure": "^parcels.*", "write": "^parcels.*", "read": "^parcels.*"}),
        ("users/reader", {"password": passwords["rabbitmq_reader"], "tags": "monitoring"}),
        (
            "policies/shop/failed",
            {"pattern": "failed$", "definition": {"message-ttl": 31_536_000_000}, "priority": 1, "apply-to": "queues"},
        ),
    )
    for path, content in puts:
        session.put(f"http://{address()}:15672/api/{path}", json=content, timeout=30).raise_for_status()


def _publish(password: str) -> None:
    parameters = pika.ConnectionParameters(address(), 5672, "shop", pika.PlainCredentials(OPERATOR, password))
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    for exchange, kind in KINDS.items():
        channel.exchange_declare(exchange, kind, durable=True)
    for queue, arguments in QUEUES.items():
        channel.queue_declare(queue, durable=True, arguments=arguments)
    for exchange, queue, key, arguments in BINDINGS:
        channel.queue_bind(queue, exchange, key, arguments)
    for exchange, (key, count) in MESSAGES.items():
        for number in range(count):
            properties = pika.BasicProperties(
                delivery_mode=2,
                message_id=f"{exchange}-{number}",
                headers={"kind": "letter"},
                timestamp=1_790_812_800 + number,
            )
            channel.basic_publish(
                exchange,
                key,
                f"message {number} of {exchange}: {'x' * (number % 50)}".encode(),
                properties,
                mandatory=True,
            )
    for queue in QUEUES:  # answered after all that was published before: so it is there
        channel.queue_declare(queue, passive=True)
    connection.close()
