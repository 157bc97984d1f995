"""The probe's program, run by the toolbox's Python on the source host; standard library only."""

from __future__ import annotations

from typing import Final

PROBE_PROGRAM: Final = r"""
import json, socket, struct, sys, time

question, name, port, period_s, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
ATTEMPT_S = 1.0
wall, tick = time.time_ns(), time.monotonic_ns()


def now():
    return wall + time.monotonic_ns() - tick


def ask(sock):
    if question == "postgres":  # SSLRequest is answered with one byte, before any login
        sock.sendall(struct.pack("!ii", 8, 80877103))
        answer = sock.recv(1)
        return answer in (b"S", b"N"), repr(answer)
    if question == "redis":
        sock.sendall(b"PING\r\n")
        answer = sock.recv(64)
        return answer.startswith((b"+PONG", b"-NOAUTH")), repr(answer[:40])
    if question == "http":
        sock.sendall(("GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: longshore-probe\r\n\r\n" % (path, name)).encode())
        answer = sock.recv(64)
        words = answer.split(None, 2)
        good = answer.startswith(b"HTTP/") and len(words) > 1 and words[1].isdigit() and int(words[1]) < 500
        return good, repr(answer.split(b"\r\n")[0])
    return True, "connected"


def attempt():
    try:
        with socket.create_connection((name, port), timeout=ATTEMPT_S) as sock:
            sock.settimeout(ATTEMPT_S)
            return ask(sock)
    except OSError as error:
        return False, "%s: %s" % (type(error).__name__, error)


state, last_ns = None, 0
while True:
    began = now()
    good, seen = attempt()
    ended = now()
    if good is not state:
        line = {"good": good, "at_ns": ended, "began_ns": began, "last_ns": last_ns, "seen": seen}
        print(json.dumps(line), flush=True)
        state = good
    last_ns = ended if good else began
    time.sleep(max(0.0, period_s - (ended - began) / 1e9))
"""
"""One line per change: when the answer came, when it was asked for, and `last_ns`: the last answer of the state before
(its end when it was good, its beginning when it was bad)."""
