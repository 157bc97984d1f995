"""Rebuild a lost journal from the hosts' audit logs, or compare it with them: adopt --from-hosts | --compare --lab |
--environment NAME.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from rich.console import Console

from engine.config.scope import Scope
from engine.constants import VERSION
from engine.errors import InputError, NotObservedError
from engine.finding import joined, say
from engine.journal.journal import Journal, Run
from engine.journal.kinds import RecordKind
from engine.redaction.guarded_console import open_screen
from engine.redaction.redactor import Redactor
from engine.run.options import LAB, Options, add_flags, read_options
from engine.verdict import ExitCode
from hosts.coordination.audit_log import read_audit
from hosts.coordination.lock import read_lock
from hosts.fleet import Fleet, open_hosts
from hosts.local.git import read_commit
from hosts.local.operator import operator_name
from phases.context.open_journal import open_journal, read_journal
from phases.context.scope_files import load_scope, ssh_config_of
from phases.status.adopt import AuditLogs, adopt, differences, read_logs, uncertainties


def main(argv: list[str]) -> int:
    """Read the logs of all hosts; write them into a new journal and report what is uncertain, or report the
    differences.
    """
    parser = argparse.ArgumentParser(prog="adopt", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--from-hosts", action="store_true", help="rebuild the journal; it must not exist yet")
    what.add_argument(
        "--compare", action="store_true", help="only report what the hosts' logs have and the journal has not"
    )
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--ssh-config", "--state")
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: getattr(parsed, name, None), argv)
    scope, console = load_scope(options), open_screen(soft_wrap=True)
    with open_hosts(scope.hosts, scope.environment, ssh_config_of(options, scope)) as fleet:
        logs = read_logs(options.environment, _lines(fleet))
        if parsed.compare:
            return _compare(read_journal(options), logs, console)
        if not logs.entries:
            raise InputError(
                say(
                    "adopt: the audit logs of {hosts} name no move in environment {environment}. Nothing to adopt",
                    hosts=", ".join(scope.hosts),
                    environment=options.environment,
                )
            )
        journal = _fresh(options, scope)
        run = _start(journal, options, scope)
        adopt(run, logs, scope)
        uncertain = list(uncertainties(journal, scope, logs))
        run.record(
            RecordKind.JOURNAL_REBUILT,
            body={"hosts": list(scope.hosts), "records": len(logs.entries), "uncertain": uncertain},
        )
        run.finish({}, ExitCode.OK)
        _say(console, journal, scope, logs, uncertain)
        _say_locks(console, fleet, options)
    return ExitCode.OK


def _lines(fleet: Fleet) -> Mapping[str, list[str]]:
    """Return the lines of every host; one that does not answer may be the one that knows."""
    found, silent = {}, []
    for name in fleet.names:
        try:
            found[name] = read_audit(fleet[name])
        except NotObservedError as error:
            silent.append(str(error))
    if silent:
        raise NotObservedError(
            joined(
                "\n",
                [say("adopt: nothing was written: each host may be the only one that knows how a step ended"), *silent],
            )
        )
    return found


def _fresh(options: Options, scope: Scope) -> Journal:
    journal = open_journal(options, Redactor(), scope)
    runs = journal.records(kind=RecordKind.RUN_STARTED)
    if runs:
        raise InputError(
            say(
                "{where}: holds {count} runs, the last of {at}. Expected: an empty one, for only a lost journal is "
                "rebuilt. To compare it with the hosts: adopt --compare. If it is not the right one, move it away",
                where=journal.where,
                count=len(runs),
                at=runs[-1].at[:16],
            )
        )
    return journal


def _start(journal: Journal, options: Options, scope: Scope) -> Run:
    return journal.start_run(
        command="adopt",
        environment=options.environment,
        plan_digest=scope.digest,
        operator=operator_name(),
        version=VERSION,
        commit=read_commit(),
        argv=list(options.argv),
        apply=False,
    )


def _say(console: Console, journal: Journal, scope: Scope, logs: AuditLogs, uncertain: list[str]) -> None:
    console.print(f"{journal.where}: {len(logs.entries)} records adopted from {', '.join(scope.hosts)}")
    for move in scope.plan.moves:
        if move.service in scope.services:
            console.print(f"  {move.service}: {journal.move_state(move.service).replace('_', ' ')}")
    console.print("uncertain:" if uncertain else "the state of every move is certain")
    for line in uncertain:
        console.print(f"  {line}")
    console.print(
        "Check results and preflights are not stored on the hosts and are lost. Run preflight again for moves "
        "that have not started."
    )


def _say_locks(console: Console, fleet: Fleet, options: Options) -> None:
    where = "--lab" if options.environment == LAB else f"--environment {options.environment}"
    held = {name: holder for name in fleet.names if (holder := read_lock(fleet[name]))}
    for name, holder in held.items():
        console.print(f"{name}: locked by {holder.text()}")
    if held:
        console.print(f'When that run is surely dead: nox -s migrate -- {where} --apply --break-lock "reason"')
    else:
        console.print(f"next: nox -s status -- {where}")


def _compare(journal: Journal, logs: AuditLogs, console: Console) -> int:
    found = list(differences(journal, logs))
    for line in found:
        console.print(line)
    console.print(
        f"{journal.where}: {len(found)} differences from the hosts: the journal is not what was written"
        if found
        else f"{journal.where}: all {len(logs.entries)} records and {len(logs.heads)} heads of the hosts are in it"
    )
    return ExitCode.FAILED if found else ExitCode.OK
