"""The probe's program, run by the toolbox's Python on the source host; standard library only."""

from __future__ import annotations

from typing import Final

PROBE_PROGRAM: Final = r"""
import collections, json, socket, sys, threading, time

name, port, period_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
question, path, sends, begins = sys.argv[4:8]  # "own": sends these bytes; a good answer begins with one of those
sends, begins = bytes.fromhex(sends), tuple(bytes.fromhex(word) for word in begins.split(",") if word)
ATTEMPT_S = 1.0
wall, tick = time.time_ns(), time.monotonic_ns()


def now():
    return wall + time.monotonic_ns() - tick


def ask(sock):
    if question == "own":
        sock.sendall(sends)
        answer = sock.recv(64)
        return answer.startswith(begins), repr(answer[:40])
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


def once(began):
    good, seen = attempt()
    judge(good, seen, began, now())
    free.release()


def judge(good, seen, began, ended):
    with lock:
        if began < last["bad_began" if good else "good_began"]:
            return  # an attempt that hung shows what was, not what is
        if good is not last["state"]:
            before = max([start for start in starts if start < began], default=began)
            line = {"good": good, "at_ns": ended, "began_ns": began, "seen": seen}
            line["last_ns"] = before if good else last["good_ended"]
            print(json.dumps(line), flush=True)
        last["state"] = good
        last["good_began" if good else "bad_began"] = began
        if good:
            last["good_ended"] = max(ended, last["good_ended"])


lock, free, starts = threading.Lock(), threading.Semaphore(30), collections.deque(maxlen=100)
last = {"state": None, "good_began": 0, "bad_began": 0, "good_ended": 0}
turn = time.monotonic()
while True:
    if free.acquire(blocking=False):  # a name that is gone takes a second to be denied: the next question does not wait
        starts.append(now())
        threading.Thread(target=once, args=(starts[-1],), daemon=True).start()
    turn = max(turn + period_s, time.monotonic())
    time.sleep(max(0.0, turn - time.monotonic()))
"""
"""One line per change. `last_ns` is the end of the last good answer when it turns bad, and when it turns good the
beginning of the attempt before, which had no good answer: the service came back after it.
"""
