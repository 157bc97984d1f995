"""A target that is gone for good: a person says so, its services go back without it, and it is stopped should it rise
again.
"""

from __future__ import annotations

import re
from typing import Final

from actions.common.labels import move_label
from actions.common.route import run_checked, write_audit
from engine.config.scope import PlannedMove, Scope
from engine.constants import LABEL_MOVE
from engine.contracts.move_state import MoveState
from engine.errors import InputError, NotObservedError, RefusedError, UnreachableError
from engine.finding import joined, say
from engine.journal.journal import Journal, Run
from engine.journal.kinds import RecordKind
from engine.polling import Polling
from engine.run.options import Options
from engine.signoff.signed_text import one_line
from hosts.fleet import Fleet
from phases.context.attempt import must_be_undone, read_return

FLAG: Final = "--target-lost"
KNOCK_S: Final = 15.0
KNOCK_FOR_S: Final = 60.0
PAUSE_S: Final = 5.0
SSH_SAID: Final = "ssh failed: "
NO_CONNECTION: Final = re.compile(
    r"connect to host \S+ port \d+: (Connection timed out|Operation timed out|No route to host|Host is down)\b"
)
"""What ssh says when no TCP connection came about; "Connection refused" is an answer, and "Network is unreachable" is
this machine's.
"""
STOP_S: Final = 180.0
STOP: Final = """\
ids=$(docker ps -q --filter "label=$1") || exit 1
[ -z "$ids" ] || { docker update --restart no $ids >/dev/null && docker stop $ids >/dev/null && printf '%s\\n' $ids; }
"""


def exclude_lost_hosts(fleet: Fleet, scope: Scope, journal: Journal, options: Options, command: str) -> frozenset[str]:
    """Have the new hosts of the chosen services asked nothing any more, and return them.

    Raises InputError where the flag makes no sense, RefusedError for a host that answers, and for a service whose
    writes since its cutover would be lost without anybody having said so.
    """
    undoes = command == "repoint" and options.revert
    if (command != "rollback" and not undoes) or not options.services:
        raise InputError(
            say(
                "{flag}: goes with a rollback (or repoint --revert) of services given by name, e.g. {command}",
                flag=FLAG,
                command=scope.command("rollback", FLAG, "REASON", service=scope.moves[0].service, apply=True),
            )
        )
    reason, hosts = str(options.target_lost), {move.target for move in scope.moves}
    for host in sorted(hosts):
        alive = sign_of_life(fleet, host)
        if alive:
            raise RefusedError(
                say(
                    "{host}: {alive}, so it is not dead. Expected: no connection at all for {knock_for_s:.0f} s. "
                    "Leave {flag} out; look: ssh {host} docker ps -a; or switch it off for good, so that it can't "
                    "serve in parallel with the old one, and try again",
                    host=host,
                    alive=alive,
                    knock_for_s=KNOCK_FOR_S,
                    flag=FLAG,
                )
            )
    asked = () if undoes else scope.moves
    lost = [move for move in asked if not options.discard and not must_be_undone(read_return(journal, move.service))]
    if lost:
        names = joined(", ", (say("{service} on {target}", service=move.service, target=move.target) for move in lost))
        raise RefusedError(
            say(
                "{names}: what was written there since the cutover can't be brought back from a dead host. To go back "
                "to the data as it was before the move, add --discard-target-writes REASON",
                names=names,
            )
        )
    for host in hosts:
        fleet.mark_lost(host, reason)
    return frozenset(hosts)


def sign_of_life(fleet: Fleet, host: str) -> str:
    """Return the sign that a host may live, empty when no connection to it came about in a minute.

    Dead is only what nobody can connect to: one that is slow, refuses, asks for a password or breaks off runs, and may
    serve.
    """

    def knock() -> str:
        try:
            fleet[host].run(["true"], timeout_s=KNOCK_S)
        except UnreachableError as error:
            said = str(error).partition(SSH_SAID)[2]
            if said and not NO_CONNECTION.search(said):
                return f"answers, though not as it should ({one_line(said)})"
            return ""
        except (NotObservedError, RefusedError) as error:
            return f"answers, though not as it should ({one_line(str(error))})"
        return "answers through ssh"

    polling = Polling(f"a sign of life of {host}", KNOCK_FOR_S, first_s=PAUSE_S, longest_s=PAUSE_S)
    return polling.until(knock, bool).answer


def record_lost(run: Run, scope: Scope, journal: Journal, hosts: frozenset[str], options: Options) -> None:
    """Record who is declared lost and why; in a run that changes hosts also what is to be stopped there should it rise.

    What a person gives up of the target's writes is recorded with it, and with the reason.
    """
    if options.discard:
        run.record(
            RecordKind.TARGET_WRITES_DISCARDED,
            body={"reason": options.discard, "services": [move.service for move in scope.moves]},
        )
    for host in sorted(hosts):
        labels = (
            [_label(scope, journal, move) for move in scope.moves if move.target == host]
            if options.apply and not options.revert
            else []
        )
        run.record(RecordKind.HOST_LOST, body={"host": host, "reason": options.target_lost, "labels": labels})


def _label(scope: Scope, journal: Journal, move: PlannedMove) -> str:
    return move_label(scope.environment.environment, move.service, read_return(journal, move.service).attempt)


def _still_serves(journal: Journal, label: str) -> bool:
    """Return whether a move's target is, on record, where its service serves now."""
    service, attempt = label.split("/")[1:]
    past = read_return(journal, service)
    return past.settled in {MoveState.COMMITTED, MoveState.DONE} and attempt == str(past.attempt)


def stop_recovered(fleet: Fleet, scope: Scope, journal: Journal, run: Run) -> None:
    """Stop what still runs of a move on a host that was declared lost, before anything else is done; who does not
    answer waits.

    What still serves there is not stopped: the rollback that called its host dead never began, or was undone.
    """
    stopped = {
        (record.body["host"], record.body["label"])
        for record in journal.records(kind=RecordKind.RECOVERED_HOST_STOPPED)
    }
    for record in journal.records(kind=RecordKind.HOST_LOST):
        host = str(record.body["host"])
        for label in record.body["labels"]:
            if host not in scope.hosts or (host, label) in stopped or _still_serves(journal, label):
                continue
            try:
                write_audit(fleet, host, label, "stop-risen", f"stop what runs of {label}: {host} was declared lost")
                argv = ["sh", "-c", STOP, "stop", f"{LABEL_MOVE}={label}"]
                found = run_checked(
                    fleet, host, argv, doing=say("stop what runs of {label}", label=label), timeout_s=STOP_S
                ).text.split()
            except NotObservedError:
                continue
            run.record(RecordKind.RECOVERED_HOST_STOPPED, body={"host": host, "label": label, "stopped": len(found)})
