"""`python -m commands lab up|reset|images [--services core|all] | keep|back NAME | names HOST | down [--all] | status |
break FAULT | heal`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from docker.errors import DockerException
from requests.exceptions import RequestException

from lab import containers, faults, hosts, images, pristine_disks, public_dns, services, snapshots
from lab.docker_engine import alone, at_once, connect
from lab.identity import known_choice, known_lab, make_identities
from lab.settings import CACHE, HOSTS, NAMES, ROOT, STATE, VARIABLE, Choice, LabError, WrongWordsError

WRONG_WORDS: Final = 4
INTERRUPTED: Final = 130
RAISING: Final = STATE / "raising"
"""There while new hosts are raised: an `up` that finds it begins anew, whatever the last one had done."""


def _say(started: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)

    return say


def up(client: Any, say: Callable[[str], None], choice: Choice | None = None) -> None:
    """Raise the lab with the services of a choice, by default those it has; what is up is left alone, what is not whole
    is made anew.
    """
    if other := hosts.other_checkout(client):
        raise LabError(
            f"this machine: the lab of {other} is up. Expected: none, or this folder's. Try: python -m commands lab "
            "reset (replaces it), "
            f"or a second lab: {VARIABLE}=NAME python -m commands lab up"
        )
    choice = choice or known_choice()
    new = _is_incomplete(client)
    if not new and choice is not known_choice():
        raise LabError(
            f"this folder: its lab is up with {known_choice()} services. Expected: {choice}. Try: python -m "
            f"commands lab reset --services {choice}"
        )
    origins = images.ensure_images(client, say, choice)
    addresses = hosts.ensure_network(client)
    make_identities(addresses, origins, choice=choice, raised_at=datetime.now(UTC) if new else None)
    if new:
        RAISING.touch()
        _make_disks(client, choice, addresses, say)
    at_once(lambda plan: hosts.start(client, plan, addresses[plan.name]), HOSTS)
    for plan in HOSTS:
        hosts.wait_for_host(plan)
        say(f"{plan.name} answers at {addresses[plan.name]}")
    services.wait_for_services(
        choice if new else Choice.CORE
    )  # of a lab that is used some ports may have left their host for good
    if new:
        public_dns.point_names(addresses[containers.SOURCE])
        services.start_sessions()
        RAISING.unlink()
    say(f"all services on {containers.SOURCE} answer. Look: ssh -F state/lab/ssh_config {containers.SOURCE}")


def _is_incomplete(client: Any) -> bool:
    """Return whether a host is missing, was never finished, or has an identity that nobody knows any more."""
    return (
        RAISING.exists() or not known_lab().get("raised_at") or any(hosts.find(client, plan) is None for plan in HOSTS)
    )


def _make_disks(client: Any, choice: Choice, addresses: dict[str, str], say: Callable[[str], None]) -> None:
    _remove_hosts(client)
    key = pristine_disks.key_of(client, choice)
    if pristine_disks.is_there(client, key):
        say("copying the hosts' disks")
        pristine_disks.restore(client, key)
    else:
        say("making the hosts' disks; this is kept for the next time")
        pristine_disks.build(client, key, choice, addresses, say)
    pristine_disks.hand_out_secrets(key)


def _remove_hosts(client: Any) -> None:
    pristine_disks.stop_copying(client)
    at_once(lambda plan: hosts.remove(client, plan), HOSTS)


def reset(client: Any, say: Callable[[str], None], choice: Choice | None = None) -> None:
    """Give back the untouched hosts, with the same identities, and the same services unless others are chosen."""
    other = hosts.other_checkout(client)
    say("removing the hosts and their disks" + (f", raised from {other}" if other else ""))
    _remove_hosts(client)
    up(client, say, choice)


def down(client: Any, say: Callable[[str], None], *, everything: bool) -> None:
    """Remove hosts, disks, network and keys; with `everything` also images and kept disks."""
    _remove_hosts(client)
    snapshots.forget(client)
    hosts.remove_network(client)
    shutil.rmtree(STATE, ignore_errors=True)
    if everything:
        pristine_disks.remove_all(client)
        if others := hosts.other_labs(client):
            say(f"removed, with all kept disks; the images stay: {', '.join(others)} may use them")
            return
        if refused := images.remove_images(client):
            raise LabError(
                f"images: not removed: {'; '.join(refused)}. Expected: nothing else uses them. Look: docker ps -a"
            )
        say(f"removed, with all images and kept disks that the lab made ({CACHE} may hold downloads of bootstrap)")
    else:
        say("removed; images and kept disks stay for a warm start (down --all removes them)")


def status(client: Any) -> dict[str, Any]:
    """Return what is up, when and from where it was raised, and where each image came from; a silent engine is
    reported, not waited for.
    """
    known = known_lab()
    other = hosts.other_checkout(client)
    up_now = {plan.name: hosts.describe(client, plan, reachable=other is None) for plan in HOSTS}
    look = up_now[containers.SOURCE].startswith("running, Docker")
    own = {"raised at": known.get("raised_at"), "raised from": str(ROOT)} | ({"name": NAMES.name} if NAMES.name else {})
    own["services"] = known_choice().value
    raised = own if known.get("raised_at") else {"raised at": "not raised"}
    return {
        "lab": raised if other is None else {"raised from": other},
        "hosts": up_now,
        "services": services.state_of_services() if look else {},
        "images": known.get("images", {}),
    }


def _show(content: dict[str, Any]) -> None:
    for title, rows in content.items():
        print(f"{title}:")
        for name, value in rows.items():
            print(f"  {name:<28} {value}")


class _Parser(argparse.ArgumentParser):
    """Words that are not understood are one message."""

    def error(self, message: str) -> NoReturn:
        """Raise WrongWordsError instead of printing usage."""
        usage = " ".join(str(__doc__).split()).strip("`.")
        raise WrongWordsError(f"{message}. Expected: {usage}. Known faults: {', '.join(sorted(faults.FAULTS))}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "raise the lab, or what is missing of it"),
        ("reset", "give back the untouched hosts"),
        ("images", "only fetch or build the images"),
    ):
        commands.add_parser(name, help=text).add_argument(
            "--services", type=Choice, choices=list(Choice), help="default: those that it has, else core"
        )
    commands.add_parser("keep", help="keep the hosts as they are now under a name").add_argument("name")
    commands.add_parser("back", help="give back the hosts as they were kept").add_argument("name")
    commands.add_parser("names", help="let the public names lead to a host, as a person does in the DNS").add_argument(
        "host", choices=[plan.name for plan in HOSTS]
    )
    commands.add_parser("down", help="remove the lab").add_argument(
        "--all", action="store_true", help="images and kept disks too"
    )
    commands.add_parser("status", help="what is up").add_argument("--json", action="store_true")
    commands.add_parser("break", help="make a fault").add_argument("fault", choices=sorted(faults.FAULTS))
    commands.add_parser("heal", help="undo all faults")
    return parser


def _need_good_name() -> None:
    if NAMES.problem:
        raise WrongWordsError(NAMES.problem)


def _need_own_name() -> None:
    """Raise LabError when this folder's lab was raised under another name: its hosts would be taken for gone."""
    known = known_lab()
    if known and known.get("name", "") != NAMES.name:
        before = f"{VARIABLE}={known['name']}" if known.get("name") else f"without {VARIABLE}"
        raise LabError(
            f"this folder: its lab was raised {before}. Expected: the same now, or that lab removed first, "
            "with: lab down"
        )


