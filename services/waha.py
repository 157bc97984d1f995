"""WAHA: ready when it answers, its WhatsApp sessions WORKING, and the same sessions with the same configuration and numbers.

Options: `sessions` (those that must work; all that are not STOPPED without it), `test_number` (a number of the customer's own that
one message may be sent to; none is sent without it, and a person tries it).
Secrets: `api_key`.
Known: 2026.x. It connects to WhatsApp with its sessions' keys as soon as it starts: its start is the commit, the old one must not
run beside it (that logs the number out for good), and no copy of real sessions is ever started for a rehearsal or drill.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import requests

from engine.model import ContainerCommand, ContainerFacts, Fingerprint, LogPattern, Target
from engine.verdict import Judgement, failed, passed
from services.http import judge_http
from services.json_api import JsonApi, shortened
from services.things import Thing, part_of, plain_part

SESSIONS: Final = "/app/.sessions"
WORKING_DEADLINE_S: Final = 60.0
ON_ITS_WAY: Final = frozenset({"STARTING", "STOPPED", "none"})
"""A restarted session is started again by itself; SCAN_QR_CODE and FAILED do not get better by waiting."""
DATABASE: Final = "waha.sqlite3"


class Product:
    """The WhatsApp gateway."""

    name = "waha"
    acts_on_start = True
    stop_grace_s = 60
    clean_exit_codes: frozenset[int] = frozenset({0, 143})
    ready_deadline_s = 120.0
    state_paths: tuple[str, ...] = (SESSIONS,)
    writable_noise: tuple[str, ...] = ("/tmp/*", "/root/.cache*", "/root/.config*", "/root/.npm*")  # noqa: S108
    why_not_drilled = "a session shows what it holds only when it is logged in to WhatsApp, which a copy must never be"
    trouble: tuple[LogPattern, ...] = (
        LogPattern(r"Stream Errored \(conflict\)", "another program uses the same number: is the old container alive?"),
        LogPattern(r"device_removed|logged ?out", "the number was logged out: its owner must scan a code again"),
        LogPattern(r"SCAN_QR_CODE", "a session has lost its keys, or looks for them in another namespace"),
        LogPattern(r"do not reconnect|status.*FAILED", "a session gave up"),
        LogPattern(r"SingletonLock", "its browser was not closed cleanly on the old host"),
        LogPattern(r"too many clients already", "its database has too few connections for its sessions"),
    )
    noise: tuple[LogPattern, ...] = (LogPattern(r"history sync|reconnecting", "a session that catches up after its start"),)

    def ready(self, at: Target) -> Judgement:
        """Ask /ping; whether sessions work is the function, and asked there."""
        return judge_http(at, "/ping")

    def smoke(self, at: Target, nonce: str) -> Judgement:
        """Let nobody in without the key; every session that must work is WORKING with its number; one message where it is allowed."""
        api = _api(at)
        stranger = JsonApi(at, at.endpoint, {"X-Api-Key": nonce}).send("GET", "/api/sessions")
        if stranger.status_code != requests.codes.unauthorized:
            return failed(f"{at.where}: a wrong API key is answered with {stranger.status_code}. Expected: 401")
        wanted = [str(name) for name in at.options.get("sessions") or ()]
        problems, working = _wait_until_working(api, wanted)
        if problems or not working:
            return failed(
                f"{at.where}: {problems[0] if problems else 'no session'}. Expected: WORKING, with its number. "
                "Read its log; a session in SCAN_QR_CODE needs the phone's owner",
                tuple(problems),
            )
        told = f"{at.where}: {len(working)} sessions WORKING ({', '.join(working)}), a wrong key is refused"
        number = at.options.get("test_number")
        if not number:
            return passed(f"{told}; no message was sent: no test_number is allowed, so a person sends one", sessions=len(working))
        if wrong := _message_problem(api, working[0], str(number), nonce):
            return failed(f"{at.where}: {wrong}. Expected: a message accepted by session {working[0]}")
        return passed(f"{told}; one message to the test number was accepted", sessions=len(working))

    def fingerprint(self, at: Target, since: Fingerprint | None) -> Fingerprint:
        """Read sessions with configuration and number, version and engine, and which sessions have keys in the store.

        A session has its number only once it works, so they are given time; one that does not come to work differs.
        """
        api = _api(at)
        _wait_until_working(api, [])
        sessions = {str(item["name"]): Thing(_steady(item)) for item in api.get("/api/sessions", all="true")}
        parts = part_of("sessions", sessions, since) if sessions else {}
        version = api.get("/api/server/version")
        parts |= plain_part("engine and version", {key: version.get(key) for key in ("version", "engine", "tier")})
        folders = {name: Thing(name) for name in _folders(at)}
        return Fingerprint(at.service, parts | (part_of("sessions with keys in the store", folders, since) if folders else {}))

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export: keys change with every message, so only the files of the stopped container are a backup."""
        return ()


def _api(at: Target) -> JsonApi:
    return JsonApi(at, at.endpoint, {"X-Api-Key": at.secrets["api_key"].reveal()})


def _steady(session: Mapping[str, Any]) -> dict[str, Any]:
    engine = session.get("engine") or {}
    return {"config": session.get("config"), "number": _number(session), "engine": engine.get("engine") if isinstance(engine, Mapping) else engine}


def _number(session: Mapping[str, Any]) -> str:
    return str((session.get("me") or {}).get("id") or "")


def _folders(at: Target) -> set[str]:
    """Return `namespace/session` of each folder with files: keys of WhatsApp, whatever the engine calls them."""
    parts = (path.split("/") for path in at.files(SESSIONS))
    return {"/".join(part[:2]) for part in parts if len(part) > 2}  # noqa: PLR2004 namespace, session, file


def _wait_until_working(api: JsonApi, wanted: list[str]) -> tuple[list[str], list[str]]:
    """Return what is wrong and which sessions work, as soon as waiting can't change it any more."""
    deadline, pause = time.monotonic() + WORKING_DEADLINE_S, 0.2
    while True:
        seen = {str(item["name"]): item for item in api.get("/api/sessions", all="true")}
        names = wanted or [name for name, item in seen.items() if item["status"] != "STOPPED"]
        states = {name: str((seen.get(name) or {}).get("status") or "none") for name in names}
        problems = [f"session {name}: {state}" for name, state in states.items() if state != "WORKING"]
        nameless = [name for name, state in states.items() if state == "WORKING" and not _number(seen[name])]
        problems += [f"session {name}: WORKING without a number" for name in nameless]
        hopeless = any(state not in ON_ITS_WAY | {"WORKING"} for state in states.values())
        if not problems or hopeless or time.monotonic() > deadline:
            return problems, [name for name, state in states.items() if state == "WORKING"]
        time.sleep(pause)
        pause = min(pause * 1.5, 3.0)


def _message_problem(api: JsonApi, session: str, number: str, nonce: str) -> str:
    body = {"session": session, "chatId": f"{number}@c.us", "text": f"{nonce}: a test after a move; nothing to do"}
    answer = api.send("POST", "/api/sendText", json=body, deadline_s=30.0)
    return "" if answer.ok and "id" in answer.json() else f"POST /api/sendText: {answer.status_code} {shortened(answer)}"
