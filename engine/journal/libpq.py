"""Parameters of libpq that neither the operator's shell nor the files of their home directory may set."""

from __future__ import annotations

from typing import Final

import psycopg

SERVICE: Final = "PGSERVICE"
"""The one variable that no parameter can replace."""
FILES: Final = frozenset({"passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir"})
NO_FILE: Final = "/nonexistent/longshore"
NEVER_EMPTY: Final = {
    "sslcertmode": "allow",
    "require_auth": "!sspi",
    "min_protocol_version": "3.0",
    "max_protocol_version": "3.0",
}
"""Parameters that libpq takes no empty value for, at its own defaults (docs: "Parameter Key Words").

An empty `require_auth` allows nothing; SSPI is of Windows."""


def unset_parameters() -> dict[str, str]:
    """Return every parameter of libpq that an environment variable or a file could set, at the default that libpq was
    built with.

    https://www.postgresql.org/docs/17/libpq-envars.html: a variable counts only for a parameter that is not given; so
    does ~/.pgpass for a password that is not given, and ~/.postgresql for certificates.
    """
    known = {
        option.keyword.decode(): (option.compiled or b"").decode()
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.envvar
    }
    given = {**dict.fromkeys(sorted(FILES), NO_FILE), **NEVER_EMPTY}
    return {name: given.get(name, value) for name, value in known.items() if name != "service"}
