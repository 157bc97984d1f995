"""WAHA's sessions: WORKING or named, and no message where none is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.containers.state_paths import Change, judge_writable_layer
from engine.verdict import Judgement
from phases.assess.readiness import outside_of
from services.fingerprints.compare import compare_fingerprints
from services.waha.product import WORKED, Product, patience_s
from tests.fakes.http_product import Answer, Answers, target

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
    return {
        "GET /api/sessions": listed,
        "POST /api/sendText": (201, {"id": "true_1"}),
        "GET /api/server/version": (200, version),
    }


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no wait last."""
    monkeypatch.setattr("services.waha.product.WORKING_DEADLINE_S", 0.05)
    monkeypatch.setattr("services.waha.product.EACH_S", 0.01)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def _smoke(options: dict[str, Any] | None = None) -> Judgement:
    return Product().smoke(target("waha", options, SECRETS), "longshore-1")


def test_a_session_that_still_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """STARTING is on its way; no message is sent, and the text says that a person sends one."""
    monkeypatch.setattr("services.waha.product.WORKING_DEADLINE_S", 60.0)
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
def test_a_session_that_does_not_work_is_named(
    monkeypatch: pytest.MonkeyPatch, sessions: list[Any], options: dict[str, Any], said: str
) -> None:
    """Each state that is not WORKING is reported with its session."""
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


ME = {"id": "5511900000001@c.us", "pushName": "Shop"}
KEYS = {"noweb/shop/creds.json": "1", "noweb/support/creds.json": "2"}


def _pair(shop: str, support: str) -> list[dict[str, Any]]:
    """Return two sessions as WAHA lists them: one that is not started yet has its number from waha.sqlite3."""
    about = {"config": {"webhooks": []}, "me": ME, "presence": None, "timestamps": {"activity": None}}
    return [{"name": "shop", "status": shop, **about}, {"name": "support", "status": support, **about}]


def test_sessions_that_do_not_come_back_to_work_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Just after /ping all are STOPPED with the right number; a target on which they stay so is not the same."""
    at = target("waha", {}, SECRETS, files=KEYS)
    Answers(monkeypatch, _table(_pair("WORKING", "WORKING")))
    before = Product().fingerprint(at, None)
    Answers(monkeypatch, _table(_pair("WORKING", "STOPPED")))
    one = compare_fingerprints(before, Product().fingerprint(at, before))
    Answers(monkeypatch, _table(_pair("STOPPED", "STOPPED")))
    none = compare_fingerprints(before, Product().fingerprint(at, before))

    assert "sessions that work: missing support" in one.text
    assert "sessions that work: missing shop, support" in none.text


def test_sessions_that_are_started_one_after_the_other_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """STOPPED, then STARTING, then WORKING: the reading ends when all that worked do again, and not before."""
    monkeypatch.setattr("services.waha.product.WORKING_DEADLINE_S", 60.0)
    at = target("waha", {}, SECRETS, files=KEYS)
    Answers(monkeypatch, _table(_pair("WORKING", "WORKING")))
    before = Product().fingerprint(at, None)
    Answers(
        monkeypatch,
        _table(
            _pair("STOPPED", "STOPPED"),
            _pair("WORKING", "STOPPED"),
            _pair("WORKING", "STARTING"),
            _pair("WORKING", "WORKING"),
        ),
    )

    assert compare_fingerprints(before, Product().fingerprint(at, before)).passed


def test_a_session_that_was_stopped_on_the_source_may_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Demanded is exactly what worked: no more, and not less."""
    at = target("waha", {}, SECRETS, files=KEYS)
    Answers(monkeypatch, _table(_pair("WORKING", "STOPPED")))
    before = Product().fingerprint(at, None)

    assert list(before.parts[WORKED].names) == ["shop"]
    assert compare_fingerprints(before, Product().fingerprint(at, before)).passed


@pytest.mark.parametrize("pair", [_pair("WORKING", "STOPPED"), _pair("STOPPED", "STOPPED")])
def test_smoke_demands_what_worked_at_the_last_reading(
    monkeypatch: pytest.MonkeyPatch, pair: list[dict[str, Any]]
) -> None:
    """Without `sessions` in the inventory these are those on record, not those that happen to work now."""
    at = target("waha", {}, SECRETS, files=KEYS)
    Answers(monkeypatch, _table(_pair("WORKING", "WORKING")))
    before = Product().fingerprint(at, None)
    Answers(monkeypatch, _table(pair))
    seen = Product().smoke(replace(at, recorded=lambda: before), "longshore-1")

    assert not seen.passed
    assert "session support: STOPPED" in seen.text or "session shop: STOPPED" in seen.text


