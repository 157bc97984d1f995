"""A small parcel service: numbers every action, reports what was acknowledged, and continues when a store is gone for a while.

It publishes to RabbitMQ and consumes what it published, puts objects into MinIO, sends log lines to Loki, and is the worker of
workflows in Temporal that it starts itself.
"""

import asyncio
import hashlib
import hmac
import json
import os
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pika
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

PERIOD_S = 0.5
RETRY_S = 0.5
TIMEOUT_S = 5
FRESH_S = 8
WAY_S = 20
"""So long a parcel is on its way: always some workflows are open."""


class Store:
    """One store that we write to: its last acknowledged number, how many, its failures, when it last worked."""

    def __init__(self, name):
        self.name, self.acked, self.writes, self.failures = name, 0, 0, 0
        self.good_at, self.last_error = 0.0, "not yet asked"

    def worked(self, number):
        self.acked, self.writes, self.good_at, self.last_error = number, self.writes + 1, time.monotonic(), ""

    def failed(self, error):
        self.failures += 1
        self.last_error = f"{type(error).__name__}: {error}"[:200]

    def problem(self):
        if time.monotonic() - self.good_at < FRESH_S:
            return ""
        return self.last_error or f"nothing acknowledged for {FRESH_S} s"


STORES = {name: Store(name) for name in ("rabbitmq", "minio", "loki", "temporal")}
WAITING, CONSUMED = set(), [0]
LOCK = threading.Lock()


def repeat(store, write, period_s):
    """Write number after number for ever; a failed one is written again."""
    number = int(time.time() * 1000)
    while True:
        try:
            write(number)
            store.worked(number)
            number += 1
            time.sleep(period_s)
        except Exception as error:
            store.failed(error)
            time.sleep(RETRY_S)


class Publisher:
    """Publishes with confirms; a new connection after every failure."""

    def __init__(self):
        self.channel = None

    def __call__(self, number):
        try:
            self.channel = self.channel or rabbit_channel()
            with LOCK:
                WAITING.add(number)  # before it is sent: it can be consumed before its confirmation is here
            self.channel.basic_publish(
                "parcels", "parcel.new", str(number).encode(), pika.BasicProperties(delivery_mode=2), mandatory=True
            )
            self.channel.connection.process_data_events(0)
        except Exception:
            self.channel = None
            raise


def rabbit_channel():
    credentials = pika.PlainCredentials("parcels", os.environ["PARCELS_AMQP_PASSWORD"])
    parameters = pika.ConnectionParameters(
        "rabbitmq",
        5672,
        "shop",
        credentials,
        socket_timeout=TIMEOUT_S,
        stack_timeout=TIMEOUT_S,
        blocked_connection_timeout=TIMEOUT_S,
        heartbeat=10,
    )
    channel = pika.BlockingConnection(parameters).channel()
    channel.confirm_delivery()
    return channel


def consume():
    """Take and acknowledge every parcel, for ever."""
    while True:
        try:
            channel = rabbit_channel()
            for method, _, body in channel.consume("parcels.work", inactivity_timeout=1):
                if method is not None:
                    channel.basic_ack(method.delivery_tag)
                    with LOCK:
                        WAITING.discard(int(body))
                        CONSUMED[0] += 1
        except Exception as error:
            STORES["rabbitmq"].failed(error)
            time.sleep(RETRY_S)


def put_object(number):
    """Put one object, signed as Amazon's "Signature Version 4" says."""
    key, secret = os.environ["PARCELS_S3_ACCESS_KEY"], os.environ["PARCELS_S3_SECRET_KEY"]
    path, body, now = (
        f"/parcels/live/{number}",
        str(number).encode(),
        datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"),
    )
    digest, scope = hashlib.sha256(body).hexdigest(), f"{now[:8]}/us-east-1/s3/aws4_request"
    headers = {"host": "minio:9000", "x-amz-content-sha256": digest, "x-amz-date": now}
    signed = ";".join(headers)
    canonical = "\n".join(
        ["PUT", path, "", *(f"{name}:{value}" for name, value in headers.items()), "", signed, digest]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}"
    )
    with urllib.request.urlopen(
        urllib.request.Request(f"http://minio:9000{path}", body, headers, method="PUT"), timeout=TIMEOUT_S
    ):
        pass


def push_line(number):
    body = {
        "streams": [
            {"stream": {"job": "parcels", "level": "info"}, "values": [[str(time.time_ns()), f"parcel {number}"]]}
        ]
    }
    request = urllib.request.Request(
        "http://loki:3100/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S):
        pass


@activity.defn
async def hand_over(parcel: str) -> str:
    return f"{parcel} handed over"


@workflow.defn(sandboxed=False)
class Deliver:
    @workflow.run
    async def run(self, parcel: str) -> str:
        await workflow.sleep(WAY_S)
        return await workflow.execute_activity(hand_over, parcel, start_to_close_timeout=timedelta(seconds=30))


async def deliver():
    """Be a worker, and start one workflow every two seconds; connect anew when the server was gone too long."""
    store = STORES["temporal"]
    number = int(time.time())
    while True:
        try:
            client = await asyncio.wait_for(Client.connect("temporal:7233", namespace="shop"), TIMEOUT_S)
            async with Worker(
                client,
                task_queue="parcels",
                workflows=[Deliver],
                activities=[hand_over],
                workflow_runner=UnsandboxedWorkflowRunner(),
            ):
                failures = 0
                while failures < 5:
                    try:
                        await client.start_workflow(
                            Deliver.run,
                            f"parcel {number}",
                            id=f"parcel-{number}",
                            task_queue="parcels",
                            rpc_timeout=timedelta(seconds=TIMEOUT_S),
                        )
                        store.worked(number)
                        number, failures = number + 1, 0
                        await asyncio.sleep(2)
                    except Exception as error:
                        failures += 1
                        store.failed(error)
                        if "already started" in str(error).lower():
                            number += 1
                        await asyncio.sleep(RETRY_S)
        except Exception as error:
            store.failed(error)
            await asyncio.sleep(RETRY_S)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            problems = {store.name: text for store in STORES.values() if (text := store.problem())}
            self.answer(503 if problems else 200, {"status": "error" if problems else "ok", "problems": problems})
        elif self.path == "/state":
            with LOCK:
                waiting = len(WAITING)
            counts = {f"{store.name}_acked": store.acked for store in STORES.values()} | {
                f"{store.name}_writes": store.writes for store in STORES.values()
            }
            self.answer(
                200,
                {
                    **counts,
                    "waiting": waiting,
                    "consumed": CONSUMED[0],
                    "failures": {s.name: s.failures for s in STORES.values()},
                },
            )
        else:
            self.answer(404, {})

    def answer(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing: requests are not news."""


if __name__ == "__main__":
    loops = [(STORES["rabbitmq"], Publisher()), (STORES["minio"], put_object), (STORES["loki"], push_line)]
    for store, write in loops:
        threading.Thread(target=repeat, args=(store, write, PERIOD_S), daemon=True).start()
    threading.Thread(target=consume, daemon=True).start()
    threading.Thread(target=lambda: asyncio.run(deliver()), daemon=True).start()
    print("parcels: listening on 8090", flush=True)
    ThreadingHTTPServer(("", 8090), Answers).serve_forever()
