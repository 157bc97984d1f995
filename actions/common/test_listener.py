"""A listener of ours where nothing listens yet, for seconds: only so is a way through Docker's own rules tried to its
end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from actions.common.route import run_checked, write_audit
from actions.common.toolbox import remove_helpers, toolbox_argv
from engine.errors import DeadlineError
from engine.finding import say
from hosts.fleet import Fleet

ROLE: Final = "trial"
LONGEST_S: Final = 60
START_S: Final = 30.0
PROGRAM: Final = """\
import select, socket, sys, threading, time
def drain(one):
    with one:
        while one.recv(1 << 18): pass
listening = [socket.create_server(("", int(port)), backlog=64) for port in sys.argv[2:]]
print("listening", flush=True)
end = time.monotonic() + int(sys.argv[1])
while time.monotonic() < end:
    for one in select.select(listening, [], [], 1)[0]:
        threading.Thread(target=drain, args=(one.accept()[0],), daemon=True).start()
"""
"""Accepts and throws away what comes, until the other side hangs up; ends automatically, also when nobody is left to
end it.
"""

WAIT: Final = r"""
pid=$(docker inspect -f '{{.State.Pid}}' "$1") || exit
left=50
while [ "$left" -gt 0 ]; do
    seen=$(cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null |
      grep -cE '^ *[0-9]+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:0000 0A ')
    if [ "$seen" -ge "$2" ]; then echo listening; exit 0; fi
    sleep 0.1; left=$((left - 1))
done
"""
"""Asks the kernel, in the container's own network, at most 5 s."""


@contextmanager
def listening(fleet: Fleet, host: str, ports: Iterable[int], *, move_label: str) -> Iterator[None]:
    """Listen on ports of a host as a service would publish them, as long as the caller is inside; at most a minute.

    Raises ActionError when Docker refuses (a port is taken), DeadlineError when it does not begin in time.
    """
    wanted = [str(port) for port in sorted(set(ports))]
    flags = ["--detach", *(word for port in wanted for word in ("--publish", f"{port}:{port}"))]
    argv = toolbox_argv(
        ["python3", "-c", PROGRAM, str(LONGEST_S), *wanted],
        move_label=move_label,
        role=ROLE,
        network="bridge",
        flags=flags,
    )
    remove_helpers(fleet, host, move_label, ROLE)
    write_audit(fleet, host, move_label, ROLE, f"listen on {', '.join(wanted)} for at most {LONGEST_S} s")
    try:
        container = run_checked(
            fleet, host, argv, doing=say("listen on {wanted}", wanted=", ".join(wanted)), timeout_s=START_S
        ).text.split()[-1]
        _wait_for(fleet, host, container, len(wanted))
        yield
    finally:
        remove_helpers(fleet, host, move_label, ROLE)


def _wait_for(fleet: Fleet, host: str, container: str, ports: int) -> None:
    """Wait until the program listens: docker-proxy accepts before it does, and would be taken for it."""
    waiting = run_checked(
        fleet,
        host,
        ["sh", "-c", WAIT, "wait", container, str(ports)],
        doing=say("wait for the listener"),
        timeout_s=START_S,
    )
    if waiting.text.strip() != "listening":
        raise DeadlineError(
            say(
                "{host}: the listener on {ports} ports did not begin within 5 s. Look: ssh {host} docker logs "
                "{container}",
                host=host,
                ports=ports,
                container=container,
            )
        )
