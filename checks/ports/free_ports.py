"""Are the ports that the service will publish free on its target, and who holds them if not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from checks.ports.addresses import bound_of, overlap
from engine.constants import LABEL_MOVE
from engine.contracts.container import ContainerFacts
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from hosts.facts.model import HostFacts


@dataclass(frozen=True)
class PortNeed:
    """One port that a moved service will publish on its target."""

    service: str
    port: int
    protocol: str = "tcp"
    address: str = ""


def judge_ports_free(target: HostFacts, needs: Iterable[PortNeed], move_label: str = "") -> Judgement:
    """Judge whether nothing else listens on the wanted ports; what carries `move_label` is this move's own.

    Raises CouldNotLookError when the target's Docker Engine or its sockets were not seen: a port not looked at is not
    free.
    """
    needs = tuple(needs)
    if needs:
        target.need_docker()
        target.need_sockets()
    taken = [text for need in needs if (text := _holder(target, need, move_label))]
    if taken:
        return failed(
            say(
                "{host}: {taken_count} of {needs_count} ports taken: {first_taken}. Expected: free. Try: ssh {host} "
                "ss -Hltnup, then stop what holds it or remap the port in migration_plan.json",
                host=target.host,
                taken_count=len(taken),
                needs_count=len(needs),
                first_taken=taken[0],
            ),
            tuple(taken),
            ports_taken=len(taken),
        )
    return passed(say("{host}: all {count} ports free", host=target.host, count=len(needs)), ports_wanted=len(needs))


def _holder(target: HostFacts, need: PortNeed, move_label: str) -> str | None:
    """Return who holds the port: a container by name, else the listening process; also stopped containers' claims."""
    own = False
    for container in target.containers:
        if not _publishes(container, need):
            continue
        if move_label and container.labels.get(LABEL_MOVE) == move_label:
            own = True
        elif container.state not in {"exited", "created", "dead"} or container.restart_policy not in {"", "no"}:
            return f"{need.port}/{need.protocol} ({need.service}) by container {container.name} ({container.state})"
    if own:
        return None
    for socket in target.listening:
        listens = bound_of(socket.address, of_socket=True)
        if (
            socket.port == need.port
            and socket.protocol.startswith(need.protocol)
            and overlap(listens, bound_of(need.address))
        ):
            process = socket.process or say("a process not named")
            return f"{need.port}/{need.protocol} ({need.service}) by {process} on {socket.address}"
    return None


def _publishes(container: ContainerFacts, need: PortNeed) -> bool:
    wanted = need.port, need.protocol
    return any(
        (port, protocol) == wanted and overlap(bound_of(address), bound_of(need.address))
        for address, port, _, protocol in container.published
    )
