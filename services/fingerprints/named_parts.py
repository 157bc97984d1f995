"""Parts of fingerprints that keep the names of what they count, so that a message can say which thing is gone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from engine.contracts.fingerprint import FingerprintPart, Validity
from services.fingerprints.revisions import SHORT, digest_of


def short_digest(value: Any) -> str:
    """Return the beginning of a digest of JSON-able data: enough to distinguish two things of one name."""
    return digest_of(value)[:SHORT]


def named_part(
    names: Mapping[str, str], before: FingerprintPart | None = None, holds: Validity = Validity.SINCE_CUTOVER
) -> FingerprintPart:
    """Return a part over named things and their digests; with `before`, only over the things that it knew.

    What came since is no difference; what is gone or changed is.
    """
    if before is not None:
        names, holds = {name: digest for name, digest in names.items() if name in before.names}, before.holds
    total = hashlib.sha256("\n".join(f"{name} {names[name]}" for name in sorted(names)).encode()).hexdigest()
    return FingerprintPart(len(names), total, holds, {}, dict(names))


def at_least(
    count: int, before: FingerprintPart | None = None, holds: Validity = Validity.SINCE_CUTOVER
) -> FingerprintPart:
    """Return a part that stays the same while there are not fewer things than there were."""
    floor = int(before.bound["at_least"]) if before is not None else count
    kept = min(count, floor)
    return FingerprintPart(kept, str(kept), before.holds if before is not None else holds, {"at_least": floor})
