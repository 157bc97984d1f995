"""Temporal's own client, used from code that waits: one connection per question, "no answer" distinguished
from "refused".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

from temporalio.api.workflowservice.v1 import ListNamespacesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from engine.contracts.product import ServiceInstance
from engine.errors import UnreachableError
from engine.finding import say

DEADLINE_S: Final = 120.0
CONNECT_S: Final = 15.0
SYSTEM: Final = "temporal-system"
NO_ANSWER: Final = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
    }
)
PAGE: Final = 1000
Answer = TypeVar("Answer")


def ask(
    at: ServiceInstance, question: Callable[[Client], Awaitable[Answer]], *, deadline_s: float = DEADLINE_S
) -> Answer:
    """Return the answer of a question to the server; raises UnreachableError without one, AssertionError when it
    refuses.
    """

    async def asked() -> Answer:
        client = await asyncio.wait_for(Client.connect(f"{at.endpoint.host}:{at.endpoint.port}"), CONNECT_S)
        return await asyncio.wait_for(question(client), deadline_s)

    try:
        return asyncio.run(asked())
    except RPCError as error:
        said = say("{name}: {message}", name=error.status.name, message=error.message[:160])
        if error.status in NO_ANSWER:
            raise UnreachableError(say("{where}: no answer: {said}", where=at.where, said=said)) from None
        raise AssertionError(
            f"{at.where}: refuses: {said}. Expected: it answers about its namespaces and workflows"
        ) from None
    except (RuntimeError, TimeoutError) as error:  # the connection itself fails with a RuntimeError of the SDK's core
        raise UnreachableError(
            say(
                "{where}: no connection: {name} {error}",
                where=at.where,
                name=type(error).__name__,
                error=str(error)[:160],
            )
        ) from None


async def list_namespaces(client: Client) -> dict[str, Any]:
    """Return each namespace but the system's own, by name, as the server describes it."""
    found: dict[str, Any] = {}
    token = b""
    while True:
        page = await client.workflow_service.list_namespaces(
            ListNamespacesRequest(page_size=PAGE, next_page_token=token)
        )
        found |= {n.namespace_info.name: n for n in page.namespaces if n.namespace_info.name != SYSTEM}
        token = page.next_page_token
        if not token:
            return found


async def pages(call: Callable[[bytes], Awaitable[Any]]) -> AsyncIterator[Any]:
    """Yield each page of a listing; `call` takes the token of the next page."""
    token = b""
    while True:
        page = await call(token)
        yield page
        token = page.next_page_token
        if not token:
            return
