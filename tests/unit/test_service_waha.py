"""WAHA's sessions: WORKING or named, and no message where none is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from engine.verdict import Judgement
from services.comparison import compare_fingerprints
from services.waha import Product
from tests.unit.answering import Answer, Answers, target

SECRETS = {"api_key": "key-of-waha"}


def _session(name: str = "default", status: str = "WORKING", **more: Any) -> dict[str, Any]:
    me = {"id": "5511900000001@c.us"} if status == "WORKING" else None
    return {"name": name, "status": status, "config": {"webhooks": []}, "me": me, "engine": {"engine": "NOWEB"}, **more}


def _table(*sessions: list[dict[str, Any]]) -> dict[str, Any]:
    turns = [list(turn) for turn in sessions]

    def listed(request: dict[str, Any]) -> Answer:
        if request["headers"]["X-Api-Key"] != "key-of-waha":
            return 401, {"message": "Unauthorized"}
        return 200, turns.pop(0) if len(turns) > 1 else turns[0]

    version = {"version": "2026.7.1", "engine": "NOWEB", "tier": "CORE"}
    return {"GET /api/sessions": listed, "POST /api/sendText": (201, {"id": "true_1"}), "GET /api/server/version": (200, version)}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no wait last."""
    monkeypatch.setattr("services.waha.WORKING_DEADLINE_S", 0.05)
    monkeypatch.setattr("services.waha.time.sleep", lambda _seconds: None)


def _smoke(options: dict[str, Any] | None = None) -> Judgement:
    return Product().smoke(target("waha", options, SECRETS), "longshore-1")


def test_a_session_that_still_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """STARTING is on its way; no message is sent, and the text says that a person sends one."""
    monkeypatch.setattr("services.waha.WORKING_DEADLINE_S", 60.0)
    answers = Answers(monkeypatch, _table([_session(status="STARTING")], [_session()]))
    seen = _smoke()

    assert seen.passed, seen.text
    assert "POST /api/sendText" not in answers.asked
    assert "a person sends one" in seen.text


def test_one_message_is_sent_where_the_inventory_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the number of the options, through a working session."""
    answers = Answers(monkeypatch, _table([_session()]))
    seen = _smoke({"test_number": "5511988888888"})

    assert seen.passed
    assert answers.requests[-1]["json"]["chatId"] == "5511988888888@c.us"


@pytest.mark.parametrize(
    ("sessions", "options", "said"),
    [
        ([_session(status="SCAN_QR_CODE")], {}, "session default: SCAN_QR_CODE"),
        ([_session(status="FAILED")], {}, "session default: FAILED"),
        ([_session(status="STOPPED")], {"sessions": ["default"]}, "session default: STOPPED"),
        ([_session()], {"sessions": ["default", "support"]}, "session support: none"),
        ([_session(me=None)], {}, "WORKING without a number"),
        ([], {}, "no session"),
    ],
)
def test_a_session_that_does_not_work_is_named(monkeypatch: pytest.MonkeyPatch, sessions: list[Any], options: dict[str, Any], said: str) -> None:
    """Each state that is not WORKING is told with its session."""
    Answers(monkeypatch, _table(sessions))
    seen = _smoke(options)

    assert not seen.passed
    assert said in seen.text


def test_a_server_without_its_key_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """When any key is let in, the key did not travel."""
    Answers(monkeypatch, {"GET /api/sessions": (200, [_session()])})

    assert "a wrong API key is answered with 200" in _smoke().text


def test_a_changed_webhook_and_lost_keys_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session whose configuration changed, and the one whose folder is gone."""
    files = {"noweb/default/creds.json": "1", "noweb/support/creds.json": "2", "noweb/waha.sqlite3": "3"}
    Answers(monkeypatch, _table([_session()]))
    before = Product().fingerprint(target("waha", {}, SECRETS, files=files), None)
    Answers(monkeypatch, _table([_session(config={"webhooks": [{"url": "http://elsewhere"}]})]))
    del files["noweb/support/creds.json"]
    seen = compare_fingerprints(before, Product().fingerprint(target("waha", {}, SECRETS, files=files), before))

    assert "sessions: changed default" in seen.text
    assert "sessions with keys in the store: missing noweb/support" in seen.text
