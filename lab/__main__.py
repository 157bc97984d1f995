"""`python -m lab up | down [--all] | reset | status [--json] | break FAULT | heal`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from lab import faults, golden, hosts, images, services
from lab.identity import make_identities
from lab.machine import connect
from lab.settings import CACHE, HOSTS, STATE, LabError


def _say(started: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)

    return say


def up(client: Any, say: Callable[[str], None]) -> None:
    """Raise the lab; what is up already is left alone."""
    origins = images.ensure_images(client, say)
    addresses = hosts.ensure_network(client)
    make_identities(addresses, origins)
    key = golden.key_of(client)
    new = any(hosts.find(client, plan) is None for plan in HOSTS)
    if new:
        _remove_hosts(client)
        if golden.is_there(client, key):
            say("copying the hosts' disks")
            golden.restore(client, key)
        else:
            say("making the hosts' disks; this is kept for the next time")
            golden.build(client, key, addresses, say)
    for plan in HOSTS:
        hosts.start(client, plan, addresses[plan.name])
    for plan in HOSTS:
        hosts.wait_for_host(plan)
        say(f"{plan.name} answers at {addresses[plan.name]}")
    services.wait_for_services()
    if new:
        services.start_sessions()
    say(f"all services on {services.SOURCE} answer. Look: ssh -F state/lab/ssh_config {services.SOURCE}")


def _remove_hosts(client: Any) -> None:
    for plan in HOSTS:
        hosts.remove(client, plan)


def reset(client: Any, say: Callable[[str], None]) -> None:
    """Give back the untouched hosts, with the same identities."""
    say("removing the hosts and their disks")
    _remove_hosts(client)
    up(client, say)


def down(client: Any, say: Callable[[str], None], *, everything: bool) -> None:
    """Remove hosts, disks, network and keys; with `everything` also images and kept disks."""
    _remove_hosts(client)
    hosts.remove_network(client)
    shutil.rmtree(STATE, ignore_errors=True)
    if everything:
        golden.remove_all(client)
        if refused := images.remove_images(client):
            raise LabError(f"images: not removed: {'; '.join(refused)}. Expected: nothing else uses them. Look: docker ps -a")
        say(f"removed, with all images and kept disks that the lab made ({CACHE} may hold downloads of bootstrap)")
    else:
        say("removed; images and kept disks stay for a warm start (down --all removes them)")


def status(client: Any) -> dict[str, Any]:
    """Return what is up, and where each image came from."""
    up_now = {plan.name: (found.status if (found := hosts.find(client, plan)) else "not there") for plan in HOSTS}
    running = up_now.get(services.SOURCE) == "running"
    file = STATE / "hosts.json"
    origins = json.loads(file.read_text(encoding="utf-8"))["images"] if file.exists() else {}
    return {"hosts": up_now, "services": services.state_of_services() if running else {}, "images": origins}


def _show(content: dict[str, Any]) -> None:
    for title, rows in content.items():
        print(f"{title}:")
        for name, value in rows.items():
            print(f"  {name:<28} {value}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="raise the lab, or what is missing of it")
    commands.add_parser("reset", help="give back the untouched hosts")
    commands.add_parser("down", help="remove the lab").add_argument("--all", action="store_true", help="images and kept disks too")
    commands.add_parser("status", help="what is up").add_argument("--json", action="store_true")
    commands.add_parser("break", help="make a fault").add_argument("fault", choices=sorted(faults.FAULTS))
    commands.add_parser("heal", help="undo all faults")
    return parser


def main(argv: list[str]) -> int:
    """Run one command; return 0, or 1 with one message."""
    options = _parser().parse_args(argv)
    say = _say(time.monotonic())
    try:
        client = connect()
        if options.command == "up":
            up(client, say)
        elif options.command == "reset":
            reset(client, say)
        elif options.command == "down":
            down(client, say, everything=options.all)
        elif options.command == "status":
            content = status(client)
            print(json.dumps(content, indent=1)) if options.json else _show(content)
        elif options.command == "break":
            faults.FAULTS[options.fault].make(client)
            say(f"{options.fault}: made. Undo: python -m lab heal")
        else:
            faults.heal(client)
            say("all faults undone")
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
