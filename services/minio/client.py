"""S3 by its usual client: no retries behind our back, path-style addresses, "no answer" distinguished from
"refused".
"""

from __future__ import annotations

import os
from typing import Any, Final

from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as SESSION_VARIABLES
from botocore.configprovider import ConstantProvider
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader
from botocore.plugin import PluginContext, reset_plugin_context, set_plugin_context
from botocore.session import Session

from engine.contracts.product import ServiceInstance
from engine.errors import UnreachableError
from engine.finding import say
from engine.redaction.redactor import Secret

TIMEOUT_S: Final = 20
ONCE: Final = {"total_max_attempts": 1}
FILES: Final = frozenset({"config_file", "credentials_file"})
UNSET: Final = {
    name: (None, None, os.devnull if name in FILES else default, convert)
    for name, (_, _, default, convert) in SESSION_VARIABLES.items()
}
"""Each setting of botocore at its default, named by no environment variable and no file."""


class _Calls:
    """A client whose calls raise UnreachableError when there is no answer, and ClientError when it is a refusal."""

    def __init__(self, client: Any, where: str) -> None:
        self.client, self.where = client, where

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)

        def translated(**given: Any) -> Any:
            try:
                return call(**given)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 503:  # noqa: PLR2004 SlowDown, ServerNotInitialized
                    raise UnreachableError(
                        say("{where}: {name}: {code_of}", where=self.where, name=name, code_of=code_of(error))
                    ) from None
                raise
            except BotoCoreError as error:
                raise UnreachableError(
                    say(
                        "{where}: {name}: no answer: {kind_name}",
                        where=self.where,
                        name=name,
                        kind_name=type(error).__name__,
                    )
                ) from None

        return translated


def connect(at: ServiceInstance, key: Secret | None = None, secret: Secret | None = None) -> Any:
    """Return an S3 client for the given key, else for the inventory's `access_key` and `secret_key`."""
    config = Config(
        signature_version="s3v4",
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        retries=ONCE,
        s3={"addressing_style": "path"},
        proxies={},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    undo = set_plugin_context(PluginContext(plugins="DISABLED"))
    try:
        client = _session().create_client(
            "s3",
            endpoint_url=at.endpoint.url(""),
            region_name=str(at.options.get("region", "us-east-1")),
            config=config,
            verify=True,
            aws_access_key_id=(key or at.secrets["access_key"]).reveal(),
            aws_secret_access_key=(secret or at.secrets["secret_key"]).reveal(),
        )
    finally:
        reset_plugin_context(undo)
    return _Calls(client, at.where)


def _session() -> Session:
    """Return a session that knows nothing of AWS_* variables, ~/.aws, its models and plugins (botocore:
    `configprovider.py`, `loaders.py`).
    """
    session = Session(session_vars=UNSET)
    session.get_component("config_store").set_config_provider("s3", ConstantProvider(None))
    session.register_component(
        "data_loader", Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    )
    return session


def code_of(error: ClientError) -> str:
    """Return S3's own word for an error."""
    return str(error.response.get("Error", {}).get("Code", "?"))
