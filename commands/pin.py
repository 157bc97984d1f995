"""Record the identities of an environment's hosts: pin --environment NAME [--ssh-config FILE] [HOST …]."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.config.environment import Environment, Identity, load_environment, write_environment
from engine.config.inventory import load_inventory
from engine.errors import InputError
from engine.finding import joined, say
from engine.project import environment_file
from engine.run.options import LAB, add_flags
from hosts.ssh.identity import read_identity


def main(argv: list[str]) -> int:
    """Ask each host who it is, over a connection that ssh itself trusts, and write it down."""
    parser = argparse.ArgumentParser(prog="pin", description=__doc__)
    parser.add_argument("hosts", nargs="*", help="hosts to pin; default: all of the inventory")
    add_flags(parser.add_argument, "--environment", "--ssh-config", "--inventory")
    parsed = parser.parse_args(argv)
    if parsed.environment in {None, LAB}:
        raise InputError(
            say("pin: expected --environment NAME with a name of your own; the lab pins itself at nox -s lab -- up")
        )
    known = list(load_inventory(Path(parsed.inventory)).hosts)
    wrong = [host for host in parsed.hosts if host not in known]
    if wrong:
        raise InputError(
            say("pin: unknown host {wrong}; known: {known}", wrong=joined(", ", wrong), known=", ".join(known))
        )
    file = environment_file(parsed.environment)
    before = load_environment(file) if file.exists() else Environment(environment=parsed.environment, hosts={})
    ssh_config = Path(parsed.ssh_config) if parsed.ssh_config else None
    seen = {host: read_identity(host, ssh_config) for host in parsed.hosts or known}
    for host, identity in seen.items():
        print(_line(host, before.hosts.get(host), identity))
    file.parent.mkdir(exist_ok=True)
    config = str(ssh_config) if ssh_config else before.ssh_config
    write_environment(file, before.model_copy(update={"hosts": {**before.hosts, **seen}, "ssh_config": config}))
    print(f"written: {file}. Compare the host keys with what the machines themselves say, then commit it")
    return 0


def _line(host: str, before: Identity | None, now: Identity) -> str:
    changed = [
        name
        for name in ("address", "ssh_host_key", "machine_id", "engine_id")
        if before and getattr(before, name) != getattr(now, name)
    ]
    how = "new" if before is None else f"CHANGED: {', '.join(changed)}" if changed else "as before"
    return f"{host}: {now.address}, machine {now.machine_id[:8]}…, {how}"
