"""RabbitMQ: ready when its virtual hosts take logins, carries messages through every exchange type, holds queues and
definitions.

Options: `changing_queues` (patterns), `transient_because` (why messages that are in memory only may be lost).
Known: 4.0 (run in the lab); 4.1 to 4.3 by their documentation. The node is named after the container's host name, and
its data lie in a folder of that name: with another name it starts healthy and empty (docs: "Clustering", "Node names").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pika
import pika.exceptions

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.product import LogPattern, RestoreCommand, ServiceInstance
from engine.errors import UnreachableError
from engine.finding import joined, say
from engine.polling import Polling
from engine.verdict import Judgement, failed, passed
from services.rabbitmq import fingerprint as prints
from services.rabbitmq.client import ask_management, connect, own_virtual_host, user_of

IMPORT: Final = "cat > /tmp/definitions.json && rabbitmqctl --quiet import_definitions /tmp/definitions.json"
"""From a file: from standard input it waits for ever (seen with 4.0.5). Run in a scratch copy only, which is removed.
"""
EXCHANGES: Final = ("default", "direct", "fanout", "topic", "headers")
CONSUMERS_DEADLINE_S: Final = 30.0
HEALTH_CHECKS: Final = ("virtual-hosts", "local-alarms")
"""docs: "HTTP API Reference", health checks; /api/aliveness-test is a no-op since 4.0."""


class Product(contract.Product):
    """The message broker."""

    name = "rabbitmq"
    image_names: tuple[str, ...] = ("rabbitmq",)
    acts_on_start = False
    stop_grace_s = 120
    clean_exit_codes: frozenset[int] = frozenset({0})
    ready_deadline_s = 120.0
    state_paths: tuple[str, ...] = ("/var/lib/rabbitmq",)
    writable_noise: tuple[str, ...] = ("/var/log/rabbitmq/*", "/tmp/*", "/run/*")  # noqa: S108 paths in the container
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r"virgin node|Node database directory at .* is empty",
            say("it started empty: its host name or its volume is another one"),
        ),
        LogPattern(r"Failed to start Ranch|eaddrinuse", say("a port could not be opened")),
        LogPattern(r"eacces|Error when reading .*\.erlang\.cookie", say("the owner or mode of its files is wrong")),
        LogPattern(r"resource limit alarm set", say("memory or disk is short: publishers are blocked")),
        LogPattern(r"incompatible_feature_flags", say("its files are of another version")),
        LogPattern(r"PLAIN login refused", say("a client's user or password does not fit")),
        LogPattern(r"Unable to recover vhost", say("messages could not be recovered")),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(
            r"[Dd]eprecated features?", say("a client uses what a later version will not have; nothing of tonight")
        ),
        LogPattern(
            r"missed heartbeats|client unexpectedly closed TCP connection", say("clients that were cut off by the move")
        ),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask for a login over AMQP, for virtual hosts that run and for no alarm."""
        try:
            with connect(at):
                pass
            answers = {name: ask_management(at, "GET", f"/api/health/checks/{name}") for name in HEALTH_CHECKS}
        except UnreachableError as error:
            return failed(str(error))
        wrong = [
            say("{name}: {status_code} {text}", name=name, status_code=answer.status_code, text=answer.text[:160])
            for name, answer in answers.items()
            if answer.status_code != 200  # noqa: PLR2004
        ]
        if wrong:
            return failed(
                say(
                    "{where}: {wrong}. Expected: 200 of {health_checks}",
                    where=at.where,
                    wrong=joined("; ", wrong),
                    health_checks=", ".join(HEALTH_CHECKS),
                )
            )
        return passed(say("{where}: takes AMQP logins, its virtual hosts run, no alarm", where=at.where))

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Publish with confirms and consume through every exchange type, in a virtual host of our own; ask the node
        with its cookie.
        """
        wrong = _node_problems(at)
        with own_virtual_host(at, nonce) as virtual_host, connect(at, virtual_host) as connection:
            wrong += [problem for kind in EXCHANGES if (problem := _carry(connection, kind, nonce))]
        if wrong:
            return failed(
                say(
                    "{where}: {wrong}. Expected: a message through each of {exchanges}, and the node answers its tools",
                    where=at.where,
                    wrong=joined("; ", wrong),
                    exchanges=", ".join(EXCHANGES),
                )
            )
        consumers = Polling("consumers are back", CONSUMERS_DEADLINE_S).judge(lambda: judge_consumers(at))
        if not consumers.passed:
            return consumers
        return passed(
            say(
                "{where}: a persistent message was confirmed and consumed through each of {count} exchange types as "
                "{user_of}; the node answers its tools; {text}",
                where=at.where,
                count=len(EXCHANGES),
                user_of=user_of(at),
                text=consumers.text,
            ),
            exchange_types=len(EXCHANGES),
        )

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read the node's name and cookie, every kind of definition, and how many messages wait in each queue."""
        return Fingerprint(at.service, prints.read_parts(at, since.parts if since else {}))

    def lost_by_stop(self, at: ServiceInstance) -> tuple[str, ...]:
        """Return the messages that are in memory only; `transient_because` in its options admits them."""
        lost = () if at.options.get("transient_because") else tuple(prints.list_passing_messages(at))
        advice = (
            "let their consumers take them first, or write in inventory.yaml why they may be lost: "
            "options: {transient_because: ...}"
        )
        return (*lost[:-1], f"{lost[-1]}. Expected: none: {advice}") if lost else ()

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return its data folder, and the one with its cookie (docs: "File and Directory Locations")."""
        own = container.env.get("RABBITMQ_MNESIA_DIR") or container.env.get("RABBITMQ_MNESIA_BASE")
        return (*self.state_paths, own) if own else self.state_paths

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return the definitions, with hashes of passwords; messages can't be exported from a node that runs."""
        return (
            ContainerCommand(
                ("rabbitmqctl", "--quiet", "export_definitions", "-"), timeout_s=300, saves_as="definitions.json"
            ),
        )

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:  # noqa: ARG002
        """Return how the definitions come back into a new node. Its files can't be copied while it runs (docs: "Backup
        and Restore").
        """
        return (
            RestoreCommand(
                export="definitions.json",
                replaces=self.state_paths[0],
                argv=("sh", "-c", IMPORT),
                timeout_s=600,
                trouble=r"(?i)\berror\b",
                not_kept=(prints.NODE, "queue *: messages"),
            ),
        )


