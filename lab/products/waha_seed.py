"""WAHA's sessions in the lab: made and "paired" through its HTTP API."""

from __future__ import annotations

from typing import Any, Final

import requests

SESSIONS: Final = {"default": "5511900000001", "support": "5511900000002"}
DEADLINE_S: Final = 30


def make_sessions(base_url: str, api_key: str) -> None:
    """Fill a new WAHA; raises requests.HTTPError."""
    session = requests.Session()
    session.headers["X-Api-Key"] = api_key
    for name, number in SESSIONS.items():
        config = {
            "metadata": {"team": "shop"},
            "webhooks": [
                {"url": "http://n8n:5678/webhook/orders-3", "events": ["message.any"], "retries": {"attempts": 2}}
            ],
        }
        _post(session, f"{base_url}/api/sessions", {"name": name, "start": True, "config": config})
        _post(session, f"{base_url}/api/{name}/auth/request-code", {"phoneNumber": number})


def _post(session: requests.Session, url: str, body: dict[str, Any]) -> None:
    session.post(url, json=body, timeout=DEADLINE_S).raise_for_status()
