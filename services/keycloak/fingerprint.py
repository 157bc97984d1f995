"""What Keycloak's realms hold, read through the admin API, in parts by realm and kind.

https://www.keycloak.org/docs-api/latest/rest-api/index.html. Passwords of users can't be read there; they are in the
database's fingerprint and in the realm export.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from services.clients.http import ServiceHttp
from services.fingerprints.revisions import Thing, digest_of, part_of, plain_part

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "clients": ("/clients", "clientId"),
    "roles": ("/roles", "name"),
    "client scopes": ("/client-scopes", "name"),
    "identity providers": ("/identity-provider/instances", "alias"),
    "authentication flows": ("/authentication/flows", "alias"),
    "required actions": ("/authentication/required-actions", "alias"),
}
"""Kinds that answer with their whole list at once: path below the realm, and the key of a thing's name."""

NAMED_USERS: Final = 20_000
"""Up to so many users of a realm each is compared by name; of more, their number is compared by the server's own count.
"""
IDENTITY: Final = ("id", "username", "enabled", "createdTimestamp", "federationLink", "serviceAccountClientId")
"""What a person can't change about itself; the rest of its profile is equal at the cutover only."""
PASSING: Final = ("access", "notBefore")
"""What depends on who asks, or moves when an administrator logs everybody out."""


def read_parts(api: ServiceHttp, since: Fingerprint | None) -> dict[str, FingerprintPart]:
    """Return the parts of every realm."""
    realms = {str(realm["realm"]): realm for realm in api.get("/admin/realms")}
    parts = part_of("realms", {name: Thing(_steady(realm)) for name, realm in realms.items()}, since)
    for realm in sorted(realms):
        parts |= _realm_parts(api, realm, since)
    return parts


def _realm_parts(api: ServiceHttp, realm: str, since: Fingerprint | None) -> dict[str, FingerprintPart]:
    base = f"/admin/realms/{realm}"
    parts: dict[str, FingerprintPart] = {}
    for kind, (path, key) in KINDS.items():
        things = {str(item[key]): Thing(_steady(item)) for item in api.get(base + path)}
        parts |= part_of(f"{realm}: {kind}", things, since) if things else {}
    parts |= _groups(api, realm, since)
    parts |= _users(api, realm, since)
    return parts | _keys(api, realm, since) | _issuer(api, realm)


def _groups(api: ServiceHttp, realm: str, since: Fingerprint | None) -> dict[str, FingerprintPart]:
    groups = list(api.pages(f"/admin/realms/{realm}/groups", briefRepresentation="false", populateHierarchy="true"))
    return (
        part_of(f"{realm}: groups", {str(group["path"]): Thing(_steady(group)) for group in groups}, since)
        if groups
        else {}
    )


def _users(api: ServiceHttp, realm: str, since: Fingerprint | None) -> dict[str, FingerprintPart]:
    count = int(api.get(f"/admin/realms/{realm}/users/count"))
    if not count:
        return {}
    if count > NAMED_USERS:
        return {f"{realm}: users": FingerprintPart(count, "counted only", Validity.AT_CUTOVER)}
    users = {
        api.at.sealed(str(user["username"])): user
        for user in api.pages(f"/admin/realms/{realm}/users", briefRepresentation="false")
    }
    api.at.names({name: str(user["username"]) for name, user in users.items()})
    who = {name: Thing({key: user.get(key) for key in IDENTITY}) for name, user in users.items()}
    profiles = {name: Thing(_steady(user)) for name, user in users.items()}
    return part_of(f"{realm}: users", who, since) | part_of(
        f"{realm}: users' profiles", profiles, since, holds=Validity.AT_CUTOVER
    )


def _keys(api: ServiceHttp, realm: str, since: Fingerprint | None) -> dict[str, FingerprintPart]:
    """Return the keys by their kid: tokens issued before the move must stay good after it."""
    keys = api.get(f"/admin/realms/{realm}/keys")["keys"]

    def fields(key: dict[str, Any]) -> dict[str, Any]:
        return {name: key.get(name) for name in ("type", "algorithm", "use", "publicKey", "certificate")}

    return part_of(
        f"{realm}: signing keys", {str(key["kid"]): Thing(fields(key)) for key in keys if key.get("kid")}, since
    )


def _issuer(api: ServiceHttp, realm: str) -> dict[str, FingerprintPart]:
    """Return the public address that tokens name; one that follows the question's own address says so instead."""
    issuer = str(api.get(f"/realms/{realm}/.well-known/openid-configuration")["issuer"])
    own = f"{api.asked.host}:{api.asked.port}"
    return plain_part(f"{realm}: issuer of tokens", "as it is asked" if own in issuer else issuer)


def _steady(value: Any) -> str:
    """Return a digest of a representation in which lists without an order of their own have one."""
    return digest_of(_ordered(value), PASSING)


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _ordered(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_ordered(item) for item in value), key=digest_of)
    return value
