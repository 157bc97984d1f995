"""A signed token, verified with the keys that its issuer publishes (RFC 7515, 7517, 7518 and 8037)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from joserfc.errors import DecodeError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import Key, import_key
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact

from engine.finding import joined, say

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    *("EdDSA", "Ed25519", "Ed448"),
)
"""All algorithms with a public key that Keycloak signs with. Never "none", and no shared secret: HS256 with a published
key as its secret is a known forgery.
"""


class TokenError(Exception):
    """The token is not what its issuer's keys would have signed; the text says why and never holds the token."""


class _Registry(JWSRegistry):
    """The algorithms of a public key. Header fields that nobody knows are ignored, as RFC 7515 (4.1) asks, unless
    `crit` names them.
    """

    def get_alg(self, name: str) -> Any:
        """Return an algorithm; of "EdDSA" joserfc warns on stderr (RFC 9864), but Keycloak signs under that name."""
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"Algorithm {name!r} is not allowed")
        return self.algorithms[name]


REGISTRY: Final = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


def verified_claims(token: str, keys: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the claims of a token whose signature one of the published keys (RFC 7517) confirms; raises TokenError."""
    signed = _read(token)
    header = signed.headers()
    if header["alg"] not in ALGORITHMS:
        raise TokenError(
            say("signed with {alg}; known: {algorithms}", alg=header["alg"], algorithms=", ".join(ALGORITHMS))
        )
    named = [key for key in keys if key.get("kid") == header.get("kid") and key.get("use") != "enc"]
    if not named:
        raise TokenError(
            say(
                "signed with key {kid}, which is not among the {count} published ones",
                kid=header.get("kid"),
                count=len(keys),
            )
        )
    reasons = [reason for key in named if (reason := _why_not_confirmed(signed, key))]
    if len(reasons) == len(named):
        raise TokenError(
            say(
                "the published key {kid} does not confirm its signature: {reasons}",
                kid=header.get("kid"),
                reasons=joined("; ", reasons),
            )
        )
    try:
        return dict(json.loads(signed.payload))
    except (ValueError, TypeError):
        raise TokenError(say("its claims are no JSON object; expected a JWT")) from None


def _read(token: str) -> CompactSignature:
    if (parts := token.count(".") + 1) != 3:  # noqa: PLR2004 header, claims, signature
        raise TokenError(say("{parts} parts; expected header, claims and signature", parts=parts))
    try:
        return extract_compact(token.encode(), registry=REGISTRY)
    except DecodeError:
        raise TokenError(say("not JSON in base64url; expected a compact JWS")) from None
    except JoseError as error:
        raise TokenError(say("no compact JWS ({error})", error=error.error)) from None


def _why_not_confirmed(signed: CompactSignature, published: Mapping[str, Any]) -> str:
    """Return why a key does not confirm a signature, "" when it does."""
    try:
        key: Key = import_key(dict(published))
        key.check_alg(signed.headers()["alg"])
        return "" if validate_compact(signed, key, registry=REGISTRY) else say("another signature")
    except JoseError as error:
        return error.error
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # what a damaged key brings up in its reader
        return say("no readable key ({name})", name=type(error).__name__)
