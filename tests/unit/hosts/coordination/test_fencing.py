"""The host refuses what a run sends that lost its lock, also when the run was asleep between its test and
its change.
"""

from __future__ import annotations

import ast
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from actions.common.route import look, run_checked
from engine.constants import HOST_STATE_DIR
from engine.contracts.container import CommandResult
from engine.errors import LockLostError, NotObservedError, RefusedError, UnreachableError
from hosts.coordination import fencing, lock
from hosts.coordination.audit_log import append_audit, read_audit
from hosts.coordination.fencing import HELD_S, NOT_OURS, change, fenced, see_ours
from hosts.coordination.lock import BREAK, TAKE, Holder, read_lock, release_lock, take_lock
from hosts.docker.fence import DIAL, FencedAdapter, is_change, raw_of, response_of

ROOT = Path(__file__).parents[4]


class Here:
    """This machine as a host, with its state directory in a folder of the test; `before` happens when a command
    arrives.
    """

    name = "wf005"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before: Any = lambda: None

    def here(self, argv: list[str]) -> list[str]:
        """Return argv as it runs in the folder."""
        return [
            word.replace(HOST_STATE_DIR, str(self.folder / "state")).replace(
                "/run/longshore", str(self.folder / "longshore")
            )
            for word in argv
        ]

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run argv once what happens before has happened."""
        self.before()
        ended = subprocess.run(self.here(argv), input=stdin, capture_output=True, timeout=timeout_s, check=False)
        return CommandResult(tuple(argv), ended.returncode, ended.stdout, ended.stderr, 0.0)


class Fleet(dict[str, Any]):
    """One host and the token of the run's lock."""

    token: str | None = None


def holder(token: str) -> Holder:
    """Return who holds a lock."""
    return Holder(token, "lab", f"{token}@example.org", "migrate", "2026-11-30T05:00:00+00:00")


@pytest.fixture
def fleet(tmp_path: Path, local_program: None) -> Fleet:
    """A run that holds the lock of its host."""
    host = Here(tmp_path)
    take_lock(host, holder("ana"))  # type: ignore[arg-type]
    made = Fleet(wf005=host)
    made.token = "ana"
    return made


def broken(fleet: Fleet) -> None:
    """Let somebody else break the lock."""
    host = fleet["wf005"]
    host.before = lambda: None
    take_lock(host, holder("bob"), break_it=True)


def test_a_change_of_a_run_that_slept_is_refused_by_the_host(fleet: Fleet, tmp_path: Path) -> None:
    """The lock was ours when the change was written down; while the machine slept somebody broke it: the host runs
    nothing.
    """
    host = fleet["wf005"]
    append_audit(host, {"key": "stop-source"}, token=fleet.token)
    host.before = lambda: broken(fleet)  # between the request and its arrival

    with pytest.raises(LockLostError, match=r"held by bob@example\.org"):
        run_checked(fleet, "wf005", ["touch", str(tmp_path / "changed")], doing="change")  # type: ignore[arg-type]

    assert not (tmp_path / "changed").exists()


def test_a_change_of_the_holder_runs_and_says_what_it_says(fleet: Fleet) -> None:
    """Standard input, quotes, output and exit code are the command's own, also an exit code that the fence uses."""
    assert change(fleet, "wf005", ["cat"], stdin=b"a\0b", timeout_s=20).stdout == b"a\0b"
    assert change(fleet, "wf005", ["printf", "%s", "a b'c\"$(id)"], timeout_s=20).text == "a b'c\"$(id)"
    for code in (lock.LOST, lock.NO_FLOCK, lock.BUSY):
        assert change(fleet, "wf005", ["sh", "-c", f"exit {code}"], timeout_s=20).exit_code == code
    see_ours(fleet, "wf005")


