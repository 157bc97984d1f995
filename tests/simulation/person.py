"""The person at the keyboard: reads what the last output says and carries it out, to the letter."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from engine.verdict import ExitCode, Verdict
from tests.simulation.run import Outcome
from tests.simulation.scenario import APP_IMAGE, STORE_IMAGE, Command
from tests.simulation.world import World

NOX: Final = re.compile(r"nox -s (migrate|rollback|repoint)\b(?: -- ([^;\n,]*))?")
BY_HAND: Final = re.compile(r"ssh (\w+) docker (stop|start|update --restart \S+|rename|rm|volume rm) ([^;&\n,.']+)")


def commands_in(text: str) -> list[Command]:
    """Return the commands that a text asks for, in their order."""
    return [read_command(found[1], (found[2] or "").rstrip(". )")) for found in NOX.finditer(text)]


def read_command(phase: str, words: str) -> Command:
    """Return a command line, read as longshore reads it."""
    try:
        argv = shlex.split(words)
    except ValueError:
        argv = words.split()
    services, again, flags = [], [], {}
    plain_ended = False
    at = 0
    while at < len(argv):
        word = argv[at]
        if word in {
            "--service",
            "--retry",
            "--break-lock",
            "--environment",
            "--target-lost",
            "--outside-window",
            "--discard-target-writes",
        } and at + 1 < len(argv):
            value = argv[at + 1]
            at += 1
            if word == "--service":
                services.append(value)
            elif word == "--retry":
                again.append(value)
            else:
                flags[word] = value
        elif word.startswith("--"):
            flags[word] = ""
        elif not plain_ended and re.fullmatch(r"[a-z]+", word) and word in {"store", "app"}:
            services.append(word)
        else:
            plain_ended = True
        at += 1
    return Command(
        phase,
        tuple(services),
        tuple(again),
        flags.get("--break-lock"),
        flags.get("--discard-target-writes"),
        "--revert" in flags,
        flags.get("--target-lost"),
    )


def next_command(outcome: Outcome, *, seen_before: bool = False) -> Command:
    """Return the next command by the output of a run that did not reach its end; the same command again when the run
    was killed.

    The last line says "fix the problems above, then run". Who sees the same problem a second time does what the failed
    step itself says.
    """
    plain = replace(outcome.command, again=outcome.command.again, break_lock=None)
    if outcome.killed:
        return plain
    said = "\n".join(outcome.said)
    if outcome.exit is ExitCode.REFUSED:
        if "--break-lock" in said and "locked by" in said:
            return plain.with_lock_broken()
        found = commands_in(said)
        return found[0] if found else plain
    if "the lock of this run is gone" in said:
        return plain
    wrong = [row for row in outcome.rows if row.judgement.verdict in {Verdict.FAILED, Verdict.UNKNOWN}]
    if outcome.exit is ExitCode.NEEDS_OPERATOR:
        commands = [command for row in wrong for command in commands_in(row.judgement.text)]
        if commands:
            return with_service(commands[-1], outcome)
    at_the_end = commands_in(outcome.said[-1] if outcome.said else "")
    of_steps = [command for row in wrong for command in commands_in(row.judgement.text)]
    found = of_steps or at_the_end if seen_before and outcome.exit is ExitCode.FAILED else at_the_end or of_steps
    return with_service(found[-1], outcome) if found else plain


LOST: Final = "its disk controller burnt"


def with_target_lost(command: Command, outcome: Outcome) -> Command:
    """Return the rollback of a command's services without their target, which never comes back: docs/operate.md has it.

    What was written there is given up only once the output asks for it.
    """
    asks = "add --discard-target-writes" in "\n".join(outcome.said)
    discard = outcome.command.discard or (LOST if asks else None)
    return replace(command, phase="rollback", again=(), target_lost=LOST, discard=discard)


def with_service(command: Command, outcome: Outcome) -> Command:
    """Return a command for the services of the run that printed it, where it names none."""
    return command if command.services else replace(command, services=outcome.command.services)


def by_hand(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """Yield (host, what, name) of each docker command that the output asks a person for."""
    if outcome.exit is not ExitCode.NEEDS_OPERATOR:
        return
    for row in outcome.rows:
        if row.judgement.verdict in {Verdict.FAILED, Verdict.UNKNOWN}:
            for found in BY_HAND.finditer(row.judgement.text):
                yield found[1], found[2], found[3].strip()


def repair(world: World, service: str, policy: str, target: str) -> bool:
    """Bring a service back to where it was before its move, by hand; return whether that can be done without losing a
    write.

    Temporary keys are left to longshore where its next attempt comes by: on the source, and on its `target`. They are
    removed by hand elsewhere.
    """
    home, mine = world.machines["a"], {"store": STORE_IMAGE, "app": APP_IMAGE}[service]
    here = next((one for one in home.services() if one.image == mine), None)
    elsewhere = [
        (machine, one)
        for machine in world.machines.values()
        if machine is not home
        for one in machine.services()
        if one.image == mine
    ]
    volume = home.volumes.get(f"{service}_data")
    if here is None or volume is None or not all(world.engine_up(name) for name in ("a", "b", "c")):
        return False
    if (
        any(one.running for _, one in elsewhere)
        or (world.acknowledged(service) | (set(world.acted) if service == "store" else set())) - volume.records()
    ):
        return False
    for machine, one in elsewhere:
        machine.containers.pop(one.id)
    for machine in world.machines.values():
        for one in [
            one
            for one in machine.containers.values()
            if one.labels.get("longshore.move", "").startswith(f"lab/{service}/")
        ]:
            machine.containers.pop(one.id)
        machine.volumes = {
            name: one
            for name, one in machine.volumes.items()
            if (machine is home and name == f"{service}_data") or not name.startswith(f"{service}_data")
        }
        if machine.name in {home.name, target}:
            continue
        machine.keys = [line for line in machine.keys if " longshore:" not in line or f":lab/{service}/" not in line]
        machine.run_files = {path: key for path, key in machine.run_files.items() if f"lab-{service}-" not in path}
    here.name, here.host_config["RestartPolicy"] = service, {"Name": policy, "MaximumRetryCount": 0}
    return not world.start(home, here)


def carry_out(world: World, host: str, what: str, name: str) -> str:
    """Do on a host what the output asked for."""
    machine = world.machines.get(host)
    words = name.split()
    if machine is None or not world.engine_up(host) or not words:
        return "could not be done"
    found = machine.container(words[0])
    if what == "volume rm" or found is None:
        return "not done"
    if what == "stop":
        world.stop(machine, found)
    elif what == "start":
        return world.start(machine, found) or "done"
    elif what.startswith("update"):
        found.host_config["RestartPolicy"] = {"Name": what.rsplit(maxsplit=1)[-1], "MaximumRetryCount": 0}
    elif what == "rename" and len(words) > 1:
        found.name = words[1]
    else:
        return "not done"
    return "done"
