"""Rows of relays: what mutual TLS between two ends adds to a request, and to a new connection, compared with two plain
ends of the same program.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from typing import Final

from actions.relays.endpoints import FAR, MAKE_KEYS, NEAR, common_name, socat_words
from actions.relays.planning import FarEnd, Relay
from bench.row import Row, median_and_spread
from engine.constants import TOOLBOX_IMAGE
from engine.errors import ActionError

RUNS: Final = 5
DEADLINE_S: Final = 300
SERVICE: Final = 5000
LOCAL: Final = "127.0.0.1"
TLS: Final = Relay(
    "here",
    "bench",
    "service",
    7000,
    LOCAL,
    6000,
    far=FarEnd("there", "bench", LOCAL, SERVICE),
    from_address=LOCAL,
    encrypted=True,
)
PLAIN: Final = replace(TLS, port=7001, to_port=6001, encrypted=False)
PLACES: Final = {
    "/certificates/own.pem": "/keys/{own}/cert.pem",
    "/certificates/peer.pem": "/keys/{peer}/cert.pem",
    "/keys/key.pem": "/keys/{own}/key.pem",
}
MEASURE: Final = """\
import json, socket, statistics, sys, threading, time

def serve(client):
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := client.recv(65536):
            client.sendall(data)

def accept(server):
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

def connected(port):
    for _ in range(100):
        try:
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ask(one)
            return one
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nobody answers at {port}")

def ask(one):
    one.sendall(b"x" * 100)
    left = 100
    while left:
        got = one.recv(left)
        if not got:
            raise OSError("closed")
        left -= len(got)

server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256)
threading.Thread(target=accept, args=(server,), daemon=True).start()
ports = [int(word) for word in sys.argv[1:]]
ways = {port: connected(port) for port in ports}
requests, connections = {port: [] for port in ports}, {port: [] for port in ports}
for _ in range(2000):
    for port, way in ways.items():
        started = time.perf_counter()
        ask(way)
        requests[port].append(time.perf_counter() - started)
for _ in range(30):
    for port in ports:
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port)) as one:
            ask(one)
        connections[port].append(time.perf_counter() - started)
print(json.dumps([[statistics.median(some[port]) * 1000 for port in ports] for some in (requests, connections)]))
"""


def relay_tls() -> Row:
    """Measure what a relay in mutual TLS adds to a request on a connection that is open."""
    return _row(
        "relay-tls",
        "added by a relay in mutual TLS to one request of 100 bytes on an open connection, median of 2000",
        0,
        goal=1,
    )


def relay_connection() -> Row:
    """Measure what a relay in mutual TLS adds to a new connection and its first request: a handshake, and a process at
    either end.
    """
    return _row(
        "relay-connection",
        "added by a relay in mutual TLS to a new connection and its first request, median of 30",
        1,
        goal=50,
    )


def _row(name: str, work: str, figure: int, *, goal: float) -> Row:
    looks = [_measure()[figure] for _ in range(RUNS)]
    tls, plain = ([look[position] - look[0] for look in looks] for position in (1, 2))
    middle, spread = median_and_spread(tls)
    return Row(
        name,
        work,
        "two plain socats",
        middle,
        median_and_spread(plain)[0],
        "ms",
        goal,
        "less",
        RUNS,
        spread,
        absolute=True,
    )


def _measure() -> list[list[float]]:
    """Return the medians in ms, of requests and of new connections, each: without a relay, through TLS, through plain
    ends.
    """
    argv = ["docker", "run", "--rm", "--interactive", "--network", "none", TOOLBOX_IMAGE, "sh", "-c", _script()]
    ended = subprocess.run(argv, input=MEASURE, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    if ended.returncode:
        raise ActionError(
            f"bench relay: exit {ended.returncode}: {ended.stderr[-300:]}. Expected: figures. Try: docker run "
            f"--rm {TOOLBOX_IMAGE} socat -V"
        )
    figures: list[list[float]] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def _script() -> str:
    names = {end: common_name(TLS, end) for end in (NEAR, FAR)}
    makes = MAKE_KEYS.replace(' && rm "/keys/$name/cert.pem"', "")
    folders = " ".join(f"/keys/{name}" for name in names.values())
    lines = [f"mkdir -p {folders}", f"sh -c {shlex.quote(makes)} keys {' '.join(names.values())} >/dev/null"]
    for relay in (TLS, PLAIN):
        for own, peer in ((FAR, NEAR), (NEAR, FAR)):
            words = shlex.join(["socat", *socat_words(relay, own)])
            for place, real in PLACES.items():
                words = words.replace(place, real.format(own=names[own], peer=names[peer]))
            lines.append(f"{words} </dev/null >/dev/null 2>&1 &")
    return "\n".join([*lines, f'exec python3 -c "$(cat)" {SERVICE} {TLS.port} {PLAIN.port}'])


ROWS: Final = {"relay-tls": relay_tls, "relay-connection": relay_connection}
