"""Damage done on purpose to brokers, stores, the web server and workflows: the fingerprint names what is lost, smoke
what no longer works.

Each runs in a container of its own from the lab's image, so that what the damage leaves in logs and files stays there.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import boto3
import pika
import pytest
import requests
from botocore.config import Config
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from engine.contracts.fingerprint import Fingerprint
from engine.polling import Polling
from engine.verdict import Judgement
from lab.settings import CADDY, LOKI, MINIO, PREFIX, RABBITMQ, TEMPORAL
from services.fingerprints.compare import compare_fingerprints
from services.rabbitmq.client import ask_management, connect
from services.temporal import product as temporal
from services.temporal.probe_workflow import Probe, echo
from tests.lab.at_container import Subject, running

NONCE: Final = "longshore-0815"
PASSWORD: Final = "made-up-for-this-test"
HISTORY: Final = 1_790_812_800
SITES: Final = """
{
	skip_install_trust
}
good.shop.internal {
	tls internal
	respond "this is good"
}
other.shop.internal {
	tls internal
	respond "this is other"
}
"""

pytestmark = [pytest.mark.lab, pytest.mark.full, pytest.mark.usefixtures("all_images")]


def _prints(subject: Subject, since: Fingerprint | None = None) -> Fingerprint:
    return subject.product.fingerprint(subject.at(), since)


def _compared(subject: Subject, before: Fingerprint) -> Judgement:
    return compare_fingerprints(before, _prints(subject, before))


def _smoke(subject: Subject) -> Judgement:
    return subject.product.smoke(subject.at(), NONCE)


@pytest.fixture(scope="module")
def rabbitmq(all_images: None) -> Iterator[Subject]:
    """Return a broker with a queue of a hundred persistent messages."""
    env = {"RABBITMQ_DEFAULT_USER": "operator", "RABBITMQ_DEFAULT_PASS": PASSWORD}
    with running(
        "rabbitmq", RABBITMQ, 5672, hostname="rabbit-test", environment=env, secret_values={"password": PASSWORD}
    ) as subject:
        with connect(subject.at()) as connection:
            channel = connection.channel()
            channel.queue_declare("letters", durable=True)
            channel.queue_declare("parcels", durable=True, arguments={"x-queue-type": "quorum"})
            for number in range(100):
                channel.basic_publish("", "letters", f"letter {number}".encode(), pika.BasicProperties(delivery_mode=2))
        yield subject


def test_lost_message_is_named(rabbitmq: Subject) -> None:
    """One message less in one queue is found, with both counts; a restart alone loses none."""
    before = _prints(rabbitmq)
    rabbitmq.container.restart(timeout=30)
    rabbitmq.wait_until_ready()
    assert _compared(rabbitmq, before).passed
    with connect(rabbitmq.at()) as connection:
        connection.channel().basic_get("letters", auto_ack=True)
    judgement = _compared(rabbitmq, before)
    assert judgement.details == ("queue / letters: messages: 100 → 99",)


def test_removed_right_is_named(rabbitmq: Subject) -> None:
    """A user whose right is gone is found by name; no password and no hash of it is shown."""
    right = "/api/permissions/%2F/reader"
    ask_management(rabbitmq.at(), "PUT", "/api/users/reader", {"password": "other-made-up", "tags": ""})
    ask_management(rabbitmq.at(), "PUT", right, {"configure": "", "write": "", "read": ".*"})
    before = _prints(rabbitmq)
    ask_management(rabbitmq.at(), "DELETE", right)
    assert _compared(rabbitmq, before).details == ("definitions: permissions: missing / reader",)
    assert "other-made-up" not in str(before)


def test_another_host_name_is_found(rabbitmq: Subject) -> None:
    """With another host name the broker starts healthy and empty on the same files: the fingerprint says so."""
    before = _prints(rabbitmq)
    data = {str(rabbitmq.volume("/var/lib/rabbitmq")): {"bind": "/var/lib/rabbitmq", "mode": "rw"}}
    rabbitmq.container.stop(timeout=30)
    env = {"RABBITMQ_DEFAULT_USER": "operator", "RABBITMQ_DEFAULT_PASS": PASSWORD}
    with running(
        "rabbitmq",
        RABBITMQ,
        5672,
        hostname="another",
        environment=env,
        volumes=data,
        secret_values={"password": PASSWORD},
    ) as virgin:
        judgement = _compared(virgin, before)
    rabbitmq.container.start()
    rabbitmq.wait_until_ready()
    assert "node: name, data folder and cookie: missing node rabbit@rabbit-test" in "\n".join(judgement.details)
    named = next(line for line in judgement.details if line.startswith("definitions: queues: missing "))
    assert "/ letters" in named
    assert "/ parcels" in named


def test_wrong_cookie_is_found(rabbitmq: Subject) -> None:
    """A cookie that is not the node's is found by asking the node with its own tool."""
    assert _smoke(rabbitmq).passed
    rabbitmq.shell("cd /var/lib/rabbitmq && cp -p .erlang.cookie kept && chmod 600 .erlang.cookie")
    rabbitmq.shell("cd /var/lib/rabbitmq && printf SOMETHINGELSE > .erlang.cookie && chmod 400 .erlang.cookie")
    judgement = _smoke(rabbitmq)
    rabbitmq.shell("mv /var/lib/rabbitmq/kept /var/lib/rabbitmq/.erlang.cookie")
    assert "its .erlang.cookie is not the one that it was started with" in judgement.text
    assert _smoke(rabbitmq).passed


