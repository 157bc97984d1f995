"""What a Temporal cluster holds, in parts: itself, and of every namespace schedules, open and closed workflows,
histories.

A history only grows, so the first events of an open workflow stay what they were. Closed workflows are deleted after
the namespace's retention: what it took away since is reported as it was. All is asked of the server, whatever store is
behind it; run here with SQLite only.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetClusterInfoRequest,
    GetWorkflowExecutionHistoryRequest,
    ListSchedulesRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from engine.constants import NAME
from engine.contracts.fingerprint import FingerprintPart
from services.fingerprints.named_parts import named_part, short_digest
from services.temporal.client import PAGE, list_namespaces, pages

OURS: Final = f"{NAME}-"
NAMED_WORKFLOWS: Final = 5000
"""So many open and so many closed workflows of a namespace are compared, the newest first."""
SAMPLED_HISTORIES: Final = 20
AT_ONCE: Final = 20
GRACE_S: Final = 3600
TERMINATED: Final = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED


async def read_parts(client: Client, before: Mapping[str, FingerprintPart]) -> dict[str, FingerprintPart]:
    """Return all parts; within those of `before` where given."""
    info = await client.workflow_service.get_cluster_info(GetClusterInfoRequest())
    namespaces = await list_namespaces(client)
    cluster = {"id": info.cluster_id, "history shards": str(info.history_shard_count)}
    settings = {
        name: short_digest([n.namespace_info.id, n.namespace_info.state, _retention_s(n)])
        for name, n in namespaces.items()
    }
    parts = {"cluster: id and history shards": named_part(cluster, before.get("cluster: id and history shards"))}
    parts["namespaces"] = named_part(settings, before.get("namespaces"))
    for name, namespace in namespaces.items():
        parts |= await _namespace_parts(client, name, _retention_s(namespace), before)
    return parts


def _retention_s(namespace: Any) -> int:
    return int(namespace.config.workflow_execution_retention_ttl.seconds)


async def _namespace_parts(
    client: Client, namespace: str, retention_s: int, before: Mapping[str, FingerprintPart]
) -> dict[str, FingerprintPart]:
    attributes, schedules, opened, closed, histories = (
        f"{namespace}: {what}"
        for what in ("search attributes", "schedules", "open workflows", "closed workflows", "histories of a sample")
    )
    excused = may_be_gone(before.get(opened), before.get(closed), retention_s, time.time())
    found_open = await _open(client, namespace, before.get(opened), excused)
    found_closed = await _closed(client, namespace, before.get(closed), excused)
    names = [*choose_sample(found_open.names), *choose_sample(found_closed.names)]
    return {
        attributes: named_part(await _search_attributes(client, namespace), before.get(attributes)),
        schedules: named_part(await _schedules(client, namespace), before.get(schedules)),
        opened: found_open,
        closed: found_closed,
        histories: await _histories(client, namespace, names, before.get(histories), excused),
    }


def may_be_gone(
    opened: FingerprintPart | None, closed: FingerprintPart | None, retention_s: int, now_s: float
) -> set[str]:
    """Return the workflows whose time is over, or will be within an hour: the server may have deleted them.

    The end of a closed one is in its digest (`…@end`); an open one can have ended right after it was read.
    """
    over = now_s + GRACE_S - retention_s
    names = {
        name for name, digest in (closed.names if closed else {}).items() if int(digest.rpartition("@")[2]) <= over
    }
    return names | (set(opened.names) if opened and int(opened.bound["read_at"]) <= over else set())


def _kept(found: Mapping[str, str], before: FingerprintPart, excused: Collection[str]) -> dict[str, str]:
    """Return what was found, with what may be gone as it was."""
    return {**{name: digest for name, digest in before.names.items() if name in excused}, **found}


async def _search_attributes(client: Client, namespace: str) -> dict[str, str]:
    answer = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    return {name: str(kind) for name, kind in answer.custom_attributes.items()}


async def _schedules(client: Client, namespace: str) -> dict[str, str]:
    service, found = client.workflow_service, {}
    async for page in pages(
        lambda token: service.list_schedules(
            ListSchedulesRequest(namespace=namespace, maximum_page_size=PAGE, next_page_token=token)
        )
    ):
        for schedule in page.schedules:
            found[schedule.schedule_id] = _digest(schedule.info.spec) + (" paused" if schedule.info.paused else "")
    return found


def _digest(message: Any) -> str:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()[:16]


async def list_workflows(client: Client, namespace: str, query: str) -> list[Any]:
    """Return at most 5,000 workflows that a query of the visibility store finds; those of our own smoke are nobody's,
    and on their way out.
    """
    service, found = client.workflow_service, []
    async for page in pages(
        lambda token: service.list_workflow_executions(
            ListWorkflowExecutionsRequest(namespace=namespace, page_size=PAGE, next_page_token=token, query=query)
        )
    ):
        found += [info for info in page.executions if not info.execution.workflow_id.startswith(OURS)]
        if len(found) >= NAMED_WORKFLOWS:
            break
    return found[:NAMED_WORKFLOWS]


def _shown(execution: Any) -> str:
    return f"{execution.workflow_id} {execution.run_id}"


def _execution(name: str) -> WorkflowExecution:
    workflow, _, run = name.rpartition(" ")
    return WorkflowExecution(workflow_id=workflow, run_id=run)


async def _open(
    client: Client, namespace: str, before: FingerprintPart | None, excused: Collection[str]
) -> FingerprintPart:
    """Return the workflows that were open; each must still be open, or have ended normally."""
    if before is None:
        found = await list_workflows(client, namespace, 'ExecutionStatus="Running"')
        part = named_part({_shown(info.execution): "there" for info in found})
        return FingerprintPart(part.count, part.digest, part.holds, {"read_at": int(time.time())}, part.names)
    answers = await _gathered(_fate_of(client, namespace, name) for name in before.names)
    seen = {name: word for name, word in zip(before.names, answers, strict=True) if word}
    part = named_part(_kept(seen, before, excused), before)
    return FingerprintPart(part.count, part.digest, before.holds, before.bound, part.names)


async def _fate_of(client: Client, namespace: str, name: str) -> str:
    """Return "there" for a workflow that runs or ended normally, "terminated", or nothing when the server does not
    know it.
    """
    request = DescribeWorkflowExecutionRequest(namespace=namespace, execution=_execution(name))
    try:
        answer = await client.workflow_service.describe_workflow_execution(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return ""
    return "terminated" if answer.workflow_execution_info.status == TERMINATED else "there"


async def _gathered(questions: Iterable[Any]) -> list[Any]:
    """Return all answers in order, at most twenty questions at a time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(question: Any) -> Any:
        async with turn:
            return await question

    return list(await asyncio.gather(*(one(question) for question in questions)))


