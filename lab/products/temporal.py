"""Temporal's development server on the source host: a namespace that keeps its past for ten years, open and closed
workflows, schedules.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleState,
)

from lab.containers import NETWORK, READY_S, SOURCE, address, answers, run_container, wait_for_port
from lab.docker_engine import wait_until
from lab.hosts import ssh
from lab.settings import TEMPORAL

RUN: Final = (
    "--name",
    "temporal",
    "--network",
    NETWORK,
    "--publish",
    "7233:7233",
    "--volume",
    "temporal_data:/data",
    "--restart",
    "unless-stopped",
    "--stop-timeout",
    "60",
    "--label",
    "team=shop",
    TEMPORAL,
    "server",
    "start-dev",
    "--ip",
    "0.0.0.0",  # noqa: S104
    "--db-filename",
    "/data/temporal.db",
    "--headless",
    "--log-level",
    "warn",
)
NAMESPACE: Final = "shop"
OPEN: Final = 40
CLOSED: Final = 25
QUEUE: Final = "post-office"
"""Nobody works on this queue: its workflows stay as they are."""


def create(passwords: dict[str, str]) -> None:  # noqa: ARG001 it has no password
    """Start it, and begin what the shop has begun."""
    run_container(RUN, {})
    wait_for_port("temporal", 7233)
    operator = ("docker", "exec", "temporal", "temporal", "operator")
    wait_until("temporal", answers(*operator, "cluster", "health"), READY_S)
    ssh(SOURCE, *operator, "namespace", "create", "--retention", "87600h", "--description", "'the shop'", NAMESPACE)
    wait_until(
        "temporal: namespace",
        answers("docker", "exec", "temporal", "temporal", "workflow", "list", "--namespace", NAMESPACE),
        READY_S,
    )
    asyncio.run(_fill())


async def _fill() -> None:
    client = await Client.connect(f"{address()}:7233", namespace=NAMESPACE)
    for number in range(OPEN + CLOSED):
        handle = await client.start_workflow("Letter", f"letter {number}", id=f"letter-{number}", task_queue=QUEUE)
        if number < CLOSED:
            await (handle.terminate("returned to sender") if number % 2 else handle.cancel())
    for name, days in (("collect", 1), ("invoice", 30)):
        await client.create_schedule(f"every-{days}-days-{name}", _schedule(name, days))


def _schedule(name: str, days: int) -> Schedule:
    action = ScheduleActionStartWorkflow("Letter", name, id=f"scheduled-{name}", task_queue=QUEUE)
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=days))])
    return Schedule(action=action, spec=spec, state=ScheduleState(paused=True, note="paused in the lab"))
