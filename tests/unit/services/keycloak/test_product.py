"""Keycloak's login and realms, judged by answers that a real one gave."""

from __future__ import annotations

from typing import Any

import pytest

from engine.verdict import Verdict
from services.clients import http
from services.fingerprints.compare import compare_fingerprints
from services.keycloak import product as keycloak
from services.keycloak.product import Product
from tests.fakes.http_product import Answer, Answers, recorded, target

SAID = recorded("keycloak")
LOGIN = {"realm": "shop", "client": "storefront", "user": "probe"}
SECRETS = {"admin_password": "admin-password", "login_password": "login-password"}
BASE = "/realms/shop"
TOKEN = f"POST {BASE}/protocol/openid-connect/token"
TABLE = {
    f"GET {BASE}/.well-known/openid-configuration": "discovery",
    f"GET {BASE}/protocol/openid-connect/certs": "certs",
    f"GET {BASE}/protocol/openid-connect/userinfo": "userinfo",
}


def _said(name: str) -> Answer:
    return int(SAID[name]["status"]), SAID[name]["body"]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Let the recorded Keycloak answer, at the time when its token was young."""
    issued_at = keycloak.verified_claims(str(SAID["token"]["body"]["access_token"]), SAID["certs"]["body"]["keys"])[
        "iat"
    ]
    monkeypatch.setattr(keycloak.time, "time", lambda: float(issued_at) + 1)

    def token(request: dict[str, Any]) -> Answer:
        return _said("token" if request["data"]["username"] == "probe" else "stranger")

    return Answers(
        monkeypatch,
        {
            **{key: _said(name) for key, name in TABLE.items()},
            TOKEN: token,
            f"POST {BASE}/protocol/openid-connect/logout": (204, None),
        },
    )


def _smoke() -> Any:
    return Product().smoke(target("keycloak", {"login": LOGIN}, SECRETS), "longshore-1")


def test_a_login_is_proven_and_ended(answers: Answers) -> None:
    """A person is let in, a stranger is not, the token is proven and used, and its session is ended."""
    seen = _smoke()

    assert seen.passed, seen.text
    assert "a stranger was refused" in seen.text
    assert answers.asked[-1] == f"POST {BASE}/protocol/openid-connect/logout"
    assert "login-password" not in seen.text


def test_a_disabled_client_is_named(answers: Answers) -> None:
    """The text repeats what Keycloak says of a client that is switched off, with the client and the realm."""
    answers.table[TOKEN] = lambda request: _said(
        "disabled client" if request["data"]["username"] == "probe" else "stranger"
    )
    seen = _smoke()

    assert seen.verdict is Verdict.FAILED
    assert "client storefront of realm shop: 401" in seen.text
    assert "invalid_client" in seen.text


def test_a_server_that_lets_anybody_in_is_wrong(answers: Answers) -> None:
    """A login that can't fail proves nothing: a stranger must be refused."""
    answers.table[TOKEN] = _said("token")

    assert "who does not exist" in _smoke().text


def test_a_token_of_other_keys_is_wrong(answers: Answers) -> None:
    """When the published keys are not those that sign, the login fails although a token came."""
    answers.table[f"GET {BASE}/protocol/openid-connect/certs"] = (200, {"keys": []})

    assert "not among the 0 published ones" in _smoke().text


def test_without_a_user_to_try_nothing_is_claimed() -> None:
    """No login configured is UNKNOWN, with what to add."""
    seen = Product().smoke(target("keycloak", {}, SECRETS), "longshore-1")

    assert seen.verdict is Verdict.UNKNOWN
    assert "login_password" in seen.text


REALM: dict[str, Any] = {"id": "r1", "realm": "shop", "enabled": True}


def _admin(users: list[dict[str, Any]], keys: list[dict[str, Any]] | None = None) -> dict[str, Answer]:
    lists = {
        "clients": [{"clientId": "storefront", "enabled": True, "redirectUris": ["b", "a"]}],
        "roles": [{"name": "buy"}],
        "client-scopes": [],
        "identity-provider/instances": [],
        "authentication/flows": [],
        "authentication/required-actions": [],
        "groups": [],
        "users": users,
        "users/count": len(users),
        "keys": {"keys": SAID["keys"]["body"]["keys"] if keys is None else keys},
    }
    return {
        "POST /realms/master/protocol/openid-connect/token": (200, {"access_token": "t"}),
        "GET /admin/realms": (200, [REALM]),
        "GET /realms/shop/.well-known/openid-configuration": _said("discovery"),
        **{f"GET /admin/realms/shop/{path}": (200, body) for path, body in lists.items()},
    }


def test_a_lost_user_and_a_lost_key_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison names the user that is gone, and the signing key that was replaced."""
    users, at = SAID["users"]["body"], target("keycloak", {}, SECRETS)
    Answers(monkeypatch, _admin(users))
    before = Product().fingerprint(at, None)
    Answers(monkeypatch, _admin(users[1:], keys=SAID["keys"]["body"]["keys"][1:]))
    seen = compare_fingerprints(before, Product().fingerprint(at, before))

    assert f"shop: users: missing {at.sealed('person0001')}" in seen.text
    assert "person0001" not in repr(before.parts["shop: users"].names)
    assert "shop: signing keys: missing" in "\n".join(seen.details)


def test_order_of_what_has_none_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two answers that list users and redirect addresses differently are the same."""
    users, at = SAID["users"]["body"], target("keycloak", {}, SECRETS)
    Answers(monkeypatch, _admin(users))
    before = Product().fingerprint(at, None)
    table = _admin(users[::-1])
    table["GET /admin/realms/shop/clients"] = (
        200,
        [{"clientId": "storefront", "enabled": True, "redirectUris": ["a", "b"]}],
    )
    Answers(monkeypatch, table)

    assert compare_fingerprints(before, Product().fingerprint(at, before)).passed


def test_trouble_while_its_database_comes_back_is_asked_again(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead connections of a pool are found one request at a time; Keycloak reports one with status 400."""
    monkeypatch.setattr(http, "FIRST_SLEEP_S", 0.0)
    away = [
        (400, {"error": "unauthorized_client", "error_description": "Unexpected error when authenticating client"}),
        (503, None),
    ]
    whole = answers.table[TOKEN]
    answers.table[TOKEN] = lambda request: away.pop() if away else whole(request)

    seen = _smoke()

    assert seen.passed, seen.text
    assert not away


def test_trouble_that_stays_is_reported(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its patience the text gives the answer itself."""
    monkeypatch.setattr(http, "PATIENCE_S", 0.0)
    answers.table[TOKEN] = lambda _request: (400, {"error_description": "Unexpected error when authenticating client"})

    seen = _smoke()

    assert seen.verdict is Verdict.FAILED
    assert "Unexpected error" in seen.text
