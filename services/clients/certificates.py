"""What a certificate says of itself: fingerprint, issuer and validity. Whether it is trusted, a real handshake says."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

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
        certificate = x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise ValueError("not a certificate") from error
    return Certificate(
        certificate.fingerprint(SHA256()).hex(),
        _name(certificate.issuer),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _name(issuer: x509.Name) -> str:
    """Return the organisation of a name, else its common name."""
    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        if found := issuer.get_attributes_for_oid(kind):
            return str(found[-1].value)
    return "no name"
