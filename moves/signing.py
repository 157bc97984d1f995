"""Which key signs evidence: the one that a flag names, else the one that the operator's environment names, else none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from engine.product import ENVIRONMENT_PREFIX
from hosts.signing import KeySigner, open_signer

SIGN_KEY: Final = "--sign-key"
VARIABLE: Final = f"{ENVIRONMENT_PREFIX}SIGNING_KEY"


def signer_of(key: Path | None) -> KeySigner | None:
    """Return who signs, None when no key is given; raises InputError for a file that holds none."""
    named = key or os.environ.get(VARIABLE)
    return open_signer(Path(named)) if named else None
