"""Temporal: runs a workflow to its end, is polled by the workers, finishes what was begun before, and holds the same
workflows.

Known: server 1.32 as development server with SQLite (run in the lab); with PostgreSQL the same questions are asked of
the same API, but that was not run here. Its start is the commit: timers that are due fire, and activities act on the
outside world.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest, DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowFailureError

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.mount_kinds import is_kept
from engine.contracts.product import LogPattern, ServiceInstance
from engine.errors import UnreachableError
from engine.finding import joined, say
from engine.polling import Polling
from engine.verdict import Judgement, failed, passed
from services.fingerprints.container_settings import below_work, value_of, words_of
from services.temporal.client import ask, list_namespaces
from services.temporal.fingerprint import read_parts
from services.temporal.probe_workflow import run_probe

MADE_BY_A_MOVE: Final = "longshore.move"
"""The label of what a move created."""
CARRIED_OVER: Final = timedelta(days=1)
WORKERS_DEADLINE_S: Final = 60.0
KINDS: Final = {
    "workflows": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activities": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}


class Product(contract.Product):
    """The workflow server."""

    name = "temporal"
    image_names: tuple[str, ...] = ("temporalio/server", "temporalio/auto-setup")
    acts_on_start = True
    stop_grace_s = 60
    clean_exit_codes: frozenset[int] = frozenset({0, 143})
    ready_deadline_s = 120.0
    state_paths: tuple[str, ...] = ()
    writable_noise: tuple[str, ...] = (
        "/tmp/*",  # noqa: S108
        "/run/*",
        "/home/temporal/.config/*",
        "/etc/temporal/config/docker.yaml",
    )
    why_not_drilled = "its workflows are in the database that it uses, or in one file that it writes all the time"
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r"no usable database connection found|unable to open database file", say("its store can't be reached")
        ),
        LogPattern(
            r"version mismatch for keyspace/database|schema version compatibility check failed",
            say("its store has another schema"),
        ),
        LogPattern(
            r"mismatches persisted cluster metadata",
            say("its number of history shards is another one than its store was made with"),
        ),
        LogPattern(r"Persistent store operation [Ff]ailure", say("its store refuses")),
        LogPattern(
            r"unable to bootstrap ringpop", say("an old server of its ring is still known; start it again after 20 s")
        ),
        LogPattern(
            r"database disk image is malformed|database or disk is full",
            say("its file is damaged, or the disk is full"),
        ),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(
            r"shard closed|shard status unknown|[Cc]ontext canceled", say("pollers and shards of the first minute")
        ),
        LogPattern(
            r"Not enough hosts to serve the request", say("the first seconds of its ring; longer, it is not ready")
        ),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask for its health over gRPC and for its namespaces."""
        try:
            namespaces = ask(at, _answer_healthy)
        except (UnreachableError, AssertionError) as error:
            return failed(str(error))
        if not namespaces:
            return failed(
                say(
                    "{where}: serves, but has no namespace. Expected: those that it had: its store is empty or "
                    "another one",
                    where=at.where,
                )
            )
        return passed(
            say(
                "{where}: serves {count} namespaces: {namespaces}",
                where=at.where,
                count=len(namespaces),
                namespaces=", ".join(sorted(namespaces)),
            )
        )

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Run a workflow of our own to its end; see the workers poll, and one workflow from before the
        start complete.
        """
        try:
            problem = ask(at, lambda client: _probe(client, at, nonce))
        except (WorkflowFailureError, TimeoutError) as error:
            problem = say("the workflow did not complete: {name}", name=type(error).__name__)
        if problem:
            return failed(
                say(
                    "{where}: {problem}. Expected: started, signalled, queried and completed",
                    where=at.where,
                    problem=problem,
                )
            )
        answers = [
            Polling(what, WORKERS_DEADLINE_S).judge(question)
            for what, question in (
                ("workers poll their queues", lambda: judge_workers(at)),
                ("workflows from before continue", lambda: judge_carried_over(at)),
            )
        ]
        wrong = [answer for answer in answers if not answer.passed]
        if wrong:
            return wrong[0]
        return passed(
            say(
                "{where}: a workflow with signal, query, timer and activity ran to its end; {answers}",
                where=at.where,
                answers=joined("; ", (a.text for a in answers)),
            )
        )

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read namespaces, schedules, open and closed workflows and a sample of histories."""
        return Fingerprint(at.service, ask(at, lambda client: read_parts(client, since.parts if since else {})))

    def lost_by_stop(self, at: ServiceInstance) -> tuple[str, ...]:
        """Return its workflows, where its development server keeps them in memory (`temporal server start-dev --help`:
        db-filename).
        """
        words = words_of(at.container)
        file = value_of(words, "--db-filename", "-f")
        if "start-dev" not in words:
            return ()
        if not file:
            return (
                (
                    "start-dev without --db-filename: its workflows are in memory, a stop loses them. Start it "
                    "with a file on a volume first"
                ),
            )
        path = below_work(at.container, file)
        return (
            ()
            if is_kept(at.container, path)
            else (f"--db-filename {path}: lies on no mount that outlives it. Put it on a volume first",)
        )

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export: it keeps all in its store, whose own backup has it."""
        return ()


async def _answer_healthy(client: Client) -> list[str]:
    if not await client.service_client.check_health():
        raise AssertionError("the server says that it does not serve. Expected: SERVING")
    return list(await list_namespaces(client))


async def _probe(client: Client, at: ServiceInstance, nonce: str) -> str:
    namespaces = await list_namespaces(client)
    chosen = str(at.options.get("namespace") or next(iter(sorted(namespaces)), ""))
    if chosen not in namespaces:
        return f"namespace {chosen!r} is not there; it has {', '.join(sorted(namespaces)) or 'none'}"
    return await run_probe(await Client.connect(f"{at.endpoint.host}:{at.endpoint.port}", namespace=chosen), nonce)


def judge_workers(at: ServiceInstance) -> Judgement:
    """Judge whether each task queue of the inventory (`namespace/queue`) was polled since exactly this
    container started.
    """
    queues = [str(name) for name in at.options.get("task_queues") or ()]
    if not queues:
        return passed(say("no task queue is declared to have workers"))
    silent = [
        say("{queue}: {why}", queue=queue, why=why)
        for queue, why in ask(at, lambda client: _silent(client, queues, started_at(at)))
    ]
    if silent:
        return failed(
            say(
                "{where}: no worker polls {silent}. Expected: workers on {queues}: look whether they use the old "
                "address",
                where=at.where,
                silent="; ".join(silent),
                queues=", ".join(queues),
            )
        )
    return passed(say("{count} of {count} task queues are polled by their workers", count=len(queues)))


async def _silent(client: Client, queues: list[str], since: datetime) -> list[tuple[str, str]]:
    found = []
    for queue in queues:
        namespace, _, name = queue.partition("/")
        seen = []
        for kind in KINDS.values():
            request = DescribeTaskQueueRequest(namespace=namespace, task_queue={"name": name}, task_queue_type=kind)  # type: ignore[arg-type]
            seen += [
                poller.last_access_time
                for poller in (await client.workflow_service.describe_task_queue(request)).pollers
            ]
        newest = max((poll.ToDatetime(UTC) for poll in seen), default=None)
        if newest is None or newest < since:
            found.append(
                (queue, "never" if newest is None else f"last at {newest:%H:%M:%S}Z, it started at {since:%H:%M:%S}Z")
            )
    return found


def started_at(at: ServiceInstance) -> datetime:
    """Return when the container started."""
    state: dict[str, Any] = at.container.raw.get("State") or {}
    text = str(state.get("StartedAt") or "1970-01-01T00:00:00")
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)


def judge_carried_over(at: ServiceInstance) -> Judgement:
    """Judge whether a workflow of the inventory's query (`carried_over`) began before this container started and
    completed since.

    Asked of a container that a move made, in its first day: later, retention takes such workflows away.
    """
    wanted, since = at.options.get("carried_over") or {}, started_at(at)
    if not wanted:
        return passed(say("no workflow is declared to be carried over"))
    if MADE_BY_A_MOVE not in at.container.labels or datetime.now(UTC) - since > CARRIED_OVER:
        return passed(say("it was not moved within the last day, so nothing is asked about workflows from before"))
    moment = since.strftime("%Y-%m-%dT%H:%M:%SZ")
    begun = f'({wanted["query"]}) AND StartTime < "{moment}"'
    counts = ask(
        at,
        lambda client: _count(
            client,
            str(wanted["namespace"]),
            begun,
            f'{begun} AND ExecutionStatus = "Completed" AND CloseTime > "{moment}"',
        ),
    )
    if not counts[1]:
        return failed(
            say(
                "{where}: none of {count} workflows from before {moment} ({query}) completed since. Expected: at "
                "least one: look whether its workers poll here",
                where=at.where,
                count=counts[0],
                moment=moment,
                query=wanted["query"],
            )
        )
    return passed(say("{count} workflows that began before {moment} completed since", count=counts[1], moment=moment))


async def _count(client: Client, namespace: str, *queries: str) -> list[int]:
    requests = [CountWorkflowExecutionsRequest(namespace=namespace, query=query) for query in queries]
    answers = await asyncio.gather(
        *(client.workflow_service.count_workflow_executions(request) for request in requests)
    )
    return [int(answer.count) for answer in answers]
