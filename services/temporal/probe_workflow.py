"""A workflow of our own, run to its end by a worker of our own: what a Temporal server is for, in one second."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

TIMER_S = 0.2
DEADLINE = timedelta(seconds=30)


@activity.defn(name="longshore-echo")
async def echo(text: str) -> str:
    """Return what was given: an activity that touches nothing."""
    return text


@workflow.defn(name="LongshoreProbe", sandboxed=False)
class Probe:
    """Waits for a signal, sleeps, calls an activity: the parts that every workflow is made of."""

    def __init__(self) -> None:
        self.heard = ""

    @workflow.run
    async def run(self, nonce: str) -> str:
        """Return the nonce and the signal, as the activity gave them back."""
        await workflow.wait_condition(lambda: bool(self.heard), timeout=DEADLINE)
        await workflow.sleep(TIMER_S)
        return await workflow.execute_activity(echo, f"{nonce} {self.heard}", start_to_close_timeout=DEADLINE)

    @workflow.signal
    def hear(self, word: str) -> None:
        """Take the signal."""
        self.heard = word

    @workflow.query
    def what_was_heard(self) -> str:
        """Return the signal."""
        return self.heard


async def run_probe(client: Client, nonce: str) -> str:
    """Run a workflow with signal, query, timer and activity on a task queue of our own; return the problem, empty
    without one.
    """
    worker = Worker(
        client,
        task_queue=nonce,
        workflows=[Probe],
        activities=[echo],
        workflow_runner=UnsandboxedWorkflowRunner(),
        identity=nonce,
    )
    async with worker:
        handle = await client.start_workflow(Probe.run, nonce, id=nonce, task_queue=nonce, execution_timeout=DEADLINE)
        try:
            await handle.signal(Probe.hear, "now")
            heard = await handle.query(Probe.what_was_heard)
            result = await asyncio.wait_for(handle.result(), DEADLINE.total_seconds())
        finally:
            execution = WorkflowExecution(workflow_id=nonce, run_id=handle.first_execution_run_id or "")
            await client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
            )
    if (heard, result) != ("now", f"{nonce} now"):
        return f"the workflow heard {heard!r} and returned {result!r}"
    return ""
