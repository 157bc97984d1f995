"""Secrets planted into the lab's services where real ones are found: no phase may leave one of them anywhere.

They are in environments, a label, a health check's command line and a log, under names that give them away and names
that don't.
"""

from __future__ import annotations

import secrets
import string
from typing import Final

LETTERS: Final = string.ascii_letters + string.digits
PREFIX: Final = "planted "
KEY_LINES: Final = 3


def _drawn(length: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def make_planted() -> dict[str, str]:
    """Return new secrets by what they are."""
    lines = "\\n".join(_drawn(64) for _ in range(KEY_LINES))
    return {
        f"{PREFIX}mail password": f"m+{_drawn(10)}/&{_drawn(4)}=",
        f"{PREFIX}licence": f"{_drawn(8)}-{_drawn(8)}",
        f"{PREFIX}token": f"ghp_{_drawn(36)}",
        f"{PREFIX}connection": _drawn(14),
        f"{PREFIX}label": _drawn(20),
        f"{PREFIX}check": _drawn(18),
        f"{PREFIX}role": _drawn(16),
        f"{PREFIX}key": f"-----BEGIN PRIVATE KEY-----\\n{lines}\\n-----END PRIVATE KEY-----",
    }


def planted_env(passwords: dict[str, str], service: str) -> dict[str, str]:
    """Return the variables of a service that hold planted secrets; LICENSE is one by the inventory's word alone."""
    planted = {name.removeprefix(PREFIX): value for name, value in passwords.items() if name.startswith(PREFIX)}
    return {
        "postgres": {
            "SMTP_PASSWORD": planted["mail password"],
            "REPORTING_DATABASE": f"postgres://reporting:{planted['connection']}@db:5432/shop",
            "TLS_PRIVATE_KEY": planted["key"],
        },
        "redis": {"CI_JOB": planted["token"]},
        "orders": {"LICENSE": planted["licence"]},
    }[service]


def planted_label(passwords: dict[str, str]) -> str:
    """Return a label that holds a secret."""
    return f"deploy.token={passwords[f'{PREFIX}label']}"


def planted_check(passwords: dict[str, str], check: str) -> str:
    """Return a health check whose command line holds a secret, and that asks what `check` asks."""
    return f"{check} # --api-token {passwords[f'{PREFIX}check']}"


def planted_statement(passwords: dict[str, str]) -> bytes:
    """Return SQL that fails: PostgreSQL writes the statement with its password into its log."""
    return f"ALTER ROLE nobody_of_this_name PASSWORD '{passwords[f'{PREFIX}role']}';\n".encode()
