"""What an S3 store holds, in parts: buckets with their settings, versions of objects with their etags, bytes of a
sample.

An etag says what was put, not what the disk gives back: so a sample is read whole. The sample is chosen by the digest
of the name, so that it is the same on both sides, and its size is reported. Names of objects may say whose they are:
they are called by keyed digests in all that is written down.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from botocore.exceptions import ClientError

from engine.contracts.fingerprint import FingerprintPart, Validity
from engine.contracts.product import ServiceInstance
from services.fingerprints.named_parts import named_part, short_digest
from services.minio.client import code_of, connect

NAMED_VERSIONS: Final = 100_000
"""Up to so many versions of a bucket each one is named; of larger ones only their number and digest at the cutover."""
SAMPLED: Final = 200
SAMPLED_BYTES: Final = 64 * 1024 * 1024
SETTINGS: Final = (
    "get_bucket_policy",
    "get_bucket_versioning",
    "get_bucket_lifecycle_configuration",
    "get_bucket_encryption",
    "get_bucket_tagging",
    "get_bucket_cors",
    "get_bucket_notification_configuration",
    "get_object_lock_configuration",
    "get_bucket_replication",
)
UNREADABLE: Final = "can't be read"


def read_parts(at: ServiceInstance, before: Mapping[str, FingerprintPart]) -> dict[str, FingerprintPart]:
    """Return all parts; within those of `before` where given."""
    client = connect(at)
    changing = tuple(map(str, at.options.get("changing_objects") or ()))
    buckets = [str(bucket["Name"]) for bucket in client.list_buckets()["Buckets"]]
    parts = {"buckets": named_part({name: short_digest(name) for name in buckets}, before.get("buckets"))}
    parts |= _encryption_key(at)
    for bucket in buckets:
        found = {
            name: about
            for name, about in list_versions(client, bucket)
            if not _matches(f"{bucket}/{about['key']}", changing)
        }
        versions = {at.sealed(name): about for name, about in found.items()}
        at.names({at.sealed(name): f"{bucket}/{name}" for name in list(found)[:NAMED_VERSIONS]})
        listed, settings, content = (
            f"bucket {bucket}: {what}" for what in ("objects and versions", "settings", "bytes of a sample")
        )
        parts[settings] = named_part(_settings(client, bucket), before.get(settings))
        parts[listed] = _listed(versions, before.get(listed))
        parts[content] = _content(client, bucket, versions, before.get(content))
    return parts


def _encryption_key(at: ServiceInstance) -> dict[str, FingerprintPart]:
    """Return which key objects are encrypted with, without revealing it; lost, only these can't be read (docs:
    "Server-Side Encryption", KMS).
    """
    key = at.container.env.get("MINIO_KMS_SECRET_KEY", "")
    digest = hmac.new(key.encode(), b"longshore", hashlib.sha256).hexdigest() if key else "none"
    return {"encryption key": FingerprintPart(1, digest)}


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def list_versions(client: Any, bucket: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each version and delete marker by its name (`key @version`), with key, etag and size."""
    place: dict[str, Any] = {}
    while True:
        page = client.list_object_versions(Bucket=bucket, MaxKeys=1000, **place)
        for version in page.get("Versions") or ():
            yield (
                _name(version),
                {
                    "key": version["Key"],
                    "version": version.get("VersionId"),
                    "etag": version["ETag"],
                    "size": version["Size"],
                },
            )
        for marker in page.get("DeleteMarkers") or ():
            yield (
                _name(marker),
                {"key": marker["Key"], "version": marker.get("VersionId"), "etag": "deleted", "size": None},
            )
        if not page.get("IsTruncated"):
            return
        place = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker") or ""}


def _name(version: Mapping[str, Any]) -> str:
    number = version.get("VersionId")
    return str(version["Key"]) if number in {None, "null"} else f"{version['Key']} @{number}"


def _settings(client: Any, bucket: str) -> dict[str, str]:
    """Return each setting's digest; a setting that is not there is one too, called as S3 calls it."""
    found = {}
    for call in SETTINGS:
        try:
            answer = getattr(client, call)(Bucket=bucket)
        except ClientError as error:
            found[call] = code_of(error)
        else:
            found[call] = short_digest({key: value for key, value in answer.items() if key != "ResponseMetadata"})
    return {call.removeprefix("get_").removeprefix("bucket_").replace("_", " "): value for call, value in found.items()}


def _listed(versions: Mapping[str, Mapping[str, Any]], before: FingerprintPart | None) -> FingerprintPart:
    digests = {name: short_digest([about["etag"], about["size"]]) for name, about in versions.items()}
    if len(digests) > NAMED_VERSIONS:
        return FingerprintPart(len(digests), short_digest(digests), Validity.AT_CUTOVER)
    return named_part(digests, before)


def _content(
    client: Any, bucket: str, versions: Mapping[str, Mapping[str, Any]], before: FingerprintPart | None
) -> FingerprintPart:
    """Return digests of whole objects: those of `before` that are still there, else a sample of all."""
    chosen = choose_sample(versions) if before is None else [name for name in before.names if name in versions]
    part = named_part({name: _bytes(client, bucket, versions[name]) for name in chosen}, before)
    unreadable = [name for name in chosen if part.names[name] == UNREADABLE]
    if before is None and unreadable:
        raise AssertionError(
            f"bucket {bucket}: {len(unreadable)} of {len(chosen)} sampled objects can't be read: "
            f"{', '.join(unreadable[:5])}. "
            "Expected: all can. Their names are in the run's folder, private/. Fix or remove them first: a move "
            "would carry the damage along"
        )
    return part


def choose_sample(versions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return at most 200 names, at most 64 MiB together, in the order of their names' digests."""
    chosen: list[str] = []
    size = 0
    for name in sorted(versions, key=lambda name: hashlib.sha256(name.encode()).digest()):
        its = versions[name]["size"]
        if its is not None and size + its <= SAMPLED_BYTES and len(chosen) < SAMPLED:
            chosen.append(name)
            size += its
    return chosen


def _bytes(client: Any, bucket: str, about: Mapping[str, Any]) -> str:
    version = {} if about["version"] in {None, "null"} else {"VersionId": about["version"]}
    try:
        body = client.get_object(Bucket=bucket, Key=about["key"], **version)["Body"]
        digest = hashlib.sha256()
        for chunk in body.iter_chunks(1024 * 1024):
            digest.update(chunk)
    except (ClientError, OSError, EOFError):
        return UNREADABLE
    return digest.hexdigest()[:16]