def test_standard_input_that_did_not_arrive_whole_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    """The operator's machine died while it sent: half of a file is not written, and nothing is left of it."""
    argv = fenced(["sh", "-c", f"cat > {tmp_path}/written"], "ana", stdin=b"0123456789", timeout_s=20)
    assert fleet["wf005"].run(argv, stdin=b"01234", timeout_s=20).exit_code == fencing.NOT_WHOLE
    assert not (tmp_path / "written").exists()
    assert not list(tmp_path.glob("longshore-*"))


def test_a_run_without_a_lock_is_not_fenced() -> None:
    """A phase that only reads holds none."""
    assert fenced(["ls"], None, timeout_s=20) == ["ls"]


def test_who_breaks_a_lock_waits_for_a_short_change(fleet: Fleet, tmp_path: Path) -> None:
    """What the old run began has ended when the new one holds the host."""
    slow = threading.Thread(
        target=change,
        args=(fleet, "wf005", ["sh", "-c", f"touch {tmp_path}/begun; sleep 1.5; touch {tmp_path}/ended"]),
        kwargs={"timeout_s": 20},
    )
    slow.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    broken(fleet)
    assert (tmp_path / "ended").exists()
    slow.join()


def test_a_long_change_does_not_keep_a_new_holder_out(fleet: Fleet, tmp_path: Path) -> None:
    """A copy of hours was tested at its start; its containers are removed by the next run of the move."""
    argv = ["sh", "-c", f"touch {tmp_path}/begun; sleep 30"]
    child = subprocess.Popen(fleet["wf005"].here(fenced(argv, "ana", timeout_s=HELD_S + 1)))
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    broken(fleet)
    child.kill()
    child.wait()
    assert read_lock(fleet["wf005"]).token == "bob"  # type: ignore[union-attr]


