"""Show or release the host locks of an environment: lock status|release --lab | --environment NAME. `release` needs
--token as status shows it.
"""

from __future__ import annotations

import argparse

from rich.table import Table

from engine.errors import InputError, NotObservedError
from engine.finding import say
from engine.redaction.guarded_console import open_screen
from engine.run.options import add_flags, read_options
from engine.verdict import ExitCode
from hosts.coordination.lock import read_lock, release_lock
from hosts.fleet import open_hosts
from phases.context.scope_files import load_scope, ssh_config_of


def main(argv: list[str]) -> int:
    """Print each host's lock, or release those of one token: for a run that is certainly dead and whose journal is
    lost.
    """
    parser = argparse.ArgumentParser(prog="lock", description=__doc__)
    parser.add_argument("what", choices=("status", "release"))
    parser.add_argument("--token", help="token of the lock to release, as status prints it")
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--ssh-config")
    parsed = parser.parse_args(argv)
    if parsed.what == "release" and not parsed.token:
        raise InputError(
            say("lock release: expected --token TOKEN, as lock status shows it: whoever holds it must not be surprised")
        )
    options = read_options(lambda name: getattr(parsed, name, None), argv)
    scope = load_scope(options)
    table, unseen = Table("host", "held by", "token"), 0
    with open_hosts(scope.known_hosts, scope.environment, ssh_config_of(options, scope)) as fleet:
        for name in scope.known_hosts:
            try:
                if parsed.what == "release" and release_lock(fleet[name], parsed.token):
                    table.add_row(name, "released now", parsed.token)
                    continue
                holder = read_lock(fleet[name])
            except NotObservedError as error:
                unseen += 1
                table.add_row(name, f"could not check: {error}", "")
                continue
            table.add_row(name, holder.text() if holder else "nobody", holder.token if holder else "")
    open_screen().print(table)
    return ExitCode.INCOMPLETE if unseen else ExitCode.OK
