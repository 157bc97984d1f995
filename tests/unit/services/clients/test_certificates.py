"""Certificates read from their DER: compared with what OpenSSL says of the same files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.caddy.product import certificate_part
from services.clients.certificates import Certificate, leaf_of

RECORDED = Path(__file__).parents[3] / "recorded" / "caddy"


def _certificate(sha256: str = "a", issuer: str = "Our Authority", day: int = 1) -> Certificate:
    return Certificate(sha256, issuer, datetime(2026, 1, day, tzinfo=UTC), datetime(2026, 2, day, tzinfo=UTC))


def test_a_leaf_is_read_as_openssl_reads_it() -> None:
    """Fingerprint, issuer and both dates of a leaf that Caddy's own authority signed; the chain behind it is left
    alone.
    """
    fields = dict(line.split("=", 1) for line in (RECORDED / "leaf.openssl").read_text(encoding="utf-8").splitlines())
    leaf = leaf_of((RECORDED / "leaf.crt").read_text(encoding="utf-8"))
    assert leaf.sha256.upper() == fields["sha256 Fingerprint"].replace(":", "")
    assert leaf.issuer in fields["issuer"]
    assert leaf.not_before == datetime.strptime(fields["notBefore"], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert leaf.not_after == datetime.strptime(fields["notAfter"], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_refused(text: str) -> None:
    """An empty or cut-off file is never a certificate with empty fields."""
    with pytest.raises(ValueError, match="certificate"):
        leaf_of(text)


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (_certificate(), True),
        (_certificate("b", day=20), True),
        (_certificate("b"), False),
        (_certificate("b", "Somebody Else", 20), False),
    ],
)
def test_a_renewal_is_no_difference_and_another_certificate_is(now: Certificate, same: bool) -> None:
    """By the same issuer and later: renewed. At the same time, or by another issuer: replaced."""
    before = certificate_part(_certificate(), None)
    assert (certificate_part(now, before).digest == before.digest) is same
