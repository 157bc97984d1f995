"""n8n's workflows, webhooks and credentials: what is judged, and that no plain text of a credential stays anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.contracts.container import CommandResult, ContainerCommand
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.product import ServiceInstance
from engine.errors import NotObservedError
from engine.verdict import Judgement
from services.fingerprints.compare import compare_fingerprints
from services.n8n.product import Product
from tests.fakes.http_product import Answers, ran, target

SECRETS = {"api_key": "key-of-the-owner", "encryption_key": "0123456789abcdef"}
NONCE = "longshore-1"
PASSWORD = "geheim-123"
CREDENTIAL = {
    "id": "c1",
    "name": "Shop database",
    "type": "postgres",
    "updatedAt": "2026-11-25T22:47:00Z",
    "data": {"password": PASSWORD},
}
WORKFLOW = {
    "id": "w1",
    "name": "Order step 1",
    "active": True,
    "nodes": [],
    "connections": {},
    "settings": {},
    "updatedAt": "2026-11-25T22:47:01Z",
}


def _table(**more: Any) -> dict[str, Any]:
    return {
        "POST /api/v1/workflows": (200, {"id": "w9"}),
        "POST /api/v1/workflows/w9/activate": (200, {}),
        f"POST /webhook/{NONCE}": (200, [{"nonce": NONCE}]),
        "GET /api/v1/executions": (200, {"data": [{"status": "success"}]}),
        "POST /api/v1/workflows/w9/deactivate": (200, {}),
        "DELETE /api/v1/workflows/w9": (200, {}),
        "GET /api/v1/workflows": (200, {"data": [WORKFLOW], "nextCursor": None}),
        "GET /api/v1/credentials": (200, {"data": [{"id": "c1", "name": "Shop database"}], "nextCursor": None}),
        **more,
    }


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no wait last."""
    monkeypatch.setattr("services.n8n.product.EXECUTION_DEADLINE_S", 0.05)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def _smoke(options: dict[str, Any] | None = None) -> Judgement:
    return Product().smoke(target("n8n", options, SECRETS), NONCE)


def test_a_workflow_is_published_called_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smoke leaves nothing: its workflow is unpublished and deleted at the end."""
    answers = Answers(monkeypatch, _table())
    seen = _smoke()

    assert seen.passed, seen.text
    assert answers.asked[-2:] == ["POST /api/v1/workflows/w9/deactivate", "DELETE /api/v1/workflows/w9"]


def test_deleting_is_tried_again_while_n8n_still_unpublishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """n8n 2.40.7 answers 409 for a moment: the workflow is deleted all the same."""
    busy = (409, {"message": "Workflow is still being unpublished. Please try again in a few moments."})
    answers = Answers(monkeypatch, _table(**{"DELETE /api/v1/workflows/w9": [busy, (200, {})]}))

    assert _smoke().passed
    assert answers.asked.count("DELETE /api/v1/workflows/w9") == 2


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({f"POST /webhook/{NONCE}": (404, {"message": "not registered"})}, {}, "POST /webhook/longshore-1: 404"),
        ({"GET /api/v1/executions": (200, {"data": [{"status": "error"}]})}, {}, "its newest execution: error"),
        (
            {"POST /webhook/probe": (500, {"message": "Error in workflow"})},
            {"probe_webhook": "probe"},
            "POST /webhook/probe: 500",
        ),
        ({}, {"test_credentials": ["Lost one"]}, "credential Lost one: not there"),
        (
            {
                "POST /api/v1/credentials/c1/test": (
                    200,
                    {"status": "Error", "message": "Credentials could not be decrypted"},
                )
            },
            {"test_credentials": ["Shop database"]},
            "credential Shop database: Error Credentials could not be decrypted",
        ),
    ],
)
def test_what_does_not_work_is_named(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    """A webhook that is not there, an execution that failed, a probe that errs, a credential that is lost or can't be
    read.
    """
    Answers(monkeypatch, _table(**change))
    seen = _smoke(options)

    assert not seen.passed
    assert said in seen.text


def _holding(*credentials: dict[str, Any]) -> ServiceInstance:
    def inside(command: ContainerCommand) -> CommandResult:
        assert "--decrypted" in command.argv[-1]
        return ran(command, json.dumps(credentials).encode())

    return target("n8n", {}, SECRETS, inside=inside)


def _fingerprint(at: ServiceInstance, since: Fingerprint | None = None) -> Fingerprint:
    return Product().fingerprint(at, since)


def test_a_deleted_workflow_and_a_changed_password_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a later edit, other content is damage: the workflow and the credential stand in the message, the password
    nowhere.
    """
    Answers(monkeypatch, _table())
    before = _fingerprint(_holding(CREDENTIAL))
    Answers(
        monkeypatch,
        _table(**{"GET /api/v1/workflows": (200, {"data": [{**WORKFLOW, "id": "w2"}], "nextCursor": None})}),
    )
    now = _fingerprint(_holding({**CREDENTIAL, "data": {"password": "another"}}), before)
    seen = compare_fingerprints(before, now)

    assert "workflows: missing Order step 1 (w1)" in seen.text
    assert "credentials, decrypted: changed Shop database (c1)" in seen.text
    assert PASSWORD not in repr(before.parts["credentials, decrypted"].names)


def test_all_pages_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second page's workflow is there: without asking on, it would be missing on both sides and nobody would see
    it.
    """
    pages = [
        (200, {"data": [WORKFLOW], "nextCursor": "n"}),
        (200, {"data": [{**WORKFLOW, "id": "w2"}], "nextCursor": None}),
    ]
    Answers(monkeypatch, _table(**{"GET /api/v1/workflows": pages}))

    assert _fingerprint(_holding(CREDENTIAL)).parts["workflows"].count == 2


@pytest.mark.parametrize(
    ("stderr", "error", "said"),
    [
        (
            b"Credentials could not be decrypted. The likely reason is a different encryptionKey",
            AssertionError,
            "N8N_ENCRYPTION_KEY",
        ),
        (b"Error: connect ECONNREFUSED", NotObservedError, "exit 1"),
    ],
)
def test_a_wrong_key_is_wrong_and_no_answer_is_unknown(
    monkeypatch: pytest.MonkeyPatch, stderr: bytes, error: type[Exception], said: str
) -> None:
    """The container itself decrypts: when it can't, that is a finding; when it can't be asked, it is not."""
    Answers(monkeypatch, _table())
    at = target("n8n", {}, SECRETS, inside=lambda command: ran(command, b"", exit_code=1, stderr=stderr))

    with pytest.raises(error, match=said):
        _fingerprint(at)


def test_exports_pass_through_memory_only() -> None:
    """The backup's commands write below /dev/shm and take the file away; credentials stay encrypted in them."""
    commands = Product().export_commands(target("n8n").container)

    assert [command.saves_as for command in commands] == ["workflows.json", "credentials.json"]
    assert all("-p /dev/shm" in command.argv[-1] and "--decrypted" not in command.argv[-1] for command in commands)
