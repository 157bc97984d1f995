"""MinIO, asked as any S3 server: ready when it takes writes, its keys work and wrong ones do not, it holds the same
objects.

Known: nothing of MinIO itself was run here, only SeaweedFS in its place; what is asked is S3, and MinIO's health check
(docs: "Healthcheck API"). Its own users and policies live in its data and travel with it: a key of an application
proves them.
"""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.product import LogPattern, RestoreCommand, ServiceInstance
from engine.errors import UnreachableError
from engine.finding import joined, say
from engine.redaction.redactor import Secret
from engine.verdict import Judgement, failed, passed
from services.clients.http import judge_http
from services.fingerprints.container_settings import spread, words_of
from services.minio import fingerprint as prints
from services.minio.client import code_of, connect

LIVE: Final = "/minio/health/live"
PART_BYTES: Final = 5 * 1024 * 1024
"""The smallest part that S3 takes, but for the last."""
REFUSALS: Final = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"})


class Product(contract.Product):
    """The object store."""

    name = "minio"
    image_names: tuple[str, ...] = ("minio",)
    acts_on_start = False
    stop_grace_s = 90
    clean_exit_codes: frozenset[int] = frozenset({0})
    ready_deadline_s = 120.0
    state_paths: tuple[str, ...] = ("/data",)
    writable_noise: tuple[str, ...] = ("/tmp/*", "/run/*")  # noqa: S108 paths in the container
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r"Unable to (initialize|write to the) backend|drive not found|file access denied",
            say("it can't use its data: owner, mode or mount"),
        ),
        LogPattern(r"Detected default credentials", say("its root user and password did not travel")),
        LogPattern(
            r"file is corrupted", say("an object's bytes are not those that were written (cmd/storage-errors.go)")
        ),
        LogPattern(
            r"(?i)no space left on device|drive path full|minimum free drive threshold", say("the disk is full")
        ),
        LogPattern(
            r"Insufficient number of drives online",
            say("an object can't be read, or its drive is gone (cmd/object-api-errors.go)"),
        ),
        LogPattern(r"Unsupported backend format", say("its files are of a version that this one does not read")),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(
            r"(month|week|day)s? (out of date|before the latest release)", say("it is old; an upgrade is another night")
        ),
        LogPattern(r"standard parity is set to 0", say("one drive has no parity; it was so before")),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask for its liveness, then for a listing of buckets with the root key."""
        live = judge_http(at, LIVE)
        if not live.passed:
            return live
        try:
            buckets = connect(at).list_buckets()["Buckets"]
        except UnreachableError as error:
            return failed(str(error))
        except ClientError as error:
            return failed(
                say(
                    "{where}: listing of buckets: {code_of}. Expected: the root key of its environment works",
                    where=at.where,
                    code_of=code_of(error),
                )
            )
        return passed(say("{where}: live, lists {count} buckets", where=at.where, count=len(buckets)))

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Use a bucket of our own with every S3 call that applications need; see wrong keys refused and the
        application's key work.
        """
        wrong, works = (
            _use_a_bucket(at, nonce),
            [say("put, head, get, range, multipart and delete in a bucket of our own")],
        )
        wrong += _refused_keys(at)
        works.append(say("a wrong secret and an unknown key are refused"))
        if "app_access_key" in at.secrets:
            wrong += _use_application_key(at, nonce)
            works.append(say("the application's key reads and writes"))
        else:
            works.append(say("no key of an application is declared, so none was tried"))
        if wrong:
            return failed(
                say(
                    "{where}: {wrong}. Expected: {works}",
                    where=at.where,
                    wrong=joined("; ", wrong),
                    works=joined("; ", works),
                )
            )
        return passed(say("{where}: {works}", where=at.where, works=joined("; ", works)))

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read buckets with their settings, every version of every object with its etag, and the bytes of a sample."""
        return Fingerprint(at.service, prints.read_parts(at, since.parts if since else {}))

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return its drives: those of its command, else of MINIO_VOLUMES (docs: "minio server")."""
        words = words_of(container)
        given = words[words.index("server") + 1 :] if "server" in words else ()
        drives = [
            word
            for before, word in zip(("", *given), given, strict=False)
            if word.startswith("/") and not before.startswith("-")
        ]
        drives = drives or [word for word in (container.env.get("MINIO_VOLUMES") or "").split() if word.startswith("/")]
        return tuple(spread(drives)) or self.state_paths

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export: a mirror keeps current versions only; its files, archived, keep all."""
        return ()

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:  # noqa: ARG002
        """Return nothing to do: its files, archived while it runs, are taken as they are; a write that was under way
        may be missing.
        """
        return ()


def _use_a_bucket(at: ServiceInstance, nonce: str) -> list[str]:
    client, bucket = connect(at), nonce.lower()
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        return [say("a bucket could not be made: {code_of}", code_of=code_of(error))]
    try:
        return [*_use_an_object(client, bucket, nonce.encode()), *_use_multipart(client, bucket)]
    except ClientError as error:
        return [say("{operation_name}: {code_of}", operation_name=error.operation_name, code_of=code_of(error))]
    finally:
        for key in ("one", "parts"):
            client.delete_object(Bucket=bucket, Key=key)
        client.delete_bucket(Bucket=bucket)


def _use_an_object(client: Any, bucket: str, body: bytes) -> list[str]:
    etag = client.put_object(Bucket=bucket, Key="one", Body=body, Metadata={"from": "longshore"})["ETag"]
    head = client.head_object(Bucket=bucket, Key="one")
    whole = client.get_object(Bucket=bucket, Key="one")["Body"].read()
    piece = client.get_object(Bucket=bucket, Key="one", Range="bytes=2-5")["Body"].read()
    found = {
        "etag": head["ETag"] == etag,
        "size": head["ContentLength"] == len(body),
        "metadata": head["Metadata"] == {"from": "longshore"},
        "content": whole == body,
        "range": piece == body[2:6],
    }
    return [
        say("the object's {what} is another one than was put", what=what) for what, good in found.items() if not good
    ]


def _use_multipart(client: Any, bucket: str) -> list[str]:
    bodies = [b"a" * PART_BYTES, b"the rest"]
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    place = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    tags = [
        client.upload_part(**place, PartNumber=number, Body=body)["ETag"] for number, body in enumerate(bodies, start=1)
    ]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    seen = client.get_object(Bucket=bucket, Key="parts")["Body"].read()
    return (
        []
        if seen == b"".join(bodies)
        else [say("the multipart object has {count:,} bytes that are not those of its parts", count=len(seen))]
    )


def _refused_keys(at: ServiceInstance) -> list[str]:
    """Return which keys that must not work do."""
    tries = {
        "a wrong secret": (at.secrets["access_key"], Secret("longshore-wrong-secret")),
        "an unknown key": (Secret("longshoreunknown"), Secret("longshore-wrong-secret")),
    }
    wrong: list[str] = []
    for key_kind, (key, secret) in tries.items():
        try:
            connect(at, key, secret).list_buckets()
        except ClientError as error:
            if code_of(error) not in REFUSALS:
                wrong.append(say("{key_kind}: {code_of}", key_kind=key_kind, code_of=code_of(error)))
        else:
            wrong.append(say("{key_kind} is let in", key_kind=key_kind))
    return wrong


def _use_application_key(at: ServiceInstance, nonce: str) -> list[str]:
    """Put, get and delete an object in the application's bucket with its own key; see a bucket that is not its own
    forbidden.
    """
    client, bucket = (
        connect(at, at.secrets["app_access_key"], at.secrets["app_secret_key"]),
        str(at.options.get("app_bucket", "")),
    )
    if not bucket:
        return [say("the application's key has no app_bucket in the inventory's options")]
    try:
        client.put_object(Bucket=bucket, Key=nonce, Body=nonce.encode())
        seen = client.get_object(Bucket=bucket, Key=nonce)["Body"].read()
        _remove_for_good(connect(at), bucket, nonce)
    except ClientError as error:
        return [
            say(
                "the application's key in bucket {bucket}: {operation_name}: {code_of}",
                bucket=bucket,
                operation_name=error.operation_name,
                code_of=code_of(error),
            )
        ]
    wrong = (
        []
        if seen == nonce.encode()
        else [
            say(
                "the application's key read back {count} other bytes from bucket {bucket}",
                count=len(seen),
                bucket=bucket,
            )
        ]
    )
    forbidden = str(at.options.get("app_forbidden_bucket", ""))
    return wrong + (_forbidden(client, forbidden, nonce) if forbidden else [])


def _forbidden(client: Any, bucket: str, nonce: str) -> list[str]:
    try:
        client.put_object(Bucket=bucket, Key=nonce, Body=b"")
    except ClientError as error:
        return (
            []
            if code_of(error) == "AccessDenied"
            else [
                say(
                    "bucket {bucket} answers the application's key {code_of}, not AccessDenied",
                    bucket=bucket,
                    code_of=code_of(error),
                )
            ]
        )
    client.delete_object(Bucket=bucket, Key=nonce)
    return [say("the application's key may write to bucket {bucket}, which is not its own", bucket=bucket)]


def _remove_for_good(client: Any, bucket: str, key: str) -> None:
    """Remove every version of an object of ours; a plain delete would leave a marker in a versioned bucket."""
    listed = client.list_object_versions(Bucket=bucket, Prefix=key)
    for version in [*(listed.get("Versions") or ()), *(listed.get("DeleteMarkers") or ())]:
        client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
