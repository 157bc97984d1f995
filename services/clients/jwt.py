"""A signed token, judged with the keys that its issuer publishes: RSA with SHA-2, as RFC 7515 and RFC 8017
(8.2.2) say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

PREFIXES: Final = {
    "RS256": ("sha256", bytes.fromhex("3031300d060960864801650304020105000420")),
    "RS384": ("sha384", bytes.fromhex("3041300d060960864801650304020205000430")),
    "RS512": ("sha512", bytes.fromhex("3051300d060960864801650304020305000440")),
}
"""Per algorithm: the hash, and the DER bytes that stand before it in the padded block (RFC 8017, 9.2, note 1)."""


class TokenError(Exception):
    """The token is not what its issuer's keys would have signed; the text says why and never holds the token."""


def verified_claims(token: str, keys: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the claims of a token whose signature one of the published keys (RFC 7517) confirms; raises TokenError."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 header, claims, signature
        raise TokenError(f"{len(parts)} parts; expected header, claims and signature")
    header, claims = _json(parts[0]), _json(parts[1])
    algorithm = str(header.get("alg"))
    if algorithm not in PREFIXES:
        raise TokenError(f"signed with {algorithm}; known: {', '.join(PREFIXES)}")
    fitting = [key for key in keys if key.get("kid") == header.get("kid") and key.get("kty") == "RSA"]
    if not fitting:
        raise TokenError(f"signed with key {header.get('kid')}, which is not among the {len(keys)} published ones")
    if not any(_confirms(key, algorithm, f"{parts[0]}.{parts[1]}".encode(), _bytes(parts[2])) for key in fitting):
        raise TokenError(f"the published key {header.get('kid')} does not confirm its signature")
    return claims


def _confirms(key: Mapping[str, Any], algorithm: str, signed: bytes, signature: bytes) -> bool:
    modulus, exponent = (int.from_bytes(_bytes(str(key[name])), "big") for name in ("n", "e"))
    size = (modulus.bit_length() + 7) // 8
    name, prefix = PREFIXES[algorithm]
    ending = prefix + hashlib.new(name, signed).digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(ending) - 3) + b"\x00" + ending
    return (
        len(signature) == size
        and pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big") == expected
    )


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenError("not base64url; expected a compact JWS") from None


def _json(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(_bytes(text)))
    except (ValueError, TypeError):
        raise TokenError("not JSON in base64url; expected a compact JWS") from None