def test_wrong_password_is_found(rabbitmq: Subject) -> None:
    """A user who is not let in is a finding, not a lack of an answer; the password is not shown."""
    rabbitmq.secrets = {"password": "another-made-up"}
    with pytest.raises(AssertionError, match="login refused for user operator") as refused:
        _smoke(rabbitmq)
    rabbitmq.secrets = {"password": PASSWORD}
    assert "another-made-up" not in str(refused.value)


def _s3(subject: Subject) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    given = {"aws_access_key_id": "lab-root", "aws_secret_access_key": PASSWORD, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=subject.at().endpoint.url(""), config=config, **given)


def _key(subject: Subject, words: str) -> None:
    command = f"s3.configure -user=app -access_key=appkey -secret_key={PASSWORD} {words} -apply"
    subject.shell(f"echo '{command}' | weed shell -master=127.0.0.1:9333 >/dev/null")


@pytest.fixture(scope="module")
def minio(all_images: None) -> Iterator[Subject]:
    """Return a store with two buckets, one of them with versions, and an application's key for one."""
    env = {"MINIO_ROOT_USER": "lab-root", "MINIO_ROOT_PASSWORD": PASSWORD}
    keys = {"access_key": "lab-root", "secret_key": PASSWORD, "app_access_key": "appkey", "app_secret_key": PASSWORD}
    options = {"app_bucket": "papers", "app_forbidden_bucket": "contracts"}
    with running("minio", MINIO, 9000, environment=env, secret_values=keys, options=options) as subject:
        client = _s3(subject)
        for bucket in ("papers", "contracts"):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket="contracts", VersioningConfiguration={"Status": "Enabled"})
        for number in range(20):
            client.put_object(
                Bucket="contracts", Key=f"contract-{number}", Body=f"this is contract number {number:04}".encode()
            )
        _key(subject, "-buckets=papers -actions=Read,Write,List")
        yield subject


