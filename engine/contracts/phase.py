"""The phases of a migration, in order."""

from __future__ import annotations

from typing import Final

PHASES: Final = ("prepare", "preflight", "migrate", "validate", "repoint", "rollback")
WRITING_PHASES: Final = ("prepare", "migrate", "repoint", "rollback")
NEXT_PHASE: Final = {"prepare": "preflight", "preflight": "migrate", "migrate": "validate"}
