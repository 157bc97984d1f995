"""S3 by its usual client: no retries behind our back, path-style addresses, "no answer" told apart from "refused"."""

from __future__ import annotations

from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from engine.errors import UnreachableError
from engine.model import Target
from engine.secret import Secret

TIMEOUT_S: Final = 20
ONCE: Final = {"total_max_attempts": 1}


class _Calls:
    """A client whose calls raise UnreachableError when there is no answer, and ClientError when it is a refusal."""

    def __init__(self, client: Any, where: str) -> None:
        self.client, self.where = client, where

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)

        def told(**given: Any) -> Any:
            try:
                return call(**given)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 503:  # noqa: PLR2004 SlowDown, ServerNotInitialized
                    raise UnreachableError(f"{self.where}: {name}: {code_of(error)}") from None
                raise
            except BotoCoreError as error:
                raise UnreachableError(f"{self.where}: {name}: no answer: {type(error).__name__}") from None

        return told


def connect(at: Target, key: Secret | None = None, secret: Secret | None = None) -> Any:
    """Return an S3 client for the given key, else for the inventory's `access_key` and `secret_key`."""
    config = Config(
        signature_version="s3v4", connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries=ONCE, s3={"addressing_style": "path"},
        proxies={}, request_checksum_calculation="when_required", response_checksum_validation="when_required",
    )  # fmt: skip
    client = boto3.session.Session().client(
        "s3", endpoint_url=at.endpoint.url(""), region_name=str(at.options.get("region", "us-east-1")), config=config,
        aws_access_key_id=(key or at.secrets["access_key"]).reveal(), aws_secret_access_key=(secret or at.secrets["secret_key"]).reveal(),
    )  # fmt: skip
    return _Calls(client, at.where)


def code_of(error: ClientError) -> str:
    """Return S3's own word for an error."""
    return str(error.response.get("Error", {}).get("Code", "?"))