def _perform(options: argparse.Namespace, client: Any, say: Callable[[str], None]) -> None:
    _need_own_name()
    if options.command == "up":
        up(client, say, options.services)
    elif options.command == "reset":
        reset(client, say, options.services)
    elif options.command == "images":
        images.ensure_images(client, say, options.services or known_choice())
        say("all images are there")
    elif options.command == "down":
        down(client, say, everything=options.all)
    elif options.command == "keep":
        hosts.need_all(client)
        snapshots.keep(client, options.name, say)
    elif options.command == "back":
        snapshots.need(client, options.name)
        RAISING.touch()
        snapshots.bring_back(client, options.name, say)
        public_dns.point_names(hosts.ensure_network(client)[containers.SOURCE])
        RAISING.unlink()
    elif options.command == "names":
        hosts.need_all(client)
        public_dns.point_names(hosts.ensure_network(client)[options.host])
        say(f"the public names lead to {options.host}")
    elif options.command == "break":
        hosts.need_all(client)
        faults.FAULTS[options.fault].make(client)
        say(f"{options.fault}: made. Undo: python -m commands lab heal")
    else:
        hosts.need_all(client)
        faults.heal(client)
        say("all faults undone")


def main(argv: list[str]) -> int:
    """Run one command; return 0, 1 with one message, 4 for words that are not understood, 130 when interrupted."""
    try:
        options = _parser().parse_args(argv)
        _need_good_name()
        client = connect()
        if options.command == "status":
            content = status(client)
            print(json.dumps(content, indent=1)) if options.json else _show(content)
        else:
            with alone():
                _perform(options, client, _say(time.monotonic()))
    except WrongWordsError as error:
        return _failed(error, WRONG_WORDS)
    except LabError as error:
        return _failed(error, 1)
    except (DockerException, RequestException) as error:
        return _failed(
            f"this machine's Docker Engine refused: {error}. Expected: it does what the lab asks. Look: docker info", 1
        )
    except KeyboardInterrupt:
        return _failed(
            (
                "interrupted. Expected: an end. Try: python -m commands lab up, which begins anew, or: python -m "
                "commands lab down"
            ),
            INTERRUPTED,
        )
    return 0


def _failed(what: object, code: int) -> int:
    print(f"lab: {what}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
