"""The lab's two throwaway people: one signs as technical approver, one for the business."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

PEOPLE: Final = {"technical": "tess@lab.invalid", "business": "bea@lab.invalid"}
KEYGEN_S: Final = 20


def make_approvers(folder: Path) -> dict[str, dict[str, object]]:
    """Make a key for each in a private folder unless it is there, and return them as an environment file has them."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {person: {"roles": [role], "key": _public_key(folder / role)} for role, person in PEOPLE.items()}


def _public_key(path: Path) -> str:
    half = path.with_suffix(".pub")
    if not half.exists():
        path.unlink(missing_ok=True)
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=KEYGEN_S)
    return " ".join(half.read_text(encoding="utf-8").split()[:2])
