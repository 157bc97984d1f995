"""Keycloak: ready with its database, lets a person in with a token that its published keys confirm, and holds the same
realms.

Options: `admin_user` (its realm is master), `login: {realm, client, user}` for the login that smoke does.
Secrets: `admin_password`, `login_password`, `login_client_secret` where the client is confidential,
`database_password`. Known: 26.x. All realm data and signing keys are in its database; since 26 user sessions too, so
tokens survive the move.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import requests

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.product import LogPattern, ServiceInstance
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown
from hosts.local.http import Answer
from services.clients.http import ServiceHttp, is_troubled, judge_http, shortened
from services.clients.jwt import TokenError, verified_claims
from services.fingerprints.container_settings import value_of, words_of
from services.keycloak import fingerprint as prints

HTTP: Final = 8080
CLOCKS_APART_S: Final = 60
EXPORT: Final = (
    "set -eu; umask 077; folder=$(mktemp -d); trap 'rm -rf \"$folder\"' EXIT; "
    'KC_HTTP_MANAGEMENT_PORT=9901 /opt/keycloak/bin/kc.sh export --optimized --dir "$folder" --users same_file >&2; '
    'for file in "$folder"/*.json; do cat "$file"; echo; done'
)
"""In parallel with the running server it needs a management port of its own ("Address already in use", seen with
26.4.7). Users in the same file: with `different_files`, importing only the realm's file brings none of them, without a
word.
"""


class Product(contract.Product):
    """The identity provider."""

    name = "keycloak"
    image_names: tuple[str, ...] = ("keycloak",)
    acts_on_start = False
    stop_grace_s = 60
    clean_exit_codes: frozenset[int] = frozenset({0, 143})
    ready_deadline_s = 240.0
    state_paths: tuple[str, ...] = ("/opt/keycloak/data",)
    writable_noise: tuple[str, ...] = (
        "/tmp/*",  # noqa: S108
        "/opt/keycloak/lib/quarkus",
        "/opt/keycloak/lib/quarkus/*",
        "/opt/keycloak/data/tmp*",
    )
    why_not_drilled = "its realms are in the database that it uses, whose own drill brings them back"
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r"Failed to obtain JDBC connection|Acquisition timeout while waiting for new connection",
            say("its database does not answer"),
        ),
        LogPattern(r"Waiting for changelog lock", say("a killed start left its lock in the database")),
        LogPattern(
            r"hostname is not configured", say("it does not know its own public name: issuers of tokens would change")
        ),
        LogPattern(
            r"JOIN\(.*timed out",
            say("another node is registered in its database and can't be reached: is the old one alive?"),
        ),
        LogPattern(
            r"Running the server in development mode",
            say("the file database and no checks: never meant for production"),
        ),
        LogPattern(r"Invalid token issuer", say("tokens of before the move name another public address")),
        LogPattern(r"Failed to start server", say("it gave up")),
        LogPattern(r"jdbc:h2:", say("it runs on the file database: KC_DB was lost")),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(r"ISPN00009[34].*\(1\)", say("a cluster of one is what a single node says")),
        LogPattern(
            r"Likely misconfiguration detected.*proxy", say("advice about proxy headers; the same on the old host")
        ),
        LogPattern(
            r"(receive|send) buffer of socket", say("kernel settings of the host; worth mending, not harmful tonight")
        ),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask the management port whether server, database and cluster are up."""
        health = at.options.get("health") or {}
        return judge_http(at, str(health.get("path") or "/health/ready"))

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Log a person in, prove the token with the published keys, use it, refuse a stranger, log out again."""
        login = at.options.get("login")
        if not login or "login_password" not in at.secrets:
            return unknown(
                say(
                    "{where}: no login to try. Expected: options login (realm, client, user) and secret "
                    "login_password. Add a user for it to a realm, and both to inventory.yaml",
                    where=at.where,
                )
            )
        api, base = _api(at), f"/realms/{login['realm']}"
        issuer = str(api.get(f"{base}/.well-known/openid-configuration")["issuer"])
        stranger = _token(api, login, nonce, nonce, {})
        if stranger.ok:
            return failed(
                say("{where}: let in {nonce}, who does not exist. Expected: 401", where=at.where, nonce=nonce)
            )
        answer = _token(api, login, str(login["user"]), at.secrets["login_password"].reveal(), _client_secret(at))
        if not answer.ok:
            return failed(
                say(
                    "{where}: login of {user} to client {client} of realm {realm}: {status_code} {answer}. Expected: "
                    "a token. Look: the realm's clients, and its login events",
                    where=at.where,
                    user=login["user"],
                    client=login["client"],
                    realm=login["realm"],
                    status_code=answer.status_code,
                    answer=shortened(answer),
                )
            )
        tokens = answer.json()
        try:
            return _judged(api, login, issuer, tokens)
        finally:
            _log_out(api, login, tokens, _client_secret(at))

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read every realm: settings, clients, users, roles, groups, flows, providers, and the keys that sign its
        tokens.
        """
        return Fingerprint(at.service, prints.read_parts(admin_api(at), since))

    def lost_by_stop(self, at: ServiceInstance) -> tuple[str, ...]:
        """Return its realms, where they are in memory only (docs: "Configuring the database", dev-mem)."""
        if "dev-mem" in {at.container.env.get("KC_DB"), value_of(words_of(at.container), "--db")}:
            return (
                (
                    "db dev-mem: its realms are in memory, a stop loses them. Move them to a database first: "
                    "kc.sh export, then import"
                ),
            )
        return ()

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return an export of all realms with their users, credentials and keys, one JSON document a realm.

        https://www.keycloak.org/server/importExport: the command starts no server; with `--optimized` it does not build
        either.
        """
        return (ContainerCommand(("bash", "-c", EXPORT), timeout_s=1800, saves_as="realms.json"),)


def _in_trouble(answer: Answer) -> bool:
    """Return whether it could not answer now; that its database was away while it looked a client up, 26.4.7 says with
    status 400.
    """
    return is_troubled(answer) or (
        answer.status_code == requests.codes.bad_request and "Unexpected error" in answer.text
    )


def _api(at: ServiceInstance) -> ServiceHttp:
    return ServiceHttp(at, at.at_port(HTTP), troubled=_in_trouble)


def admin_api(at: ServiceInstance) -> ServiceHttp:
    """Return the admin API as the administrator of the inventory; raises AssertionError when the password
    is refused.
    """
    api = _api(at)
    form = {
        "grant_type": "password",
        "client_id": "admin-cli",
        "username": str(at.options.get("admin_user", "admin")),
        "password": at.secrets["admin_password"].reveal(),
    }
    token = api.ask("POST", "/realms/master/protocol/openid-connect/token", again=True, data=form)["access_token"]
    return ServiceHttp(at, api.asked, {"Authorization": f"Bearer {token}"})


def _token(api: ServiceHttp, login: Mapping[str, Any], user: str, password: str, client: Mapping[str, str]) -> Answer:
    form = {
        "grant_type": "password",
        "scope": "openid",
        "client_id": str(login["client"]),
        "username": user,
        "password": password,
        **client,
    }
    return api.send("POST", f"/realms/{login['realm']}/protocol/openid-connect/token", again=True, data=form)


def _client_secret(at: ServiceInstance) -> dict[str, str]:
    return {"client_secret": at.secrets["login_client_secret"].reveal()} if "login_client_secret" in at.secrets else {}


def _judged(api: ServiceHttp, login: Mapping[str, Any], issuer: str, tokens: Mapping[str, Any]) -> Judgement:
    """Judge a token by its signature, its claims and what it opens."""
    at, base = api.at, f"/realms/{login['realm']}"
    keys = api.get(f"{base}/protocol/openid-connect/certs")["keys"]
    try:
        claims = verified_claims(str(tokens["access_token"]), keys)
    except TokenError as error:
        return failed(
            say(
                "{where}: the token of realm {realm}: {error}. Expected: signed with a published key",
                where=at.where,
                realm=login["realm"],
                error=error,
            )
        )
    known = ServiceHttp(at, api.asked, {"Authorization": f"Bearer {tokens['access_token']}"}).get(
        f"{base}/protocol/openid-connect/userinfo"
    )
    seen = {
        "issuer": (claims.get("iss"), issuer),
        "client": (claims.get("azp"), login["client"]),
        "user": (known.get("preferred_username"), login["user"]),
        "expiry": (float(claims.get("exp", 0)) > time.time() - CLOCKS_APART_S, True),
    }
    wrong = [
        say("{name} {value}, expected {expected}", name=name, value=repr(value), expected=repr(expected))
        for name, (value, expected) in seen.items()
        if value != expected
    ]
    if wrong:
        return failed(
            say(
                "{where}: {user} got a token with {wrong}",
                where=at.where,
                user=login["user"],
                wrong=joined("; ", wrong),
            )
        )
    return passed(
        say(
            "{where}: {user} logged in to realm {realm} as {issuer}; the token is confirmed by one of {count} "
            "published keys and opens the user's data; a stranger was refused",
            where=at.where,
            user=login["user"],
            realm=login["realm"],
            issuer=issuer,
            count=len(keys),
        )
    )


def _log_out(api: ServiceHttp, login: Mapping[str, Any], tokens: Mapping[str, Any], client: Mapping[str, str]) -> None:
    form = {"client_id": str(login["client"]), "refresh_token": str(tokens.get("refresh_token", "")), **client}
    api.send("POST", f"/realms/{login['realm']}/protocol/openid-connect/logout", data=form)
