"""Databases of applications in the lab's postgres."""

from __future__ import annotations

from lab.containers import SOURCE
from lab.hosts import ssh


def make_database(name: str, password: str) -> None:
    """Create a role and its database of that name; the password travels over standard input."""
    script = f"CREATE ROLE {name} LOGIN PASSWORD '{password}';\nCREATE DATABASE {name} OWNER {name};\n"
    ssh(
        SOURCE,
        "docker",
        "exec",
        "-i",
        "postgres",
        "psql",
        "-qU",
        "postgres",
        "-v",
        "ON_ERROR_STOP=1",
        "postgres",
        stdin=script.encode(),
    )
