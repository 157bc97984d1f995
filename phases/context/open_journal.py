"""The journal of a run, opened where its flags say; never on a machine that the migration itself touches."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from sqlalchemy import text

from engine.config.scope import Scope
from engine.errors import InputError
from engine.finding import say
from engine.journal.journal import Journal
from engine.journal.location import VARIABLE, JournalLocation
from engine.redaction.redactor import Redactor
from engine.run.options import Options
from hosts.ssh.addresses import addresses_of, is_this_machine, own_names


def open_journal(options: Options, redactor: Redactor, scope: Scope) -> Journal:
    """Open the journal of a run; raises InputError when its server is a host of the inventory, by name or
    by address.
    """
    place = options.place
    _warn_of_argv(options, place)
    refuse_moved_host(place, scope)
    journal = Journal.open(place, redactor=redactor)
    refuse_moved_server(journal, scope)
    return journal


def read_journal(options: Options) -> Journal:
    """Open the journal of an environment that has one, to look; raises InputError when there is none."""
    journal = find_journal(options)
    if journal is None:
        file = options.place.text
        raise InputError(
            say(
                "{file}: not there, so environment {environment} has no run on record. Expected: its journal. Look: "
                "ls state",
                file=file,
                environment=options.environment,
            )
        )
    return journal


def find_journal(options: Options) -> Journal | None:
    """Open the journal of an environment to look, None when there is none yet: looking leaves no file behind."""
    place = options.place
    return Journal.open(place, redactor=Redactor()) if place.file is None or place.file.exists() else None


def _warn_of_argv(options: Options, place: JournalLocation) -> None:
    secrets = [secret.reveal() for secret in place.secrets()]
    if any(secret in argument for secret in secrets for argument in options.argv):
        print(
            f"--state: its password is in this machine's list of processes. Better: {VARIABLE}, or ~/.pgpass",
            file=sys.stderr,
        )


def refuse_moved_host(place: JournalLocation, scope: Scope) -> None:
    """Raise InputError when a server of the journal is a host of the inventory: its record would go down with it."""
    known = _names_by_address(scope)
    for server in place.servers():
        here = own_names() if is_this_machine(server) else frozenset()
        for seen in (server, *addresses_of(server), *here):
            if seen in known:
                raise _refusal(place, known[seen])


def refuse_moved_server(journal: Journal, scope: Scope) -> None:
    """Raise InputError when the server that answered has the address of a host of the inventory, whatever name led
    there.
    """
    if journal.engine.dialect.name != "postgresql":
        return
    with journal.engine.connect() as connection:
        seen = connection.execute(text("SELECT host(inet_server_addr())")).scalar()
    host = _names_by_address(scope).get(str(seen))
    if host:
        raise InputError(_refused(journal.where, host))


def _names_by_address(scope: Scope) -> Mapping[str, str]:
    identities = scope.environment.hosts
    return {name: name for name in {*scope.inventory.hosts, *identities}} | {
        identity.address: name for name, identity in identities.items()
    }


def _refusal(place: JournalLocation, host: str) -> InputError:
    return InputError(_refused(place.text, host))


def _refused(where: str, host: str) -> str:
    return (
        f"--state: {where}: its server is {host}, a host of the inventory. Expected: a machine that the migration "
        "does not touch, "
        f"so that the record outlives what it is about. Give another, or none for a file"
    )