def judge_consumers(at: ServiceInstance) -> Judgement:
    """Judge whether each queue that the inventory calls consumed ("virtual-host queue") has a consumer again."""
    wanted = [str(name) for name in at.options.get("consumed_queues") or ()]
    if not wanted:
        return passed(say("no queue is declared to have consumers"))
    idle = [name for name in wanted if not prints.count_consumers(at, *name.split(" ", 1))]
    if idle:
        return failed(
            say(
                "{where}: no consumer on {idle}. Expected: one on each of {wanted}: look whether its application "
                "reconnected",
                where=at.where,
                idle=", ".join(idle),
                wanted=", ".join(wanted),
            )
        )
    return passed(say("{count} of {count} queues have their consumers", count=len(wanted)))


def _node_problems(at: ServiceInstance) -> list[str]:
    """Return why the node's own tools can't ask it: they and the node must have the same cookie."""
    answer = at.inside(ContainerCommand(("rabbitmq-diagnostics", "--quiet", "check_running"), timeout_s=60))
    if answer.exit_code == 0:
        return []
    refused = "Erlang distribution failed" in answer.error_text + answer.text
    hint = (
        say(" (the node refuses its tools: its .erlang.cookie is not the one that it was started with)")
        if refused
        else ""
    )
    lines = [line.strip() for line in (answer.error_text or answer.text).splitlines() if line.strip()]
    return [
        say(
            "rabbitmq-diagnostics check_running: exit {exit_code}{hint}: {line}",
            exit_code=answer.exit_code,
            hint=hint,
            line=lines[0][:160] if lines else say("no word"),
        )
    ]


def _carry(connection: pika.BlockingConnection, kind: str, nonce: str) -> str:
    """Send one persistent message through an exchange of that kind and fetch it; return the problem, empty when there
    is none.
    """
    queue, key, body = f"{nonce}-{kind}", f"{nonce}.{kind}", f"{nonce} through {kind}".encode()
    with _channel(connection) as channel:
        channel.queue_declare(queue, durable=True)
        exchange = _bind(channel, kind, queue, key)
        properties = pika.BasicProperties(delivery_mode=2, headers={"nonce": nonce})
        try:
            channel.basic_publish(exchange, key if exchange else queue, body, properties, mandatory=True)
        except (pika.exceptions.UnroutableError, pika.exceptions.NackError) as error:
            return say("{kind}: the message was refused: {name}", kind=kind, name=type(error).__name__)
        method, _, seen = channel.basic_get(queue)
        if method is None or seen != body:
            return say("{kind}: got {seen} instead of the message", kind=kind, seen=repr(seen))
        channel.basic_ack(method.delivery_tag)
        channel.queue_delete(queue)
        if exchange:
            channel.exchange_delete(exchange)
    return ""


@contextmanager
def _channel(connection: pika.BlockingConnection) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        yield channel
    finally:
        if channel.is_open:
            channel.close()


def _bind(channel: pika.adapters.blocking_connection.BlockingChannel, kind: str, queue: str, key: str) -> str:
    """Make an exchange of that kind that leads to the queue; the default one leads there automatically."""
    if kind == "default":
        return ""
    channel.exchange_declare(queue, kind, durable=True)
    arguments = {"x-match": "all", "nonce": key.split(".", maxsplit=1)[0]} if kind == "headers" else None
    channel.queue_bind(queue, queue, f"{key.split('.', maxsplit=1)[0]}.*" if kind == "topic" else key, arguments)
    return queue
