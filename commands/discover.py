"""Draft an inventory, and with --to the moves of a plan, from what runs on hosts: discover --lab | --environment NAME
HOST … [--to TARGET].
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ruamel.yaml import YAML

from engine.command_line import typed_command
from engine.config.environment import load_environment
from engine.config.inventory import Inventory
from engine.config.validation import parse_shape
from engine.errors import InputError
from engine.finding import say
from engine.run.options import add_flags, read_options
from hosts.fleet import open_hosts
from phases.discover.draft_inventory import draft_inventory, draft_moves

HEAD = (
    "# A draft of what runs now. Compare each line, decide what the notes ask, then save it as inventory.yaml.\n"
    "# To check it: nox -s plan -- --environment NAME\n"
)


def main(argv: list[str]) -> int:
    """Read each host in one exchange and print the draft; nothing is changed or written."""
    parser = argparse.ArgumentParser(prog="discover", description=__doc__)
    parser.add_argument("hosts", nargs="+", help="hosts to read; they must be pinned in the environment")
    parser.add_argument(
        "--to",
        metavar="TARGET",
        help="print the moves of the first host's services to this host instead, as migration_plan.json has them",
    )
    add_flags(parser.add_argument, "--environment", "--lab", "--ssh-config")
    parsed = parser.parse_args(argv)
    given = vars(parsed)
    options = read_options(lambda name: given.get(name, Path() if name in {"inventory", "plan"} else None), argv)
    environment = load_environment(options.environment_file)
    unknown = [host for host in parsed.hosts if host not in environment.hosts]
    if unknown:
        again = typed_command("pin", *unknown, environment=options.environment)
        raise InputError(
            say(
                "{environment_file}: no identity of {unknown}; known: {hosts}. Try: {again}",
                environment_file=options.environment_file,
                unknown=", ".join(unknown),
                hosts=", ".join(environment.hosts),
                again=again,
            )
        )
    config = options.ssh_config or (Path(environment.ssh_config) if environment.ssh_config else None)
    with open_hosts(tuple(parsed.hosts), environment, config) as fleet:
        seen = [fleet.facts(host) for host in parsed.hosts]
    for facts in seen:
        facts.need_docker()
    draft = draft_inventory(seen)
    _, problems = parse_shape(Inventory, draft)
    for problem in problems:
        print(f"to be mended by hand: {problem}", file=sys.stderr)
    if parsed.to:
        print(json.dumps({"moves": draft_moves(draft, parsed.hosts[0], parsed.to)}, indent=2))
        return 0
    print(HEAD, end="")
    YAML().dump(draft, sys.stdout)
    return 0
