"""Metabase: ready with its application database, runs its questions, and holds the same questions, dashboards and
databases.

Options: `test_questions` (how many questions of each database smoke runs, 5 without it). Secrets: `api_key` (of the
group Administrators), `encryption_key` where one is set, `database_password`. Known: 0.56. All its state is in its
application database: with MB_DB_TYPE missing it would start on a file in the container.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.product import LogPattern, ServiceInstance
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from services.clients.http import LONG_DEADLINE_S, ServiceHttp, judge_http, shortened
from services.fingerprints.revisions import Thing, part_of, plain_part

QUESTIONS: Final = 5
FOLDERS: Final = ("/plugins", "/app/plugins")
BUNDLED: Final = (
    "athena",
    "bigquery-cloud-sdk",
    "druid",
    "druid-jdbc",
    "googleanalytics",
    "mongo",
    "oracle",
    "presto-jdbc",
    "redshift",
    "snowflake",
    "sparksql",
    "sqlite",
    "sqlserver",
    "vertica",
)
"""Drivers that the program unpacks itself (metabase, `modules/drivers/`); a jar of another name was put there by
somebody.
"""
BUNDLED_SINCE: Final = {"databricks": 52, "clickhouse": 54}
"""Drivers that were a community's before that version (metabase's release notes)."""
VERSION: Final = re.compile(r":v[01]\.(\d+)")
CARD: Final = (
    "id",
    "entity_id",
    "name",
    "display",
    "database_id",
    "dataset_query",
    "collection_id",
    "archived",
    "visualization_settings",
)
DASHBOARD: Final = ("id", "entity_id", "name", "collection_id", "archived", "parameters", "tabs")
ON_DASHBOARD: Final = ("card_id", "row", "col", "size_x", "size_y", "parameter_mappings", "visualization_settings")
PASSED_QUERY: Final = "completed"


def _jars(driver: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{driver}.metabase-driver.jar" for folder in FOLDERS)


class Product(contract.Product):
    """The questions and dashboards over databases."""

    name = "metabase"
    image_names: tuple[str, ...] = ("metabase",)
    acts_on_start = False
    stop_grace_s = 60
    clean_exit_codes: frozenset[int] = frozenset({0, 143})
    ready_deadline_s = 240.0
    state_paths: tuple[str, ...] = ()
    writable_noise: tuple[str, ...] = (
        "/tmp/*",  # noqa: S108
        *FOLDERS,
        *(jar for name in (*BUNDLED, *BUNDLED_SINCE) for jar in _jars(name)),
    )
    layer_state: tuple[str, ...] = ("*.mv.db", "*.h2.db")
    """The application database, when it is a file in the container (metabase, `app_db/env.clj`)."""
    why_not_drilled = "its questions are in the database that it uses, whose own drill brings them back"
    trouble: tuple[LogPattern, ...] = (
        LogPattern(r"Metabase Initialization FAILED", say("it gave up")),
        LogPattern(
            r"Cannot decrypt encrypted|encrypted with a different key|environment variable was NOT set",
            say("the encryption key did not travel"),
        ),
        LogPattern(
            r"Could not decrypt encrypted field",
            say("a setting or a database's details were written with another encryption key"),
        ),
        LogPattern(
            r"Encrypting database", say("a key was added: the old container can't read its own database any more")
        ),
        LogPattern(r"Unable to connect to Metabase postgres DB", say("its application database does not answer")),
        LogPattern(
            r"LockException|Could not acquire change log lock", say("a killed start left its lock in the database")
        ),
        LogPattern(r"Downgrade detected", say("the database is of a newer Metabase")),
        LogPattern(
            r"(?i)with an H2 application database|Verifying h2 Database Connection",
            say("it runs on a file in its container: MB_DB_TYPE was lost"),
        ),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(
            r"sync\.(util|sync-metadata).*(WARN|Error)",
            say("a table that can't be synchronised; the same on the old host"),
        ),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask /api/health: 503 while it starts, and when its database is away."""
        return judge_http(at, "/api/health")

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Make, read and delete a question of our own; run questions of every database."""
        api = _api(at)
        databases = {int(item["id"]): str(item["name"]) for item in _listed(api.get("/api/database"))}
        chosen = _chosen(api.get("/api/card"), int(at.options.get("test_questions") or QUESTIONS))
        if not databases or not chosen:
            return failed(
                say(
                    "{where}: {count} databases, no question to run. Expected: at least one of each",
                    where=at.where,
                    count=len(databases),
                )
            )
        if wrong := _question_made(api, nonce, databases):
            return failed(
                say("{where}: {wrong}. Expected: a question made, run and deleted", where=at.where, wrong=wrong)
            )
        problems = [text for card in chosen if (text := _question_problem(api, card, databases))]
        if problems:
            return failed(
                say(
                    "{where}: {problem}. Expected: each of {count} questions completes",
                    where=at.where,
                    problem=problems[0],
                    count=len(chosen),
                ),
                tuple(problems),
            )
        return passed(
            say(
                "{where}: a question was made, run and deleted; {count} questions of {databases} databases completed",
                where=at.where,
                count=len(chosen),
                databases=len({card["database_id"] for card in chosen}),
            ),
            questions=len(chosen),
        )

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read questions, dashboards with their cards, collections, users and databases; these only show with the right
        key.
        """
        api = _api(at)
        parts = _named(
            "questions",
            {
                _title(card): Thing(_kept(card, CARD), str(card.get("updated_at") or ""))
                for card in api.get("/api/card")
            },
            since,
        )
        dashboards = [api.get(f"/api/dashboard/{item['id']}") for item in api.get("/api/dashboard")]
        parts |= _named(
            "dashboards",
            {_title(item): Thing(_dashboard(item), str(item.get("updated_at") or "")) for item in dashboards},
            since,
        )
        databases = {
            _title(item): Thing(_kept(item, ("id", "name", "engine", "details")))
            for item in _listed(api.get("/api/database"))
        }
        parts |= _named("databases", databases, since)
        parts |= _named(
            "collections", {_title(item): Thing(str(item["name"])) for item in api.get("/api/collection")}, since
        )
        people = _listed(api.get("/api/user"))
        users = {at.sealed(str(item["email"])): Thing(item.get("is_superuser")) for item in people}
        at.names({at.sealed(str(item["email"])): str(item["email"]) for item in people})
        parts |= part_of("users", users, since, holds=Validity.AT_CUTOVER)
        return Fingerprint(at.service, parts | _key_part(at))

    def layer_doubts(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return the drivers that this version does not bundle yet: a jar of that name was put there by somebody, and
        does not travel.
        """
        found = VERSION.search(container.image_ref)
        release = int(found[1]) if found else 0
        return tuple(jar for name, since in BUNDLED_SINCE.items() if release < since for jar in _jars(name))

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export of its own: its application database is in postgres' dump."""
        return ()


def _api(at: ServiceInstance) -> ServiceHttp:
    return ServiceHttp(at, headers={"x-api-key": at.secrets["api_key"].reveal()})


def _listed(answer: Any) -> list[dict[str, Any]]:
    """Return the items of an answer that is a list, or an object with one (api/database, api/user)."""
    return list(answer["data"]) if isinstance(answer, Mapping) else list(answer)


def _title(item: Mapping[str, Any]) -> str:
    return f"{item['name']} ({item['id']})"


def _kept(item: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: item.get(key) for key in keys}


def _named(name: str, things: Mapping[str, Thing], since: Fingerprint | None) -> dict[str, FingerprintPart]:
    return part_of(name, things, since) if things else {}


def _dashboard(item: Mapping[str, Any]) -> dict[str, Any]:
    cards = sorted((_kept(card, ON_DASHBOARD) for card in item.get("dashcards") or ()), key=str)
    return {**_kept(item, DASHBOARD), "cards": cards}


def _key_part(at: ServiceInstance) -> dict[str, FingerprintPart]:
    """Return whether a key is set, and which, without revealing it: adding one is as bad as losing one."""
    key = at.secrets.get("encryption_key")
    digest = hmac.new(key.reveal().encode(), b"longshore", hashlib.sha256).hexdigest() if key else "none"
    return plain_part("encryption key", digest)


def _chosen(cards: list[dict[str, Any]], at_most: int) -> list[dict[str, Any]]:
    """Return the first questions of each database."""
    by_database: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for card in cards:
        if card.get("database_id") is not None and not card.get("archived"):
            by_database[int(card["database_id"])].append(card)
    return [card for found in by_database.values() for card in found[:at_most]]


def _question_made(api: ServiceHttp, nonce: str, databases: Mapping[int, str]) -> str:
    """Make, run and delete a question of the first database; return what is wrong."""
    database = next(iter(databases))
    query = {"type": "native", "database": database, "native": {"query": "SELECT 1"}}
    card = api.ask(
        "POST",
        "/api/card",
        json={"name": nonce, "display": "table", "dataset_query": query, "visualization_settings": {}},
    )
    try:
        return _question_problem(api, {**card, "name": nonce, "database_id": database}, databases)
    finally:
        api.ask("DELETE", f"/api/card/{card['id']}")


def _question_problem(api: ServiceHttp, card: Mapping[str, Any], databases: Mapping[int, str]) -> str:
    """Run a question, past the cache, so that its database is asked; return what is wrong.

    A failed query is answered with 202 and says so in its status; answers of the cache travel with the application
    database (metabase, `queries/api/card.clj`: `ignore_cache`).
    """
    answer = api.send("POST", f"/api/card/{card['id']}/query", json={"ignore_cache": True}, deadline_s=LONG_DEADLINE_S)
    name = say(
        "question {name} of database {databases}",
        name=card["name"],
        databases=databases.get(int(card["database_id"]), card["database_id"]),
    )
    if not answer.ok:
        return say(
            "{name}: {status_code} {answer}", name=name, status_code=answer.status_code, answer=shortened(answer)
        )
    body = answer.json()
    if body.get("status") != PASSED_QUERY:
        return f"{name}: {body.get('status')}: {str(body.get('error'))[:160]}"
    return "" if body.get("row_count") else say("{name}: no row", name=name)
