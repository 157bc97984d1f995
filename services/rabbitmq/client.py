"""How RabbitMQ is asked: AMQP with pika, its management API; "not let in" distinguished from "no answer"."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import pika
import pika.exceptions
import requests

from engine.contracts.product import ServiceInstance
from engine.errors import UnreachableError
from engine.finding import say
from hosts.local.http import Answer, basic
from services.clients.http import ServiceHttp

logging.getLogger("pika").setLevel(logging.CRITICAL)  # it prints every refused connection in six lines; we print one

MANAGEMENT_PORT: Final = 15672
TIMEOUT_S: Final = 15.0


def user_of(at: ServiceInstance) -> str:
    """Return the user: the inventory's, else the one that the container was given at its first start."""
    return str(at.options.get("user") or at.container.env.get("RABBITMQ_DEFAULT_USER", "guest"))


def _password(at: ServiceInstance) -> str:
    return at.secrets["password"].reveal() if "password" in at.secrets else "guest"


def _home(at: ServiceInstance) -> str:
    return str(at.options.get("virtual_host") or at.container.env.get("RABBITMQ_DEFAULT_VHOST", "/"))


@contextmanager
def connect(at: ServiceInstance, virtual_host: str | None = None) -> Iterator[pika.BlockingConnection]:
    """Yield an AMQP connection; a refused login is an AssertionError (looked, it is wrong), no answer is
    UnreachableError.
    """
    parameters = pika.ConnectionParameters(
        host=at.endpoint.host,
        port=at.endpoint.port,
        virtual_host=_home(at) if virtual_host is None else virtual_host,
        credentials=pika.PlainCredentials(user_of(at), _password(at)),
        socket_timeout=TIMEOUT_S,
        stack_timeout=TIMEOUT_S,
        blocked_connection_timeout=TIMEOUT_S,
        client_properties={"connection_name": "longshore"},
    )
    try:
        connection = pika.BlockingConnection(parameters)
    except (pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError) as error:
        raise AssertionError(
            f"{at.where}: login refused for user {user_of(at)}: {_said(error)}. Expected: the password of the "
            "inventory's reference works"
        ) from None
    except pika.exceptions.ConnectionClosedByBroker as error:
        raise AssertionError(
            f"{at.where}: it closed the connection: {_said(error)}. Expected: virtual host "
            f"{parameters.virtual_host} is open"
        ) from None
    except (pika.exceptions.AMQPError, OSError) as error:
        raise UnreachableError(say("{where}: no AMQP connection: {said}", where=at.where, said=_said(error))) from None
    try:
        yield connection
    except pika.exceptions.AMQPConnectionError as error:
        raise UnreachableError(
            say("{where}: the AMQP connection broke: {said}", where=at.where, said=_said(error))
        ) from None
    finally:
        if connection.is_open:
            connection.close()


def _said(error: Exception) -> str:
    return f"{type(error).__name__} {str(error)[:160]}".strip()


def ask_management(at: ServiceInstance, method: str, path: str, content: dict[str, Any] | None = None) -> Answer:
    """Return an answer of the management API; refused credentials are an AssertionError, no answer is
    UnreachableError.
    """
    headers = {"Authorization": basic(user_of(at), _password(at))}
    client = ServiceHttp(at, at.at_port(MANAGEMENT_PORT), headers, deadline_s=TIMEOUT_S, patience_s=0.0)
    answer = client.send(method, path, json=content)
    if answer.status_code == requests.codes.unauthorized:
        raise AssertionError(
            f"{at.where}: login refused for user {user_of(at)}: {method} {path}: 401. Expected: the password "
            "of the inventory's reference works"
        )
    if answer.status_code == requests.codes.forbidden:
        raise AssertionError(
            f"{at.where}: {method} {path}: {answer.status_code} {answer.text[:160]}. Expected: user "
            f"{user_of(at)} is an administrator"
        )
    return answer


def read_management(at: ServiceInstance, path: str) -> Any:
    """Return the JSON of a GET that must answer 200; raises UnreachableError for another answer."""
    answer = ask_management(at, "GET", path)
    if answer.status_code != requests.codes.ok:
        raise UnreachableError(
            say(
                "{where}: GET {path}: {status_code} {text}. Expected: 200",
                where=at.where,
                path=path,
                status_code=answer.status_code,
                text=answer.text[:160],
            )
        )
    return answer.json()


@contextmanager
def own_virtual_host(at: ServiceInstance, name: str) -> Iterator[str]:
    """Make a virtual host for a test and remove it with all that is in it."""
    path = f"/api/vhosts/{quote(name, safe='')}"
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    _must(at, "PUT", path, {"description": "smoke test of longshore, removed at its end"})
    try:
        _must(at, "PUT", f"/api/permissions/{quote(name, safe='')}/{quote(user_of(at), safe='')}", rights)
        yield name
    finally:
        _must(at, "DELETE", path, None)


def _must(at: ServiceInstance, method: str, path: str, content: dict[str, Any] | None) -> None:
    answer = ask_management(at, method, path, content)
    if not answer.ok:
        raise AssertionError(
            f"{at.where}: {method} {path}: {answer.status_code} {answer.text[:160]}. Expected: it is done"
        )
