"""docker inspect shows secrets in many places: each is known before anything about the container is written down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.redaction.container_secrets import secrets_of, secrets_of_argv
from engine.redaction.redactor import Redactor

PEM = (
    "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEF\\nAASCBKcwggSjAgEAAoIBAQC7VJTU\\n-----END PRIVATE "
    "KEY-----"
)
INSPECT: dict[str, Any] = {
    "Args": ["--requirepass", "in-args-1"],
    "Config": {
        "Env": [
            "SMTP_PASSWORD=in-env-1",
            "LICENSE=marked-1",
            "APP_KEY=k9Xz7Qp2Lm4Vt8RbYw3N",
            "PATH=/usr/local/bin:/usr/bin",
            "POSTGRES_HOST_AUTH_METHOD=scram-sha-256",
            "DATABASE_URL=postgres://app:in-url-1@db/shop",
            f"TLS_PRIVATE_KEY={PEM}",
            "PASSWORD_FILE=/run/secrets/pw",
            "DEBUG_TOKEN=false",
            "EMPTY_SECRET=",
            'SPRING_APPLICATION_JSON={"spring":{"datasource":{"password":"in-json-1"}}}',
        ],
        "Labels": {
            "deploy.token": "in-label-1",
            "team": "platform",
            "com.example.license": "marked-2",
            "backup": "nightly",
        },
        "Cmd": ["sh", "-c", "exec app --db-password in-cmd-1 --port 80 --token=in-cmd-2"],
        "Entrypoint": ["/entry.sh", "--api-key", "in-entry-1"],
        "Healthcheck": {
            "Test": [
                "CMD-SHELL",
                (
                    "redis-cli -a in-health-1 ping; curl -u ops:in-health-2 "
                    "http://127.0.0.1; "
                    "mysqladmin "
                    "--password=in-health-3 ping"
                ),
            ],
        },
    },
    "HostConfig": {
        "LogConfig": {
            "Type": "splunk",
            "Config": {"splunk-token": "in-log-1", "splunk-url": "https://splunk.example.org"},
        },
        "Mounts": [
            {
                "VolumeOptions": {
                    "DriverConfig": {"Options": {"type": "cifs", "o": "username=ops,password=in-mount-1,vers=3.0"}}
                }
            }
        ],
    },
}
SECRET = (
    "in-env-1",
    "marked-1",
    "k9Xz7Qp2Lm4Vt8RbYw3N",
    "in-url-1",
    "in-json-1",
    "in-label-1",
    "marked-2",
    "in-cmd-1",
    "in-cmd-2",
    "in-entry-1",
    "in-health-1",
    "in-health-2",
    "in-health-3",
    "in-log-1",
    "in-mount-1",
    "in-args-1",
    "MIIEvQIBADANBgkqhkiG9w0BAQEF",
    "AASCBKcwggSjAgEAAoIBAQC7VJTU",
)
OPEN = (
    "scram-sha-256",
    "/usr/local/bin:/usr/bin",
    "nightly",
    "platform",
    "/run/secrets/pw",
    "https://splunk.example.org",
    "username=ops",
    "false",
)


def test_each_secret_is_known_and_nothing_else() -> None:
    """Wherever it stands, also alone in a log line afterwards; settings, paths and words stay readable."""
    redactor = Redactor()
    redactor.register_container(INSPECT, {"LICENSE", "com.example.license"})

    for value in SECRET:
        assert redactor.text(f"it said {value} there") == "it said *** there", value
    for value in OPEN:
        assert redactor.text(f"it said {value} there") == f"it said {value} there", value


def test_the_answer_itself_holds_none_of_them_any_more() -> None:
    """As JSON, as Docker prints it, and as a value."""
    redactor = Redactor()
    redactor.register_container(INSPECT, {"LICENSE", "com.example.license"})

    for shown in (redactor.text(json.dumps(INSPECT)), json.dumps(redactor.value(INSPECT))):
        assert not [value for value in SECRET if value in shown]
    assert redactor.removed


@pytest.mark.parametrize(
    "argv",
    [
        ["redis-server", "--port", "6379"],
        ["app", "--token", "$TOKEN"],
        ["app", "--password", "--quiet"],
        ["psql", "-p", "5432"],
        [],
    ],
)
def test_a_command_line_without_secrets_has_none(argv: list[str]) -> None:
    """References to variables, flags that follow flags, and what -p means elsewhere."""
    assert list(secrets_of_argv(argv)) == []


@pytest.mark.parametrize(
    "inspect",
    [
        {},
        {"Config": None, "HostConfig": None},
        {"Config": {"Env": None, "Labels": None, "Cmd": "top -b", "Healthcheck": None}},
    ],
)
def test_an_answer_without_these_places_has_no_secrets(inspect: dict[str, Any]) -> None:
    """Docker leaves out what is not set."""
    assert list(secrets_of(inspect)) == []