async def _closed(
    client: Client, namespace: str, before: FingerprintPart | None, excused: Collection[str]
) -> FingerprintPart:
    """Return the workflows that closed before the reading, each with its end, so that retention can be distinguished
    from loss.
    """
    until = str(before.bound["until"]) if before is not None else datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = await list_workflows(client, namespace, f'ExecutionStatus != "Running" AND CloseTime <= "{until}"')
    names = {_shown(info.execution): f"{_about(info)}@{info.close_time.seconds}" for info in found}
    part = named_part(names if before is None else _kept(names, before, excused), before)
    return FingerprintPart(part.count, part.digest, part.holds, {"until": until}, part.names)


def _about(info: Any) -> str:
    return short_digest(
        [info.type.name, int(info.status), info.task_queue, info.start_time.ToJsonString(), info.history_length]
    )


async def _histories(
    client: Client, namespace: str, names: list[str], before: FingerprintPart | None, excused: Collection[str]
) -> FingerprintPart:
    """Return digests of the first events of a sample of open and closed workflows, each `how many:digest`."""
    counts = (
        dict.fromkeys(names, 0)
        if before is None
        else {name: int(digest.partition(":")[0]) for name, digest in before.names.items()}
    )
    answers = await _gathered(_history(client, namespace, name, count) for name, count in counts.items())
    seen = {name: digest for name, digest in zip(counts, answers, strict=True) if digest}
    return named_part(seen if before is None else _kept(seen, before, excused), before)


def choose_sample(names: Iterable[str]) -> list[str]:
    """Return at most twenty names, in the order of their digests."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:SAMPLED_HISTORIES]


async def _history(client: Client, namespace: str, name: str, count: int) -> str:
    """Return `how many:digest` of a workflow's first `count` events, of all when it is 0; empty when there is no
    history.
    """
    service, execution = client.workflow_service, _execution(name)
    digest, seen = hashlib.sha256(), 0
    try:
        async for page in pages(
            lambda token: service.get_workflow_execution_history(
                GetWorkflowExecutionHistoryRequest(
                    namespace=namespace, execution=execution, maximum_page_size=PAGE, next_page_token=token
                )
            )
        ):
            for event in page.history.events[: count - seen if count else None]:
                digest.update(event.SerializeToString(deterministic=True))
                seen += 1
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return ""
    return f"{seen}:{digest.hexdigest()[:16]}"
