"""Keycloak's realms in the lab: made by formula and imported through its admin API."""

from __future__ import annotations

import uuid
from typing import Any, Final

import requests

USERS: Final = 60
PROBE: Final = "probe"
REALM: Final = "shop"
CLIENT: Final = "storefront"
SPACE: Final = uuid.UUID("7f4fd4a6-58b7-4d36-9d0a-5a3c2f6f0a01")
DEADLINE_S: Final = 60


def realms(login_password: str) -> tuple[dict[str, Any], ...]:
    """Return the realms as the admin API takes them."""
    shop = {
        "realm": REALM,
        "enabled": True,
        "displayName": "Shop",
        "sslRequired": "none",
        "accessTokenLifespan": 600,
        "roles": {"realm": [{"name": name, "description": f"may {name}"} for name in ("buy", "sell", "refund")]},
        "groups": [{"name": "staff", "subGroups": [{"name": "support"}, {"name": "finance"}]}],
        "clients": [
            {
                "clientId": CLIENT,
                "publicClient": True,
                "directAccessGrantsEnabled": True,
                "redirectUris": ["https://shop.example.org/*"],
            },
            {
                "clientId": "grafana",
                "secret": str(_id("grafana")),
                "redirectUris": ["https://grafana.example.org/login/generic_oauth"],
            },
            {
                "clientId": "stock",
                "secret": str(_id("stock")),
                "serviceAccountsEnabled": True,
                "standardFlowEnabled": False,
            },
        ],
        "users": [_user(i) for i in range(1, USERS + 1)] + [_probe(login_password)],
    }
    partners = {
        "realm": "partners",
        "enabled": True,
        "sslRequired": "none",
        "users": [_user(i) for i in range(1001, 1006)],
    }
    return shop, partners


def _id(name: str) -> uuid.UUID:
    return uuid.uuid5(SPACE, name)


def _user(i: int) -> dict[str, Any]:
    name = f"person{i:04d}"
    return {
        "username": name,
        "enabled": i % 10 != 0,
        "email": f"{name}@example.org",
        "firstName": f"Person {i}",
        "lastName": ("Silva", "Souza", "Costa", "Lima")[i % 4],
    }


def _probe(password: str) -> dict[str, Any]:
    credentials = [{"type": "password", "value": password, "temporary": False}]
    return {
        **_user(0),
        "username": PROBE,
        "enabled": True,
        "email": "probe@example.org",
        "credentials": credentials,
        "realmRoles": ["buy"],
    }


def make_realms(base_url: str, admin_password: str, login_password: str) -> None:
    """Import the realms into a new Keycloak; raises requests.HTTPError."""
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": admin_password}
    answer = requests.post(f"{base_url}/realms/master/protocol/openid-connect/token", data=form, timeout=DEADLINE_S)
    answer.raise_for_status()
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    for realm in realms(login_password):
        requests.post(f"{base_url}/admin/realms", json=realm, headers=headers, timeout=DEADLINE_S).raise_for_status()