def test_changed_byte_of_an_object_is_named(minio: Subject) -> None:
    """One byte changed on the disk, behind the server's back, is found: the object is named, its etag is as it was."""
    before = _prints(minio)
    place, file = next(
        (at, file)
        for file in minio.volume("/data").rglob("*.dat")
        if (at := file.read_bytes().find(b"this is contract number 0007")) >= 0
    )
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(b"T")
    judgement = _compared(minio, before)
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(b"t")
    assert len(judgement.details) == 1
    version = _s3(minio).list_object_versions(Bucket="contracts", Prefix="contract-7")["Versions"][0]["VersionId"]
    assert (
        judgement.details[0]
        == f"bucket contracts: bytes of a sample: changed {minio.at().sealed(f'contract-7 @{version}')}"
    )
    assert _compared(minio, before).passed


def test_deleted_version_is_named(minio: Subject) -> None:
    """A version that is deleted for good is missed, with the object's name."""
    client, before = _s3(minio), _prints(minio)
    version = client.list_object_versions(Bucket="contracts", Prefix="contract-3")["Versions"][0]["VersionId"]
    client.delete_object(Bucket="contracts", Key="contract-3", VersionId=version)
    details = _compared(minio, before).details
    assert f"bucket contracts: objects and versions: missing {minio.at().sealed(f'contract-3 @{version}')}" in details


def test_revoked_key_is_found(minio: Subject) -> None:
    """An application's key that was revoked is found; so is one that may now do more than it should."""
    assert _smoke(minio).passed
    _key(minio, "-delete")
    revoked = _smoke(minio)
    _key(minio, "-buckets=papers,contracts -actions=Read,Write,List")
    widened = _smoke(minio)
    _key(minio, "-delete")
    _key(minio, "-buckets=papers -actions=Read,Write,List")
    assert "the application's key in bucket papers: PutObject: InvalidAccessKeyId" in revoked.text
    assert "may write to bucket contracts, which is not its own" in widened.text


@pytest.fixture(scope="module")
def loki(all_images: None) -> Iterator[Subject]:
    """Return a log store with a thousand lines of the past."""
    config = {str(Path("lab/loki/config.yaml").resolve()): {"bind": "/etc/loki/local-config.yaml", "mode": "ro"}}
    with running(
        "loki", LOKI, 3100, volumes={**config, f"{PREFIX}-damaged-loki": {"bind": "/loki", "mode": "rw"}}
    ) as subject:
        values = [[str((HISTORY + number * 60) * 1_000_000_000), f"line {number}"] for number in range(1000)]
        content = {"streams": [{"stream": {"job": "shop"}, "values": values}]}
        requests.post(subject.at().endpoint.url("/loki/api/v1/push"), json=content, timeout=30).raise_for_status()
        yield subject
    subject.container.client.volumes.get(f"{PREFIX}-damaged-loki").remove(force=True)


def test_lost_line_is_named(loki: Subject) -> None:
    """One line less of a thousand is found, with its stream and both counts."""
    before = _prints(loki)
    file = next(loki.volume("/loki").rglob("*.lines"))
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:500] + lines[501:]), encoding="utf-8")
    judgement = _compared(loki, before)
    file.write_text("".join(lines), encoding="utf-8")
    assert len(judgement.details) == 1
    assert judgement.details[0].startswith('stream {job="shop"} of ')
    assert judgement.details[0].endswith("1,000 → 999")


def test_files_that_it_may_not_write_are_found(loki: Subject) -> None:
    """A store whose files belong to somebody else takes no line: smoke says so."""
    assert _smoke(loki).passed
    folder = loki.volume("/loki") / "chunks" / "fake"
    owner, mode = folder.stat().st_uid, folder.stat().st_mode
    subprocess.run(["chown", "0:0", str(folder)], check=True)
    folder.chmod(0o755)
    judgement = loki.product.smoke(loki.at(), "longshore-0816")
    subprocess.run(["chown", f"{owner}:{owner}", str(folder)], check=True)
    folder.chmod(mode)
    assert "a pushed line is refused: 500" in judgement.text


