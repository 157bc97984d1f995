"""What a certificate says of itself, read from its DER: fingerprint, issuer and validity. Standard library only.

Only the few fields that a comparison needs (RFC 5280, section 4.1); whether it is trusted is for a real handshake to
say.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

SEQUENCE: Final = 0x30
CONTEXT_0: Final = 0xA0
UTC_TIME: Final = 0x17
LONG_FORM: Final = 0x80
COMMON_NAME, ORGANISATION = bytes.fromhex("550403"), bytes.fromhex("55040a")
END: Final = "-----END CERTIFICATE-----"


@dataclass(frozen=True)
class Certificate:
    """A certificate: SHA-256 over its DER, who issued it, from when until when it is valid (aware UTC)."""

    sha256: str
    issuer: str
    not_before: datetime
    not_after: datetime

    def renews(self, issuer: str, not_before: str) -> bool:
        """Return whether it can be the renewal of one by that issuer, valid from then (ISO): the same issuer, later."""
        return self.issuer == issuer and self.not_before.isoformat() > not_before


def leaf_of(pem: str) -> Certificate:
    """Return the first certificate of a PEM file: the leaf, as servers write chains; raises ValueError for
    other text.
    """
    if END not in pem:
        raise ValueError("no certificate in PEM")
    return read_der(ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN") : pem.index(END) + len(END)] + "\n"))


def read_der(der: bytes) -> Certificate:
    """Return what a certificate in DER says; raises ValueError when it is none."""
    try:
        _, certificate, _ = _take(der, 0)
        _, fields, _ = _take(certificate, 0)
        tags = [item for item in _items(fields) if item[0] != CONTEXT_0]
        issuer, validity = tags[2][1], list(_items(tags[3][1]))
    except IndexError as error:
        raise ValueError("not a certificate") from error
    return Certificate(
        hashlib.sha256(der).hexdigest(), _name(issuer), *(_time(tag, text) for tag, text in validity[:2])
    )


def _take(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return tag, content and end of the element at a place."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & LONG_FORM:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    return tag, data[start : start + length], start + length


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, content, at = _take(data, at)
        yield tag, content


def _name(rdns: bytes) -> str:
    """Return the organisation of a name, else its common name."""
    found = {}
    for _, group in _items(rdns):
        for _, pair in _items(group):
            (_, kind), (_, value) = list(_items(pair))[:2]
            found[kind] = value.decode("utf-8", "backslashreplace")
    return found.get(ORGANISATION) or found.get(COMMON_NAME) or "no name"


def _time(tag: int, text: bytes) -> datetime:
    """Return a UTCTime (two digits of the year: 50 and above are 19xx) or GeneralizedTime."""
    digits = text.decode("ascii").rstrip("Z")
    if tag == UTC_TIME:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