def test_what_is_stopped_just_after_a_start_is_no_answer_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is on record: a session that is STOPPED is on its way in the first minutes, and stopped on purpose after
    days.
    """
    at = target("waha", {}, SECRETS)
    Answers(monkeypatch, _table(_pair("WORKING", "STOPPED")))
    fresh = Product().smoke(at, "longshore-1")
    old = replace(at, container=replace(at.container, raw={"State": {"StartedAt": "2026-01-01T00:00:00.123456789Z"}}))
    settled = Product().smoke(old, "longshore-1")

    assert "session support: STOPPED" in fresh.text
    assert not fresh.passed
    assert settled.passed
    assert "1 of 2 sessions WORKING (shop; not asked for: support STOPPED)" in settled.text


def test_time_to_work_grows_with_the_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are started one after the other, with the configured delay between two."""
    monkeypatch.setattr("services.waha.product.EACH_S", 15.0)
    monkeypatch.setattr("services.waha.product.WORKING_DEADLINE_S", 60.0)
    at = target("waha")
    slow = replace(at, container=replace(at.container, env={"WAHA_AUTO_START_DELAY_SECONDS": "5"}))

    assert (patience_s(at, 1), patience_s(at, 90), patience_s(slow, 90)) == (75.0, 1410.0, 1860.0)


@pytest.mark.parametrize(
    "said",
    [
        {"id": "true_1"},
        {"key": {"id": "3EB0", "fromMe": True}, "message": {}, "status": 1},
        {"_data": {"id": {"x": 1}}},
    ],
)
def test_each_engines_way_to_name_a_sent_message_is_understood(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    """NOWEB answers with a WebMessageInfo, whose id is in its key."""
    Answers(monkeypatch, {**_table([_session()]), "POST /api/sendText": (201, said)})

    assert _smoke({"test_number": "5511988888888"}).passed


@pytest.mark.parametrize(
    ("version", "environment", "lost"),
    [
        ({"version": "2025.9.1", "tier": "CORE"}, {}, True),
        (
            {"version": "2026.5.9", "tier": "CORE"},
            {"WHATSAPP_START_SESSION": "shop,support"},
            True,
        ),  # webhooks of its own
        ({"version": "2026.6.1", "tier": "CORE"}, {}, False),
        ({"version": "2024.3.3", "tier": "PLUS"}, {}, False),
    ],
)
def test_a_core_that_forgets_its_sessions_is_reported_before_the_stop(
    monkeypatch: pytest.MonkeyPatch, version: dict[str, str], environment: dict[str, str], lost: bool
) -> None:
    """Before 2026.6.1 only authentication is kept: after a start the session is STOPPED and its configuration is
    nowhere.
    """
    at = target("waha", {}, SECRETS, files=KEYS)
    at = replace(at, container=replace(at.container, env=environment))
    Answers(monkeypatch, {**_table(_pair("WORKING", "STOPPED")), "GET /api/server/version": (200, version)})
    losses = Product().lost_by_stop(at)

    assert bool(losses) is lost
    assert not lost or ("forgets" in losses[0] and "shop" in losses[0] and "support" not in losses[0])


def test_a_session_that_works_without_keys_in_the_store_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys lie where a move does not look; WEBJS keeps them in session-NAME."""
    Answers(monkeypatch, _table(_pair("WORKING", "WORKING")))
    found = {"webjs/default/session-shop/Default/Cookies": "1"}

    (loss,) = Product().lost_by_stop(target("waha", {}, SECRETS, files=found))
    assert loss.startswith("support: no key below /app/.sessions")
    (loss,) = Product().lost_by_stop(target("waha", {}, SECRETS, files={}))
    assert loss.startswith("shop, support: no key")


def test_one_lost_session_of_webjs_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them lie below webjs/default: each has a name of its own."""
    files = {f"webjs/default/session-{name}/Default/Cookies": "1" for name in ("shop", "support")}
    Answers(monkeypatch, _table(_pair("WORKING", "WORKING")))
    before = Product().fingerprint(target("waha", {}, SECRETS, files=files), None)
    del files["webjs/default/session-support/Default/Cookies"]
    seen = compare_fingerprints(before, Product().fingerprint(target("waha", {}, SECRETS, files=files), before))

    assert "sessions with keys in the store: missing webjs/default/session-support" in seen.text


def test_keys_outside_the_mounts_are_never_noise() -> None:
    """Core of 2024 kept them in /tmp/waha-sessions; received files there need a reason; another base folder is the
    state path.
    """
    container = target("waha").container
    outside = outside_of(Product(), container)
    keys = Change("A", "/tmp/waha-sessions/noweb/default-c21f969b/creds.json")
    media = Change("A", "/tmp/whatsapp-files/default/a.jpeg")
    moved = replace(container, env={"WAHA_LOCAL_STORE_BASE_DIR": "../data/waha"})

    assert "is state of its product" in judge_writable_layer(container, [keys], outside, "caches only").text
    assert not judge_writable_layer(container, [media], outside).passed
    assert judge_writable_layer(container, [media], outside, "fetched within seconds").passed
    assert Product().state_paths_of(container) == ("/app/.sessions",)
    assert Product().state_paths_of(moved) == ("/data/waha",)
