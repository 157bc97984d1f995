"""n8n's owner, credentials and workflows in the lab: made by formula through its REST API."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import Any, Final

import requests

OWNER: Final = "owner@example.org"
WORKFLOWS: Final = 12
PROBE_PATH: Final = "longshore-probe"
DEADLINE_S: Final = 60
SCOPES: Final = (
    "workflow:create",
    "workflow:read",
    "workflow:update",
    "workflow:delete",
    "workflow:list",
    "workflow:activate",
    "workflow:deactivate",
    "execution:read",
    "execution:list",
    "credential:create",
    "credential:list",
    "credential:read",
    "tag:create",
    "tag:list",
    "workflowTags:update",
)


def make_workflows(base_url: str, passwords: dict[str, str]) -> str:
    """Set up a new n8n and return the API key that was made; raises requests.HTTPError."""
    session = requests.Session()
    owner = {"email": OWNER, "firstName": "Olga", "lastName": "Owner", "password": passwords["n8n_owner"]}
    _post(session, f"{base_url}/rest/owner/setup", owner)
    key = str(
        _post(session, f"{base_url}/rest/api-keys", {"label": "longshore", "scopes": list(SCOPES), "expiresAt": None})[
            "data"
        ]["rawApiKey"]
    )
    api = requests.Session()
    api.headers["X-N8N-API-KEY"] = key
    references = {}
    for name, kind, data in _credentials(passwords):
        made = _post(api, f"{base_url}/api/v1/credentials", {"name": name, "type": kind, "data": data})
        references[kind] = {"id": made["id"], "name": name}
    for workflow in (_probe(references), *(_workflow(i) for i in range(1, WORKFLOWS + 1))):
        made = _post(api, f"{base_url}/api/v1/workflows", workflow)
        if workflow["name"] == PROBE_PATH or int(workflow["name"].rpartition(" ")[2]) % 3 == 0:
            _post(api, f"{base_url}/api/v1/workflows/{made['id']}/activate", {})
    return key


def _post(session: requests.Session, url: str, body: dict[str, Any]) -> Any:
    answer = session.post(url, json=body, timeout=DEADLINE_S)
    if not answer.ok:
        raise requests.HTTPError(f"{url}: {answer.status_code} {answer.text[:300]}", response=answer)
    return answer.json()


def _credentials(passwords: dict[str, str]) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    postgres = {
        "host": "postgres",
        "port": 5432,
        "database": "shop",
        "user": "reporting",
        "password": passwords["reporting"],
        "ssl": "disable",
    }
    redis = {"host": "redis", "port": 6379, "database": 0, "password": passwords["redis"]}
    token = {"name": "Authorization", "value": f"Bearer {uuid.uuid5(uuid.NAMESPACE_URL, 'https://api.example.org')}"}
    return (
        ("Shop database", "postgres", postgres),
        ("Shop cache", "redis", redis),
        ("Partner API", "httpHeaderAuth", token),
    )


def _node(
    name: str, kind: str, version: float, position: int, parameters: dict[str, Any], **more: Any
) -> dict[str, Any]:
    identity = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {position}"))
    return {
        "id": identity,
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [position, 0],
        "parameters": parameters,
        **more,
    }


def _chain(name: str, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    links = {
        one["name"]: {"main": [[{"node": other["name"], "type": "main", "index": 0}]]} for one, other in pairwise(nodes)
    }
    return {"name": name, "nodes": nodes, "connections": links, "settings": {"executionOrder": "v1"}}


def _probe(credentials: dict[str, Any]) -> dict[str, Any]:
    """Return the workflow that uses both stores by name before it answers with what it was given."""
    hook = {"httpMethod": "POST", "path": PROBE_PATH, "responseMode": "responseNode"}
    query = {
        "operation": "executeQuery",
        "query": "SELECT count(*)::int AS customers FROM customers WHERE id <= 10",
        "options": {},
    }
    get = {"operation": "get", "propertyName": "cart", "key": "cart:6", "options": {}}
    said = (
        "={{ { nonce: $('Webhook').item.json.body.nonce, customers: $('Postgres').item.json.customers, cart: "
        "$json.cart } }}"
    )
    return _chain(
        PROBE_PATH,
        [
            _node("Webhook", "webhook", 2, 0, hook, webhookId=str(uuid.uuid5(uuid.NAMESPACE_OID, PROBE_PATH))),
            _node("Postgres", "postgres", 2.6, 200, query, credentials={"postgres": credentials["postgres"]}),
            _node("Redis", "redis", 1, 400, get, credentials={"redis": credentials["redis"]}),
            _node(
                "Respond", "respondToWebhook", 1.1, 600, {"respondWith": "json", "responseBody": said, "options": {}}
            ),
        ],
    )


def _workflow(i: int) -> dict[str, Any]:
    """Return one that nobody calls: a webhook, a value, an answer."""
    hook = {"httpMethod": "POST", "path": f"orders-{i}", "responseMode": "lastNode"}
    values = {
        "assignments": {
            "assignments": [
                {"id": str(i), "name": "order", "value": f"={{{{ $json.body.order + {i} }}}}", "type": "number"}
            ]
        }
    }
    return _chain(
        f"Order step {i}",
        [
            _node("Webhook", "webhook", 2, 0, hook, webhookId=str(uuid.uuid5(uuid.NAMESPACE_OID, f"orders-{i}"))),
            _node("Set", "set", 3.4, 200, {**values, "options": {}}),
        ],
    )
