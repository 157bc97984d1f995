"""A token counts only when a published key confirms it."""

from __future__ import annotations

import base64
import json

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from services.clients.jwt import REGISTRY, TokenError, verified_claims
from tests.fakes.http_product import recorded

ANSWERS = recorded("keycloak")
TOKEN = str(ANSWERS["token"]["body"]["access_token"])
KEYS = ANSWERS["certs"]["body"]["keys"]


def _changed(token: str, **claims: object) -> str:
    head, body, tail = token.split(".")
    content = {**json.loads(base64.urlsafe_b64decode(body + "==")), **claims}
    return ".".join([head, base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("="), tail])


def test_a_real_token_is_confirmed_by_the_keys_published_with_it() -> None:
    """The claims of a token that Keycloak signed are returned."""
    claims = verified_claims(TOKEN, KEYS)

    assert claims["azp"] == "storefront"
    assert claims["iss"] == ANSWERS["discovery"]["body"]["issuer"]


@pytest.mark.parametrize(
    ("token", "keys", "said"),
    [
        (_changed(TOKEN, preferred_username="admin"), KEYS, "does not confirm"),
        (TOKEN, [{**key, "n": key["n"][:-4] + "AAAA"} for key in KEYS], "does not confirm"),
        (TOKEN, [], "not among the 0 published"),
        (TOKEN, [{**key, "kid": "another"} for key in KEYS], "not among the 2 published"),
        (TOKEN.rpartition(".")[0] + ".AAAA", KEYS, "does not confirm"),
        ("a.b", KEYS, "2 parts"),
        ("#.#.#", KEYS, "base64url"),
    ],
)
def test_any_other_token_is_refused_with_the_reason(token: str, keys: list[dict[str, str]], said: str) -> None:
    """One changed claim, another key, no key, a cut signature: each has its own message, and the token is in none."""
    with pytest.raises(TokenError, match=said) as caught:
        verified_claims(token, keys)
    assert token.rsplit(".", maxsplit=1)[-1][:20] not in str(caught.value) or len(token) < 20


def test_an_unsigned_token_is_refused() -> None:
    """Algorithm "none" is not known, whatever the token says of itself."""
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")

    with pytest.raises(TokenError, match="signed with none"):
        verified_claims(f"{head}.{TOKEN.split('.')[1]}.", KEYS)


SIGNERS: dict[str, Key] = {
    **dict.fromkeys(("RS256", "PS256", "PS384", "PS512"), RSAKey.generate_key(2048)),
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "ES512": ECKey.generate_key("P-521"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed448": OKPKey.generate_key("Ed448"),
}


def _published(key: Key, **fields: object) -> dict[str, object]:
    """Return a key as a realm publishes it."""
    return {**key.as_dict(private=False), "kid": "k1", "use": "sig", **fields}


def _signed(algorithm: str, **header: object) -> str:
    fields = {"alg": algorithm, "kid": "k1", "typ": "JWT", **header}
    return jws.serialize_compact(
        fields, b'{"iss":"https://login.example/realms/shop"}', SIGNERS[algorithm], registry=REGISTRY
    )


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_each_signature_of_a_realm_is_verified_with_its_own_kind_of_key(algorithm: str) -> None:
    """RSA of both paddings, elliptic curves and Edwards curves: claims with the right key, a refusal with another."""
    token, key = _signed(algorithm), SIGNERS[algorithm]
    stranger = {"RSA": RSAKey.generate_key, "EC": ECKey.generate_key, "OKP": OKPKey.generate_key}[key.key_type]
    same_size = stranger(2048 if key.key_type == "RSA" else str(key.as_dict()["crv"]))

    assert verified_claims(token, [_published(key, alg=algorithm)])["iss"] == "https://login.example/realms/shop"
    for another in (same_size, SIGNERS["EdDSA" if key.key_type != "OKP" else "ES256"]):
        with pytest.raises(TokenError, match="does not confirm"):
            verified_claims(token, [_published(another)])


def test_a_published_key_is_no_shared_secret() -> None:
    """A token that is "signed" with HS256 and the published key as its secret is a forgery, and is refused."""
    key = _published(SIGNERS["RS256"])
    secret = OctKey.import_key(json.dumps(key))
    forged = jws.serialize_compact({"alg": "HS256", "kid": "k1"}, b"{}", secret)

    with pytest.raises(TokenError, match="signed with HS256"):
        verified_claims(forged, [key])


def test_a_key_counts_for_its_own_algorithm_and_use_only() -> None:
    """A key that the realm publishes for RS256, or to encrypt with, confirms no PS256."""
    key = SIGNERS["PS256"]
    with pytest.raises(TokenError, match="unsupported_key_alg"):
        verified_claims(_signed("PS256"), [_published(key, alg="RS256")])
    with pytest.raises(TokenError, match="not among"):
        verified_claims(_signed("PS256"), [_published(key, use="enc")])


def test_one_key_of_several_under_a_name_is_enough() -> None:
    """While a key is rolled over, two may bear one name; a damaged one does not hide the good one."""
    damaged = {"kty": "RSA", "kid": "k1", "n": "AA", "e": "AQAB"}

    assert verified_claims(_signed("ES256"), [damaged, _published(SIGNERS["ES256"])])
    with pytest.raises(TokenError, match="no readable key"):
        verified_claims(_signed("RS256"), [damaged])


def test_a_field_that_nobody_knows_is_ignored_unless_it_is_critical() -> None:
    """RFC 7515, 4.1.11: what `crit` names must be understood."""
    key = [_published(SIGNERS["ES256"])]
    assert verified_claims(_signed("ES256", ours="x"), key)
    head = base64.urlsafe_b64encode(b'{"alg":"ES256","kid":"k1","crit":["ours"],"ours":"x"}').decode().rstrip("=")
    with pytest.raises(TokenError):
        verified_claims(".".join([head, *_signed("ES256").split(".")[1:]]), key)
