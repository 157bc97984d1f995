"""MinIO on the source host: buckets with and without versions, objects of many sizes, and an application's own key."""

from __future__ import annotations

from typing import Any, Final

import boto3
from botocore.config import Config

from lab.containers import NETWORK, SOURCE, address, run_container, wait_for_http
from lab.hosts import ssh
from lab.settings import MINIO

RUN: Final = (
    "--name",
    "minio",
    "--network",
    NETWORK,
    "--publish",
    "9010:9000",
    "--publish",
    "9011:9001",
    "--volume",
    "minio_data:/data",
    "--restart",
    "always",
    "--stop-timeout",
    "60",
    "--label",
    "team=platform",
    "--log-opt",
    "max-size=5m",
    MINIO,
    "server",
    "/data",
    "--console-address",
    ":9001",
)
ROOT_USER: Final = "lab-root"
APP_BUCKET: Final = "parcels"
PRIVATE_BUCKET: Final = "contracts"
INVOICES: Final = 60
BIG_BYTES: Final = 12 * 1024 * 1024
MAKE_KEY: Final = """
set -eu
if command -v weed >/dev/null; then
    rights="-buckets={bucket} -actions=Read,Write,List"
    printf '%s\\n' "s3.configure -user=parcels -access_key={key} -secret_key={secret} $rights -apply" |
        weed shell -master=127.0.0.1:9333 >/dev/null
else
    export MC_HOST_lab="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000"
    printf '%s' '{policy}' > /tmp/policy.json
    mc admin user add lab {key} {secret} >/dev/null
    mc admin policy create lab parcels /tmp/policy.json >/dev/null
    mc admin policy attach lab parcels --user {key} >/dev/null
    rm /tmp/policy.json
fi
"""
POLICY: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],'
    '"Resource":["arn:aws:s3:::parcels","arn:aws:s3:::parcels/*"]}]}'
)


def create(passwords: dict[str, str]) -> None:
    """Start it, and make what the shop keeps in it."""
    run_container(RUN, {"MINIO_ROOT_USER": ROOT_USER, "MINIO_ROOT_PASSWORD": passwords["minio"]})
    wait_for_http("minio", 9010, "/minio/health/live")
    client = _client(passwords["minio"])
    for bucket in ("invoices", APP_BUCKET, PRIVATE_BUCKET, "archive"):
        client.create_bucket(Bucket=bucket)
    _fill(client)
    words = {"key": passwords["minio_app_access_key"], "secret": passwords["minio_app_secret_key"]}
    script = MAKE_KEY.format(bucket=APP_BUCKET, policy=POLICY, **words)
    ssh(SOURCE, "docker", "exec", "-i", "minio", "sh", stdin=script.encode())


def _client(password: str) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    return boto3.client(
        "s3",
        endpoint_url=f"http://{address()}:9010",
        region_name="us-east-1",
        config=config,
        aws_access_key_id=ROOT_USER,
        aws_secret_access_key=password,
    )


def _fill(client: Any) -> None:
    client.put_bucket_versioning(Bucket="invoices", VersioningConfiguration={"Status": "Enabled"})
    for number in range(INVOICES):
        for version in range(1 + number % 3):
            client.put_object(
                Bucket="invoices",
                Key=f"2026/{number:04}.pdf",
                Body=f"invoice {number}, version {version}: ".encode() * (1 + number * 7),
            )
    for number in range(0, INVOICES, 10):
        client.delete_object(Bucket="invoices", Key=f"2026/{number:04}.pdf")
    for number in range(40):
        client.put_object(
            Bucket=PRIVATE_BUCKET,
            Key=f"contract-{number}.txt",
            Body=f"contract {number}".encode(),
            ContentType="text/plain",
        )
    client.put_object(Bucket="archive", Key="2025.tar", Body=bytes(range(256)) * (BIG_BYTES // 256))
    client.put_object(Bucket=APP_BUCKET, Key="labels/template.txt", Body=b"To: {name}")
