"""A named moment of the lab's disks, kept so that it can come back: what took minutes to reach is reached again by
copying.

It belongs to this folder's lab: hosts raised with other identities could not read it, so it goes with `down`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lab import containers, hosts, pristine_disks, services
from lab.docker_engine import at_once
from lab.identity import known_choice
from lab.settings import HOSTS, LABEL, PREFIX, STATE, HostPlan, LabError

KEPT: Final = STATE / "kept"
KEPT_LABEL: Final = f"{LABEL}.kept"
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


def _volume(name: str, plan: HostPlan) -> str:
    return f"{PREFIX}-kept-{name}-{plan.name}"


def _token_file(name: str) -> Path:
    return KEPT / name / "token"


def keep(client: Any, name: str, say: Callable[[str], None]) -> None:
    """Stop the hosts cleanly, copy their disks under this name, and start them again; an older one of the name is
    replaced.
    """
    if not NAME.fullmatch(name):
        raise LabError(f"{name!r}: no name for a kept lab. Expected: small letters, digits and dashes")
    forget(client, name)
    say("stopping the hosts cleanly, to copy their disks")
    at_once(lambda plan: hosts.stop(client, plan), HOSTS)
    token = secrets.token_hex(8)
    for plan in HOSTS:
        client.volumes.create(_volume(name, plan), labels={KEPT_LABEL: token})
    pristine_disks.copy_disks(client, [(plan.volume, _volume(name, plan)) for plan in HOSTS])
    _token_file(name).parent.mkdir(parents=True, exist_ok=True)
    _token_file(name).write_text(f"{token} {known_choice().value}", encoding="utf-8")
    at_once(lambda plan: hosts.start(client, plan, ""), HOSTS)
    at_once(hosts.wait_for_host, HOSTS)
    services.wait_for_services(known_choice())
    say(f"kept. Bring it back: python -m commands lab back {name}")


def bring_back(client: Any, name: str, say: Callable[[str], None]) -> None:
    """Give every host the disk that was kept under this name, which `need` saw; the current ones are removed."""
    addresses = hosts.ensure_network(client)
    say(f"copying the disks that were kept as {name}")
    pristine_disks.stop_copying(client)
    at_once(lambda plan: hosts.remove(client, plan), HOSTS)
    for plan in HOSTS:
        client.volumes.create(plan.volume, labels={LABEL: "1"})
    pristine_disks.copy_disks(client, [(_volume(name, plan), plan.volume) for plan in HOSTS])
    at_once(lambda plan: hosts.start(client, plan, addresses[plan.name]), HOSTS)
    at_once(hosts.wait_for_host, HOSTS)
    services.wait_for_services(known_choice())
    services.start_sessions()
    say(f"all services on {containers.SOURCE} answer")


def need(client: Any, name: str) -> None:
    """Raise LabError unless all disks of this name are kept, and by this folder's lab."""
    file = _token_file(name)
    token, _, choice = file.read_text(encoding="utf-8").partition(" ") if file.exists() else ("", "", "")
    there = (
        {volume.name for volume in client.volumes.list(filters={"label": f"{KEPT_LABEL}={token}"})} if token else set()
    )
    if not {_volume(name, plan) for plan in HOSTS} <= there:
        known = ", ".join(sorted(folder.name for folder in KEPT.glob("*"))) or "none"
        raise LabError(
            f"{name}: not kept by this folder's lab (kept: {known}). Expected: python -m commands lab keep "
            f"{name}, earlier"
        )
    if choice != known_choice().value:
        raise LabError(
            f"{name}: kept with {choice} services. Expected: {known_choice()}, as now. Try: python -m "
            f"commands lab reset --services {choice}"
        )


def forget(client: Any, name: str | None = None) -> None:
    """Remove the disks kept under this name, or under any name by labs that are called as this one."""
    wanted = {_volume(name, plan) for plan in HOSTS} if name else set()
    if name:
        _token_file(name).unlink(missing_ok=True)
    for volume in client.volumes.list(filters={"label": KEPT_LABEL}):
        if volume.name in wanted or (not name and volume.name.startswith(f"{PREFIX}-kept-")):
            volume.remove(force=True)
