"""Which version of the runbooks this is: the git commit of the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

SIGNED_LATER: Final = (":!approvals", ":!waivers.yaml")
ROOT: Final = Path(__file__).resolve().parent.parent


def read_commit() -> str:
    """Return the commit, with "+changes" when the work tree differs from it; "unknown" outside a checkout.

    Approvals and waivers come after what they are about, so they don't count as changes.
    """
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit}+changes" if _git("status", "--porcelain", "--untracked-files=no", "--", ".", *SIGNED_LATER) else commit


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()
