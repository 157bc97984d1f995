"""WAHA: ready when it answers, its WhatsApp sessions WORKING, and the same sessions with the same configuration and
numbers.

Options: `sessions` (those that must work; without it those that worked at the last reading on record), `test_number` (a
number of the customer's own that one message may be sent to; none is sent without it, and a person tries it). Secrets:
`api_key`. Known: 2026.x. It connects to WhatsApp with its sessions' keys as soon as it starts: its start is the commit,
the old one must not run in parallel (that logs the number out for good), and no copy of real sessions is ever started
for a rehearsal or drill. After a start all sessions are STOPPED, with the number that they had, and are started one
after the other (devlikeapro/waha, `src/core/manager.core.ts`: restartStoppedSessions, getOfflineSessions): that state
alone says neither that they work nor that they don't.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import requests

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.product import LogPattern, ServiceInstance
from engine.finding import say
from engine.polling import Polling
from engine.verdict import Judgement, failed, passed
from services.clients.http import ServiceHttp, judge_http, shortened
from services.fingerprints.revisions import Thing, part_of, plain_part

WORK_FOLDER: Final = "/app"
SESSIONS: Final = "/app/.sessions"
BASE_VARIABLE: Final = "WAHA_LOCAL_STORE_BASE_DIR"
"""Where its sessions lie, below its working directory when relative (`LocalStoreCore.ts`)."""
ELSEWHERE: Final = ("WHATSAPP_SESSIONS_MONGO_URL", "WHATSAPP_SESSIONS_POSTGRESQL_URL")
"""With one of these its sessions are in a database of another service (docs: "Storages")."""
WORKING_DEADLINE_S: Final = 60.0
EACH_S: Final = 15.0
"""Sessions are started one by one: 90 took about 20 minutes (devlikeapro/waha#2012)."""
DELAY_VARIABLE: Final = "WAHA_AUTO_START_DELAY_SECONDS"
ON_ITS_WAY: Final = frozenset({"STARTING", "STOPPED", "none"})
"""A restarted session is started again automatically; SCAN_QR_CODE and FAILED do not get better by waiting."""
WORKING: Final = "WORKING"
WORKED: Final = "sessions that work"
MANY: Final = 100
"""A server that runs for as long as so many sessions need has started all that it will."""
KEEPS_SESSIONS: Final = (2026, 6, 1)
"""From this release Core keeps sessions' configuration and starts them again; before it only Plus did
(devlikeapro/waha#1658).
"""


def _send_message(service: str, options: Mapping[str, Any]) -> str:
    sessions = ", ".join(map(str, options.get("sessions") or ())) or "each session"
    return (
        f"Send a message from another phone to the number of {sessions}, and one back through {service}: both must "
        "arrive. "
        "Attest it with a screenshot.\n\nNo program does this: the inventory allows no test_number.\n"
    )


MESSAGE_SENT: Final = contract.ManualCheck("validate/message-sent", _send_message, unless_option="test_number")


class Product(contract.Product):
    """The WhatsApp gateway."""

    name = "waha"
    image_names: tuple[str, ...] = ("waha",)
    manual_checks = (MESSAGE_SENT,)
    acts_on_start = True
    stop_grace_s = 60
    clean_exit_codes: frozenset[int] = frozenset({0, 143})
    ready_deadline_s = 120.0
    state_paths: tuple[str, ...] = (SESSIONS,)
    writable_noise: tuple[str, ...] = ("/tmp/*", "/root/.cache*", "/root/.config*", "/root/.npm*")  # noqa: S108
    why_not_drilled = "a session shows what it holds only when it is logged in to WhatsApp, which a copy must never be"
    layer_state: tuple[str, ...] = ("*/waha-sessions", "*/waha-sessions/*")
    """Keys of Core before 2025, which kept them below the system's temporary folder."""
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r"Stream Errored \(conflict\)", say("another program uses the same number: is the old container alive?")
        ),
        LogPattern(r"device_removed|logged ?out", say("the number was logged out: its owner must scan a code again")),
        LogPattern(r"SCAN_QR_CODE", say("a session has lost its keys, or looks for them in another namespace")),
        LogPattern(r"do not reconnect|status.*FAILED", say("a session gave up")),
        LogPattern(r"SingletonLock", say("its browser was not closed cleanly on the old host")),
        LogPattern(r"too many clients already", say("its database has too few connections for its sessions")),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(r"history sync|reconnecting", say("a session that catches up after its start")),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask /ping; whether sessions work is the function, and asked there."""
        return judge_http(at, "/ping")

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Let nobody in without the key; every session that must work is WORKING with its number; one message where it
        is allowed.
        """
        api = _api(at)
        stranger = ServiceHttp(at, headers={"X-Api-Key": nonce}).send("GET", "/api/sessions")
        if stranger.status_code != requests.codes.unauthorized:
            return failed(
                say(
                    "{where}: a wrong API key is answered with {status_code}. Expected: 401",
                    where=at.where,
                    status_code=stranger.status_code,
                )
            )
        wanted, why = _wanted(at)
        seen = _wait_until_settled(api, wanted, patient=_started_lately(at))
        problems, working = seen.problems(wanted, patient=_started_lately(at)), seen.working
        if problems or not working:
            return failed(
                say(
                    "{where}: {problem}. Expected: {why}, WORKING, with its number. Read its log; a session in "
                    "SCAN_QR_CODE needs the phone's owner",
                    where=at.where,
                    problem=problems[0] if problems else say("no session works"),
                    why=why,
                ),
                tuple(problems),
            )
        idle = ", ".join(f"{name} {state}" for name, state in seen.states.items() if state != WORKING)
        rest = say("; not asked for: {idle}", idle=idle) if idle else ""
        works = say(
            "{where}: {working_count} of {states_count} sessions WORKING ({working}{rest}), a wrong key is refused",
            where=at.where,
            working_count=len(working),
            states_count=len(seen.states),
            working=", ".join(working),
            rest=rest,
        )
        number = at.options.get("test_number")
        if not number:
            return passed(
                say("{works}; no message was sent: no test_number is allowed, so a person sends one", works=works),
                sessions=len(working),
            )
        if wrong := _message_problem(api, working[0], str(number), nonce):
            return failed(
                say(
                    "{where}: {wrong}. Expected: a message accepted by session {first_working}",
                    where=at.where,
                    wrong=wrong,
                    first_working=working[0],
                )
            )
        return passed(say("{works}; one message to the test number was accepted", works=works), sessions=len(working))

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read sessions with configuration and number, which of them work, version and engine, and which have keys in
        the store.

        Those that worked in `since` are given time to work again; one that does not, differs.
        """
        api, wanted = _api(at), list(since.parts[WORKED].names) if since and WORKED in since.parts else []
        seen = _wait_until_settled(api, wanted, patient=False)
        sessions = {name: Thing(_steady(item)) for name, item in seen.items.items()}
        parts = part_of("sessions", sessions, since) if sessions else {}
        parts |= part_of(WORKED, {name: Thing(WORKING) for name in seen.working}, since)
        version = api.get("/api/server/version")
        parts |= plain_part("engine and version", {key: version.get(key) for key in ("version", "engine", "tier")})
        folders = {} if _is_elsewhere(at.container) else {name: Thing(name) for name in _folders(at)}
        return Fingerprint(
            at.service, parts | (part_of("sessions with keys in the store", folders, since) if folders else {})
        )

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return where its settings put the sessions."""
        return () if _is_elsewhere(container) else (base_of(container),)

    def layer_doubts(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return received files: kept 180 s, for ever with WHATSAPP_FILES_LIFETIME=0 (docs: "Configuration", Files)."""
        folder = posixpath.join(WORK_FOLDER, container.env.get("WHATSAPP_FILES_FOLDER") or "/tmp/whatsapp-files")  # noqa: S108 in the container
        return folder, f"{folder}/*"

    def lost_by_stop(self, at: ServiceInstance) -> tuple[str, ...]:
        """Return the sessions that a stop would leave without configuration or keys."""
        api = _api(at)
        version, items = (
            api.get("/api/server/version"),
            {str(item["name"]): item for item in api.get("/api/sessions", all="true")},
        )
        working = [name for name, item in items.items() if item["status"] == WORKING]
        return (*_forgotten(at, version, {name: items[name] for name in working}), *_keyless(at, working))

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export: keys change with every message, so only the files of the stopped container are a backup."""
        return ()


def _api(at: ServiceInstance) -> ServiceHttp:
    return ServiceHttp(at, headers={"X-Api-Key": at.secrets["api_key"].reveal()})


def _steady(session: Mapping[str, Any]) -> dict[str, Any]:
    engine = session.get("engine") or {}
    return {
        "config": session.get("config"),
        "number": _number(session),
        "engine": engine.get("engine") if isinstance(engine, Mapping) else engine,
    }


def _number(session: Mapping[str, Any]) -> str:
    return str((session.get("me") or {}).get("id") or "")


def base_of(container: ContainerFacts) -> str:
    """Return the folder in the container below which all sessions lie."""
    return posixpath.normpath(posixpath.join(WORK_FOLDER, container.env.get(BASE_VARIABLE) or "./.sessions"))


def _is_elsewhere(container: ContainerFacts) -> bool:
    return any(container.env.get(name) for name in ELSEWHERE)


def _folders(at: ServiceInstance) -> set[str]:
    """Return `namespace/session` of each folder with files: keys of WhatsApp, whatever the engine calls them.

    With WEBJS one more folder is between: `webjs/default/session-NAME`.
    """
    parts = (path.split("/") for path in at.files(base_of(at.container)))
    return {
        "/".join(part[: 3 if len(part) > 3 and part[2].startswith("session-") else 2])  # noqa: PLR2004
        for part in parts
        if len(part) > 2  # noqa: PLR2004
    }


def _forgotten(
    at: ServiceInstance, version: Mapping[str, Any], working: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Yield the sessions of a Core that keeps neither their configuration nor that they ran."""
    release = tuple(int(number) for number in re.findall(r"\d+", str(version.get("version")))[:3])
    if str(version.get("tier")).upper() != "CORE" or release >= KEEPS_SESSIONS:
        return
    at_start = re.split(r"[,\s]+", at.container.env.get("WHATSAPP_START_SESSION") or "")
    lost = [name for name, item in working.items() if name not in at_start or item.get("config")]
    if lost:
        yield (
            f"WAHA Core {version.get('version')} forgets sessions' configuration and starts none again: after its "
            f"stop {', '.join(lost)} would be "
            "STOPPED, without webhooks. Update it on its host to 2026.6.1 or later first (docs: changelog), and see "
            "that they work again"
        )


def _keyless(at: ServiceInstance, working: Collection[str]) -> Iterator[str]:
    """Yield the working sessions without a key below the sessions' folder: they lie where a move does not look."""
    if _is_elsewhere(at.container):
        return
    parts = {part for path in at.files(base_of(at.container)) for part in path.split("/")[:-1]}
    bare = [name for name in working if not {name, f"session-{name}"} & parts]
    if bare:
        yield (
            f"{', '.join(bare)}: no key below {base_of(at.container)}, although it works: its number's owner would "
            "have to scan a code again. "
            f"Find where its keys lie ({BASE_VARIABLE}), and put that on a volume"
        )


def _wanted(at: ServiceInstance) -> tuple[list[str], str]:
    """Return which sessions must work, none when nobody says it, and how a message calls them."""
    if named := [str(name) for name in at.options.get("sessions") or ()]:
        return named, say("each session of the inventory's `sessions`")
    recorded = at.recorded()
    if recorded is not None and WORKED in recorded.parts:
        return list(recorded.parts[WORKED].names), say("each session that worked at the last reading on record")
    return [], say("each session that was not stopped on purpose")


def _started_lately(at: ServiceInstance) -> bool:
    """Return whether it may still be starting its sessions: what is STOPPED then may be on its way."""
    started = str((at.container.raw.get("State") or {}).get("StartedAt") or "")
    if not started:
        return True
    since = datetime.fromisoformat(started[:19]).replace(tzinfo=UTC)
    return (datetime.now(UTC) - since).total_seconds() < patience_s(at, MANY)


def patience_s(at: ServiceInstance, sessions: int) -> float:
    """Return how long so many sessions may need until all work: they are started one after the other, with the
    configured delay between.
    """
    delay = at.container.env.get(DELAY_VARIABLE) or ""
    return WORKING_DEADLINE_S + sessions * (EACH_S + (float(delay) if delay.isdigit() else 0.0))


@dataclass(frozen=True)
class Seen:
    """All sessions as the API lists them, by name."""

    items: Mapping[str, Mapping[str, Any]]

    @property
    def states(self) -> dict[str, str]:
        """Return the status of each."""
        return {name: str(item["status"]) for name, item in self.items.items()}

    @property
    def working(self) -> list[str]:
        """Return those that work, with their number."""
        return [name for name, item in self.items.items() if item["status"] == WORKING and _number(item)]

    def problems(self, wanted: Collection[str], *, patient: bool) -> list[str]:
        """Return what is wrong with those that must work; where nobody says which, all must that were not stopped on
        purpose.
        """
        names = wanted or [name for name, state in self.states.items() if patient or state != "STOPPED"]
        states = {name: self.states.get(name, "none") for name in names}
        wrong: list[str] = [
            say("session {name}: {state}", name=name, state=state) for name, state in states.items() if state != WORKING
        ]
        return wrong + [
            say("session {name}: WORKING without a number", name=name)
            for name, state in states.items()
            if state == WORKING and name not in self.working
        ]


def _wait_until_settled(api: ServiceHttp, wanted: Collection[str], *, patient: bool) -> Seen:
    """Return all sessions as soon as waiting can't change those that must work any more, at the latest when all had
    their turn.
    """

    def look() -> Seen:
        return Seen({str(item["name"]): item for item in api.get("/api/sessions", all="true")})

    def settled(seen: Seen) -> bool:
        names = wanted or [name for name, state in seen.states.items() if patient or state != "STOPPED"]
        hopeless = any(seen.states.get(name, "none") not in ON_ITS_WAY | {WORKING} for name in names)
        return hopeless or not seen.problems(wanted, patient=patient)

    first = look()
    if settled(first):
        return first
    longest_s = patience_s(api.at, len(first.items))
    return Polling("sessions work", longest_s, first_s=0.2, longest_s=3.0).until(look, settled).answer


def _message_problem(api: ServiceHttp, session: str, number: str, nonce: str) -> str:
    body = {"session": session, "chatId": f"{number}@c.us", "text": f"{nonce}: a test after a move; nothing to do"}
    answer = api.send("POST", "/api/sendText", json=body, deadline_s=30.0)
    return (
        ""
        if answer.ok and _was_accepted(answer.json())
        else say("POST /api/sendText: {status_code} {answer}", status_code=answer.status_code, answer=shortened(answer))
    )


def _was_accepted(said: Any) -> bool:
    """Return whether an answer names the message that was sent: WEBJS and GOWS in `id`, NOWEB in `key.id`
    (`session.noweb.core.ts`: sendText).
    """
    if not isinstance(said, Mapping):
        return False
    inner = [said.get(name) for name in ("key", "_data")]
    return bool(said.get("id")) or any(isinstance(one, Mapping) and one.get("id") for one in inner)