def test_a_change_that_does_not_end_refuses_a_new_holder(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal to break the lock names the process that still runs, with the command that ends it."""
    argv = ["sh", "-c", f"touch {tmp_path}/begun; sleep 30"]
    child = subprocess.Popen(fleet["wf005"].here(fenced(argv, "ana", timeout_s=20)))
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    impatient = BREAK.replace(f"-gt {lock.PATIENCE_S}", "-gt 0")
    monkeypatch.setattr(lock, "BREAK", impatient)
    with pytest.raises(RefusedError, match=rf"going on.*process {child.pid} .*ssh wf005 sudo pkill -P .*{child.pid}"):
        take_lock(fleet["wf005"], holder("bob"), break_it=True)
    child.kill()
    child.wait()


def raced(folder: Path, script: str, tokens: str, seen: str) -> list[str]:
    """Run a script of the lock at the same moment for several, and return the tokens that got the lock."""
    host = Here(folder)
    running = []
    for token in tokens:
        words = f'{{"token": "{token}"}}\n'.encode()
        argv = host.here(["sh", "-c", script, "take", token, seen, str(len(words))])
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append((token, words, child))
    return [token for token, words, child in running if child.communicate(words)[0] == b"taken\n"]


@pytest.mark.parametrize(("script", "seen"), [(TAKE, ""), (BREAK, "old")])
def test_of_several_at_once_exactly_one_has_the_lock(
    tmp_path: Path, local_program: None, script: str, seen: str
) -> None:
    """Taken or broken: exactly one succeeds, and the lock holds its token."""
    for _ in range(10):
        subprocess.run(["rm", "-rf", str(tmp_path / "state")], check=True)
        if seen:
            (tmp_path / "state" / "lock").mkdir(parents=True)
            (tmp_path / "state" / "lock" / "token").write_text(seen)
            (tmp_path / "state" / "lock" / "holder").write_text('{"token": "old"}\n')
        holders = raced(tmp_path, script, "AB", seen)
        assert len(holders) == 1
        assert (tmp_path / "state" / "lock" / "token").read_text() == holders[0]


def test_a_lock_that_a_power_cut_left_half_made_is_nobodys(tmp_path: Path, local_program: None) -> None:
    """It would keep everybody out for ever: nobody has its token."""
    (tmp_path / "state" / "lock").mkdir(parents=True)
    host: Any = Here(tmp_path)
    assert take_lock(host, holder("ana")) is None
    assert read_lock(host) == holder("ana")


def test_nobody_releases_the_lock_of_another(fleet: Fleet) -> None:
    """A run that lost its lock ends without touching the new one."""
    broken(fleet)
    assert not release_lock(fleet["wf005"], "ana")
    assert release_lock(fleet["wf005"], "bob")


def test_audit_lines_written_at_once_stay_whole(fleet: Fleet) -> None:
    """Services are prepared side by side: their records do not run into each other."""
    host = fleet["wf005"]
    writers = [
        threading.Thread(
            target=append_audit, args=(host, {"key": str(n), "text": "x" * 200_000}), kwargs={"token": "ana"}
        )
        for n in range(6)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = read_audit(host)
    assert sorted(line.count('"key"') for line in lines) == [1] * 6


# --- Docker's API


class Wire:
    """A host that takes one stream and answers as Docker does; `lost` once its lock is another's."""

    def __init__(self) -> None:
        self.lost, self.got, self.asked = False, b"", []  # type: ignore[var-annotated]

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Answer as the fence does."""
        return CommandResult(
            tuple(argv), lock.LOST if self.lost else 0, b"", f"{NOT_OURS} \n".encode() if self.lost else b"", 0.0
        )

    def stream(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Any:
        """Take a request and answer it."""
        wire = self

        class Answer:
            def __enter__(self) -> Any:
                wire.asked.append(argv)
                if wire.lost:
                    raise NotObservedError("ended with 77")
                wire.got = stdin
                return self

            def __exit__(self, *_: object) -> None: ...

            def read(self) -> bytes:
                head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                return head + b'9\r\n{"Id":"x"\r\n1\r\n}\r\n0\r\n\r\n'

        return Answer()


class Direct(requests.adapters.BaseAdapter):
    """The forwarded socket."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        """Remember it."""
        self.sent.append(f"{request.method} {request.path_url}")
        answer = requests.Response()
        answer.status_code = 200
        return answer


def docker_of(wire: Wire) -> tuple[requests.Session, Direct, Fleet]:
    """Return a session, its socket and its hosts."""
    direct, fleet, session = Direct(), Fleet(wf005=wire), requests.Session()
    fleet.token = "ana"
    session.mount("http+docker://", FencedAdapter(fleet, "wf005", direct))
    return session, direct, fleet


def test_a_request_that_changes_something_goes_whole_through_the_fence() -> None:
    """Method, body and the engine's answer are what they are on the socket; questions stay there."""
    wire = Wire()
    session, direct, _ = docker_of(wire)

    answer = session.post("http+docker://localhost/v1.41/containers/create?name=redis", json={"Image": "redis"})

    assert answer.status_code == 201
    assert answer.json() == {"Id": "x"}
    assert wire.got.startswith(b"POST /v1.41/containers/create?name=redis HTTP/1.1\r\n")
    assert wire.got.endswith(b'\r\n\r\n{"Image": "redis"}')
    assert DIAL in wire.asked[0]
    assert direct.sent == []
    session.get("http+docker://localhost/v1.41/containers/json")
    session.post("http+docker://localhost/v1.41/containers/redis/exec")
    assert direct.sent == ["GET /v1.41/containers/json", "POST /v1.41/containers/redis/exec"]


def test_docker_is_not_asked_to_change_anything_by_a_run_that_lost_its_lock() -> None:
    """The error says who holds the lock; it is not mistaken for an engine that does not answer."""
    wire = Wire()
    session, direct, _ = docker_of(wire)
    wire.lost = True
    with pytest.raises(LockLostError):
        session.post("http+docker://localhost/v1.41/containers/redis/start")
    assert direct.sent == []


@pytest.mark.parametrize(
    ("method", "path", "changes"),
    [
        ("POST", "/v1.41/containers/redis/start", True),
        ("DELETE", "/v1.41/containers/redis?v=1", True),
        ("POST", "/v1.41/networks/create", True),
        ("PUT", "/v1.41/containers/redis/archive?path=/x", True),
        ("POST", "/v1.41/images/load", True),
        ("POST", "/v1.41/containers/exec/stop", True),
        ("GET", "/v1.41/containers/redis/json", False),
        ("POST", "/v1.41/exec/abc/start", False),
        ("POST", "/v1.41/containers/redis/wait", False),
    ],
)
def test_what_counts_as_a_change(method: str, path: str, changes: bool) -> None:
    """All that is posted, put or deleted, but commands inside a container, which their asker fences."""
    assert is_change(requests.Request(method, f"http+docker://localhost{path}").prepare()) is changes


def test_an_answer_that_was_cut_off_is_no_answer() -> None:
    """It becomes an error of the connection, as on the socket."""
    request = requests.Request("POST", "http+docker://localhost/v1.41/containers/x/start").prepare()
    assert b"Content-Length: 0\r\n" in raw_of(request)
    with pytest.raises(Exception, match=r"BadStatusLine|closed|RemoteDisconnected|without response"):
        response_of(request, b"")


# --- no action can forget it

READS = {"cat", "ls", "test", "docker"}


def calls(path: Path) -> list[ast.Call]:
    """Return the calls in a file."""
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def test_no_action_runs_anything_past_the_fence() -> None:
    """Actions reach a host through `run_checked`, `change`, `changing` and, to ask, `look`; never through Host.run or
    Host.stream.
    """
    found = []
    for path in sorted((ROOT / "actions").rglob("*.py")):
        for call in calls(path):
            function = call.func
            if isinstance(function, ast.Attribute) and function.attr in {"run", "stream"} and path.name != "route.py":
                owner = ast.unparse(function.value)
                if owner.endswith(("]", "host")):
                    found.append(f"{path.name}:{call.lineno}: {owner}.{function.attr}")
    assert not found, found


def test_what_looks_only_looks() -> None:
    """The words given to `look` are those of a question."""
    for path in sorted((ROOT / "actions").rglob("*.py")):
        for call in calls(path):
            if isinstance(call.func, ast.Name) and call.func.id == "look" and isinstance(call.args[2], ast.List):
                words = [ast.literal_eval(word) for word in call.args[2].elts if isinstance(word, ast.Constant)]
                assert words[0] in READS | {"sh"}, f"{path.name}:{call.lineno}"
                assert words[0] != "docker" or words[1] in {"ps", "logs", "inspect"}, f"{path.name}:{call.lineno}"
                if words[0] == "sh":
                    script = ast.unparse(call.args[2].elts[2])
                    assert script in {"LIST_LOCKS", "WHO_WRITES", "READ", "CLOCK_AND_ADDRESS"}, (
                        f"{path.name}:{call.lineno}: {script}"
                    )
    assert look


@pytest.mark.parametrize(
    "said",
    [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?.",
        'error during connect: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.45/containers/json": EOF',
        "failed to connect to the docker API at unix:///var/run/docker.sock; check if the daemon is running",
    ],
)
def test_an_engine_without_an_answer_is_no_failed_command(said: str) -> None:
    """A relay that could not be listed while the engine restarts is not missing: nothing is undone for it."""
    answer = CommandResult(("docker", "ps"), 1, b"", said.encode(), 0.0)
    fleet: Any = Fleet(wf005=SimpleNamespace(name="wf005", run=lambda *_, **__: answer))
    for ask in (change, look):
        with pytest.raises(UnreachableError, match=r"wf005: Docker does not answer: .*Try: ssh wf005 docker ps"):
            ask(fleet, "wf005", ["docker", "ps"], timeout_s=1.0)


def test_what_the_engine_refuses_is_an_answer() -> None:
    """A name that is taken is a failure that was seen."""
    answer = CommandResult(("docker", "run"), 125, b"", b"docker: Error response from daemon: Conflict.", 0.0)
    fleet: Any = Fleet(wf005=SimpleNamespace(name="wf005", run=lambda *_, **__: answer))
    assert change(fleet, "wf005", ["docker", "run"], timeout_s=1.0) is answer
