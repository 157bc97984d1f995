"""What a RabbitMQ node holds, in parts: its identity, its definitions by kind, its waiting messages by queue.

Counts come from the broker itself (a passive declaration over AMQP): the management API's numbers are up to five
seconds old (docs: "Management Plugin", statistics interval). Messages are counted, never fetched: a fetch changes their
order.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import pika.exceptions

from engine.contracts.fingerprint import FingerprintPart, Validity
from engine.contracts.product import ServiceInstance
from services.fingerprints.named_parts import at_least, named_part, short_digest
from services.rabbitmq.client import connect, read_management

DATA: Final = "/var/lib/rabbitmq"
CLUSTER_ID: Final = "internal_cluster_id"
NODE: Final = "node: name, data folder and cookie"
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "users": ("name",),
    "vhosts": ("name",),
    "permissions": ("vhost", "user"),
    "topic_permissions": ("vhost", "user", "exchange"),
    "parameters": ("vhost", "component", "name"),
    "global_parameters": ("name",),
    "policies": ("vhost", "name"),
    "queues": ("vhost", "name"),
    "exchanges": ("vhost", "name"),
    "bindings": ("vhost", "source", "destination_type", "destination", "routing_key", "properties_key"),
}
"""Each kind of definition and what names one of it."""


def read_parts(at: ServiceInstance, before: Mapping[str, FingerprintPart]) -> dict[str, FingerprintPart]:
    """Return all parts; within those of `before` where given."""
    definitions = read_management(at, "/api/definitions")
    parts = {NODE: named_part(_node(at) | _cluster(definitions), before.get(NODE))}
    for kind in KINDS:
        name = f"definitions: {kind.replace('_', ' ')}"
        parts[name] = named_part(name_definitions(definitions, kind), before.get(name))
    return parts | _messages(at, before)


def list_queues(at: ServiceInstance) -> list[dict[str, Any]]:
    """Return the durable queues that outlive a restart, as the management API lists them."""
    queues = read_management(at, "/api/queues?disable_stats=true&enable_queue_totals=true")
    return [
        queue for queue in queues if queue["durable"] and not queue.get("auto_delete") and not queue.get("exclusive")
    ]


def list_passing_messages(at: ServiceInstance) -> list[str]:
    """Return, for each queue that does not end with its clients, how many of its messages a stop loses: those sent as
    transient, and all in a queue that is not durable (docs: "Queues", Durability).
    """
    lost = []
    for queue in read_management(at, "/api/queues"):
        if queue.get("exclusive") or queue.get("auto_delete") or queue.get("type", "classic") != "classic":
            continue
        messages, kept = int(queue.get("messages") or 0), queue.get("messages_persistent")
        where = f"queue {queue['vhost']} {queue['name']}"
        if not queue["durable"] and messages:
            lost.append(f"{where} is not durable: it goes, with its {messages:,} messages")
        elif queue["durable"] and kept is not None and messages > int(kept):
            lost.append(f"{where}: {messages - int(kept):,} of its {messages:,} messages were sent as transient")
    return lost


def count_consumers(at: ServiceInstance, virtual_host: str, queue: str) -> int:
    """Return how many consumers a queue has now; none when it is not there."""
    with connect(at, virtual_host) as connection:
        found = _count(connection, queue)
    return found[1] if found else 0


def name_definitions(definitions: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return each definition of a kind by its name, with a digest of all that it says; what dies with its client is
    left out.
    """
    lasting = [
        item for item in definitions.get(kind) or () if item.get("durable", True) and not item.get("auto_delete")
    ]
    lasting = [item for item in lasting if kind != "global_parameters" or item["name"] != CLUSTER_ID]
    if kind == "bindings":
        lasting = [item for item in lasting if _lasts(definitions, item)]
    named: dict[str, str] = {}
    for item in lasting:
        values = [str(item[key]) for key in KINDS[kind] if item.get(key) not in {None, ""}]
        name = " ".join(values)
        named[name if name not in named else f"{name} {short_digest(item)}"] = short_digest(item)
    return named


def _lasts(definitions: Mapping[str, Any], binding: Mapping[str, Any]) -> bool:
    """Return whether both ends of a binding outlive a restart."""
    kind = "queues" if binding["destination_type"] == "queue" else "exchanges"
    passing = {
        (i["vhost"], i["name"])
        for i in definitions.get(kind) or ()
        if not i.get("durable", True) or i.get("auto_delete")
    }
    return (binding["vhost"], binding["destination"]) not in passing


def _cluster(definitions: Mapping[str, Any]) -> dict[str, str]:
    """Return the cluster's own identity: made with a node's data, and no definition of anybody."""
    found = [item for item in definitions.get("global_parameters") or () if item["name"] == CLUSTER_ID]
    return {CLUSTER_ID: short_digest(found)}


def _node(at: ServiceInstance) -> dict[str, str]:
    """Return the node's name, its data folders and a digest of the cookie's file."""
    name = str(read_management(at, "/api/overview")["node"])
    files = at.files(DATA)
    folders = sorted(
        {"/".join(path.split("/")[:2]) for path in files if path.startswith("mnesia/rabbit@") and path.count("/") > 1}
    )
    plain = [folder for folder in folders if not folder.endswith(("-plugins-expand", "-feature_flags"))]
    return {
        f"node {name}": short_digest(name),
        "data folders": short_digest(plain) if plain != [f"mnesia/{name}"] else f"only {name}",
        ".erlang.cookie": short_digest(files.get(".erlang.cookie", "not there")),
    }


def _messages(at: ServiceInstance, before: Mapping[str, FingerprintPart]) -> dict[str, FingerprintPart]:
    """Return how many messages wait in each queue; with consumers, or called changing, it is true at the
    cutover only.
    """
    changing = tuple(map(str, at.options.get("changing_queues") or ()))
    parts = {}
    for virtual_host, names in _by_virtual_host(list_queues(at)).items():
        with connect(at, virtual_host) as connection:
            for queue in names:
                queue_name = f"{virtual_host} {queue}"
                name = f"queue {queue_name}: messages"
                found = _count(connection, queue)
                if found is not None:
                    alive = found[1] > 0 or any(fnmatchcase(queue_name, pattern) for pattern in changing)
                    holds = Validity.AT_CUTOVER if alive else Validity.SINCE_CUTOVER
                    parts[name] = at_least(found[0], before.get(name), holds)
    return parts


def _by_virtual_host(queues: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for queue in queues:
        found.setdefault(str(queue["vhost"]), []).append(str(queue["name"]))
    return found


def _count(connection: Any, queue: str) -> tuple[int, int] | None:
    """Return messages ready and consumers of a queue; None when it is gone by now."""
    channel = connection.channel()
    try:
        declared = channel.queue_declare(queue, passive=True).method
    except pika.exceptions.ChannelClosedByBroker:
        return None
    channel.close()
    return int(declared.message_count), int(declared.consumer_count)