def test_silent_shipper_is_found(loki: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipper that still sends to the old address is found: no line of the last minute."""
    monkeypatch.setattr("services.loki.product.ARRIVAL_S", 1.0)
    loki.options = {"arriving": ['{job="shop"}']}
    judgement = _smoke(loki)
    loki.options = {}
    assert 'no line of the last minute from {job="shop"}' in judgement.text


@pytest.fixture(scope="module")
def caddy(all_images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Return a web server with two sites and an authority of its own."""
    folder = tmp_path_factory.mktemp("caddy")
    (folder / "Caddyfile").write_text(SITES, encoding="utf-8")
    with running("caddy", CADDY, 443, volumes={str(folder): {"bind": "/etc/caddy", "mode": "rw"}}) as subject:
        time.sleep(1)
        subject.folder = folder  # type: ignore[attr-defined]
        yield subject


def test_replaced_certificate_is_named(caddy: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of another issuer in its storage is named by the fingerprint, and by smoke since another one is
    served.
    """
    before = _prints(caddy)
    assert _smoke(caddy).passed
    monkeypatch.setattr("services.caddy.product.SITES_DEADLINE_S", 1.0)
    stored = "/data/caddy/certificates/local/good.shop.internal/good.shop.internal.crt"
    folder: Path = caddy.folder  # type: ignore[attr-defined]
    _make_certificate(folder, "other", "-x509 -days 30 -subj '/O=Somebody Else/CN=good.shop.internal'")
    caddy.shell(f"cp {stored} /tmp/kept && cat /etc/caddy/other.crt > {stored}")
    compared, smoke = _compared(caddy, before), _smoke(caddy)
    caddy.shell(f"cat /tmp/kept > {stored}")
    assert compared.details == ("certificate good.shop.internal (local): content differs (1 things)",)
    assert "good.shop.internal: serves certificate" in smoke.text
    assert _compared(caddy, before).passed


def test_readable_key_is_named(caddy: Subject) -> None:
    """A private key that everybody can read is found."""
    before = _prints(caddy)
    key = "/data/caddy/certificates/local/other.shop.internal/other.shop.internal.key"
    caddy.shell(f"chmod 644 {key}")
    details = _compared(caddy, before).details
    caddy.shell(f"chmod 600 {key}")
    assert len(details) == 1
    assert (
        "keys: nobody else can read them: changed certificates/local/other.shop.internal/other.shop.internal.key"
        in details[0]
    )


def test_expired_certificate_is_found(caddy: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site whose certificate is over, by an authority that is trusted, is found by smoke; the other site is not
    named.
    """
    monkeypatch.setattr("services.caddy.product.SITES_DEADLINE_S", 1.0)
    folder: Path = caddy.folder  # type: ignore[attr-defined]
    caddy.shell("cp /data/caddy/pki/authorities/local/root.* /etc/caddy/")
    _make_certificate(folder, "expired", "-subj /CN=good.shop.internal", "subjectAltName=DNS:good.shop.internal")
    text = SITES.replace("tls internal", "tls /etc/caddy/expired.crt /etc/caddy/expired.key", 1)
    (folder / "Caddyfile").write_text(text, encoding="utf-8")
    caddy.shell("caddy reload --config /etc/caddy/Caddyfile")
    judgement = _smoke(caddy)
    (folder / "Caddyfile").write_text(SITES, encoding="utf-8")
    caddy.shell("caddy reload --config /etc/caddy/Caddyfile")
    assert "good.shop.internal: certificate: certificate has expired" in judgement.text
    assert "other.shop.internal: certificate" not in judgement.text


def test_other_upstream_is_found(caddy: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that answers, but not with what is declared to be behind it, is found."""
    monkeypatch.setattr("services.caddy.product.SITES_DEADLINE_S", 1.0)
    caddy.options = {
        "sites": {
            "good.shop.internal": {"contains": "this is good"},
            "other.shop.internal": {"contains": "this is good"},
        }
    }
    judgement = _smoke(caddy)
    caddy.options = {}
    assert "other.shop.internal: 200, but without 'this is good'" in judgement.text
    assert "good.shop.internal: 200" not in judgement.text.replace("other.shop.internal: 200", "")


def _make_certificate(folder: Path, name: str, words: str, extension: str = "") -> None:
    """Make key and certificate with OpenSSL: self-signed, or signed by root.crt with an end in the past."""
    key = f"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key {words}"
    script = f"{key} -out {name}.crt"
    if "-x509" not in words:
        script = (
            f"{key} -out {name}.csr && : > index.txt && echo 01 > serial && printf "
            "'[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index.txt\\nserial=serial\\n"
            "new_certs_dir=.\\ndefault_md=sha256\\npolicy=p\\nx509_extensions=e\\n"
            f"[p]\\ncommonName=supplied\\n[e]\\n{extension}\\n' > ca.cnf && "
            f"openssl ca -batch -config ca.cnf -cert root.crt -keyfile root.key -in {name}.csr -out {name}.crt -notext "
            "-startdate 20260101000000Z -enddate 20260201000000Z"
        )
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def temporal_server(all_images: None) -> Iterator[Subject]:
    """Return a workflow server with ten open workflows."""
    command = [
        "server",
        "start-dev",
        "--ip",
        "0.0.0.0",  # noqa: S104
        "--db-filename",
        "/tmp/temporal.db",
        "--headless",
        "--log-level",
        "warn",
    ]
    with running("temporal", TEMPORAL, 7233, command=command) as subject:
        asyncio.run(_start_letters(subject))
        yield subject


async def _start_letters(subject: Subject) -> None:
    client = await Client.connect(f"{subject.at().endpoint.host}:7233")
    for number in range(10):
        await client.start_workflow("Letter", number, id=f"letter-{number}", task_queue="post-office")
    for _ in range(50):
        if (await client.count_workflows('ExecutionStatus="Running"')).count == 10:
            return
        await asyncio.sleep(0.1)


def test_terminated_workflow_is_named(temporal_server: Subject) -> None:
    """A workflow that somebody terminated, and one that was deleted, are named; the eight others are not."""
    before = _prints(temporal_server)
    asyncio.run(_end_two(temporal_server))
    details = "\n".join(_compared(temporal_server, before).details)
    assert "default: open workflows: missing letter-4 " in details
    assert "changed letter-3 " in details
    assert details.count("letter-") == details.count("letter-3 ") + details.count("letter-4 ")


async def _end_two(subject: Subject) -> None:
    client = await Client.connect(f"{subject.at().endpoint.host}:7233")
    await client.get_workflow_handle("letter-3").terminate("by a test")
    deleted = DeleteWorkflowExecutionRequest(
        namespace="default", workflow_execution=WorkflowExecution(workflow_id="letter-4")
    )
    await client.workflow_service.delete_workflow_execution(deleted)
    for _ in range(100):
        if (await client.count_workflows('WorkflowId = "letter-4"')).count == 0:
            return
        await asyncio.sleep(0.1)


def test_worker_on_another_address_is_found(temporal_server: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task queue that nobody polls here is found; once its worker polls here, smoke passes."""
    monkeypatch.setattr(temporal, "WORKERS_DEADLINE_S", 2.0)
    temporal_server.options = {"task_queues": ["default/post-office"]}
    assert "no worker polls default/post-office: never" in _smoke(temporal_server).text
    ended = threading.Event()
    worker = threading.Thread(target=lambda: asyncio.run(_work(temporal_server, ended)))
    worker.start()
    try:
        judgement = Polling("its workers are back", 20.0).judge(lambda: _smoke(temporal_server))
    finally:
        ended.set()
        worker.join(30)
    assert judgement.passed, judgement.text


async def _work(subject: Subject, ended: threading.Event) -> None:
    client = await Client.connect(f"{subject.at().endpoint.host}:7233")
    async with Worker(
        client,
        task_queue="post-office",
        workflows=[Probe],
        activities=[echo],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        await asyncio.to_thread(ended.wait, 60)
