"""A token counts only when a published key confirms it."""

from __future__ import annotations

import base64
import json

import pytest

from services.clients.jwt import TokenError, verified_claims
from tests.fakes.http_product import recorded

ANSWERS = recorded("keycloak")
TOKEN = str(ANSWERS["token"]["body"]["access_token"])
KEYS = ANSWERS["certs"]["body"]["keys"]


def _changed(token: str, **claims: object) -> str:
    head, body, tail = token.split(".")
    content = {**json.loads(base64.urlsafe_b64decode(body + "==")), **claims}
    return ".".join([head, base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("="), tail])


def test_a_real_token_is_confirmed_by_the_keys_published_beside_it() -> None:
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
    """One changed claim, another key, no key, a cut signature: each is told apart, and the token is in no message."""
    with pytest.raises(TokenError, match=said) as caught:
        verified_claims(token, keys)
    assert token.rsplit(".", maxsplit=1)[-1][:20] not in str(caught.value) or len(token) < 20


def test_an_unsigned_token_is_refused() -> None:
    """Algorithm "none" is not known, whatever the token says of itself."""
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")

    with pytest.raises(TokenError, match="signed with none"):
        verified_claims(f"{head}.{TOKEN.split('.')[1]}.", KEYS)
