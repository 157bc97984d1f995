"""Own checks of a project: ordinary testinfra tests over the run's own connection become checks of a phase."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from phases.context.own_checks import own_checks

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own-checks.md"
SHOWN = re.compile(r"`(site/[a-z]+/test_[a-z_]+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)

CONFTEST = """
import pathlib
from types import SimpleNamespace
import pytest
from engine.contracts.container import CommandResult
from engine.errors import UnreachableError
from engine.run.plugin import BOOK
from phases.session.own_checks import OwnChecks
pytest_plugins = ["engine.run.plugin"]

ANSWERS = {"sysctl -n vm.swappiness": {"old": "60", "new": "10"}, "cat /etc/hostname": {"old": "old", "new": "new"}}

class Machine:
    def __init__(self, name):
        self.name = name
    def run(self, argv, *, stdin=b"", timeout_s):
        assert argv[:2] == ["sh", "-c"] and timeout_s == 60
        print(f"ASKED {self.name} {argv[2]}")
        if self.name == "silent":
            raise UnreachableError("silent: ssh failed: no route to host")
        text = ANSWERS.get(argv[2], {}).get(self.name)
        return CommandResult(tuple(argv), 0 if text else 1, (text or "").encode(), b"", 0.0)

class Book:
    subjects = ("redis",)
    apply = False
    def add(self, row):
        judged = f"{row.severity.value} {row.effect.value} {row.judgement.verdict.value} {row.judgement.text}"
        print(f"ROW {row.phase} {row.key} {row.subject} {judged}")
        print(f"SENTENCE {row.key} {row.sentence}")
    def redact(self, text):
        return text
    def needs_operator(self):
        return False
    def begin(self, subject, sentence, number, total):
        pass
    def close(self, exit_code, *, interrupted):
        print(f"CLOSED {exit_code.value}")

def pytest_configure(config):
    move = SimpleNamespace(service="redis", source="old", target="new", wave="critical")
    scope = SimpleNamespace(hosts=HOSTS, moves=(move,), services={"redis": None, "n8n": None})
    entry = SimpleNamespace(container="redis-1")
    fleet = {name: Machine(name) for name in ("old", "new", "silent")}
    context = SimpleNamespace(scope=scope, fleet=fleet, where=lambda: {"redis": "old"}, entry=lambda name: entry)
    config.stash[BOOK] = Book()
    folder = pathlib.Path(str(config.rootpath)) / "site" / "preflight"
    config.pluginmanager.register(OwnChecks(folder, "preflight", context), "own")
"""

TARGETS = '''
import pytest

@pytest.mark.target_hosts
def test_swappiness_is_low(host):
    """Targets swap late.

    A second line is for readers of the file.
    """
    assert host.check_output("sysctl -n vm.swappiness") == "10"
'''


def _run(pytester: pytest.Pytester, body: str, hosts: tuple[str, ...] = ("old", "new")) -> pytest.RunResult:
    names = (
        "step(key)",
        "severity(s)",
        "preflight",
        "migrate",
        "read_only",
        "changes_state",
        "service(n)",
        "wave(n)",
        "warning",
        "target_hosts",
        "services(n)",
    )
    pytester.makeini(
        f"[pytest]\npythonpath = {ROOT}\naddopts = --strict-markers\nmarkers =\n"
        + "".join(f"  {name}: x\n" for name in names)
    )
    pytester.makeconftest(CONFTEST.replace("HOSTS", repr(hosts)))
    file = pytester.path / "site" / "preflight" / "test_ours.py"
    file.parent.mkdir(parents=True)
    file.write_text(body, encoding="utf-8")
    return pytester.runpytest_inprocess("-s", "-p", "no:cacheprovider", "--import-mode=importlib", str(file.parent))


def _rows(result: pytest.RunResult) -> list[str]:
    return [line.split("ROW ")[1] for line in result.outlines if "ROW " in line]


def test_a_check_runs_over_the_runs_connection_and_needs_no_marks(pytester: pytest.Pytester) -> None:
    """Its key is its name, its sentence its docstring's first line, its phase its folder; it only reads, and counts as
    a blocker.
    """
    result = _run(pytester, TARGETS)

    assert _rows(result) == [
        "preflight site-swappiness-is-low new blocker read_only PASSED holds on new: 1 commands asked"
    ]
    assert "SENTENCE site-swappiness-is-low Targets swap late." in result.outlines
    assert [line.split("ASKED ")[1] for line in result.outlines if "ASKED" in line] == ["new sysctl -n vm.swappiness"]
    assert result.ret == 0


@pytest.mark.parametrize(("mark", "severity", "status"), [("", "blocker", 1), ("@pytest.mark.warning", "warning", 0)])
def test_a_failed_check_fails_the_run_unless_it_is_a_warning(
    pytester: pytest.Pytester, mark: str, severity: str, status: int
) -> None:
    """On every host of the run; the row says what was compared."""
    result = _run(pytester, TARGETS.replace("@pytest.mark.target_hosts", mark))

    assert [row.split()[2:6] for row in _rows(result)] == [
        ["old", severity, "read_only", "FAILED"],
        ["new", severity, "read_only", "PASSED"],
    ]
    assert "old: assert '60' == '10'" in _rows(result)[0]
    assert result.ret == status


def test_a_host_without_an_answer_is_unknown(pytester: pytest.Pytester) -> None:
    """It could not be checked, so it has not failed, and the run is incomplete."""
    result = _run(pytester, TARGETS.replace("@pytest.mark.target_hosts", ""), hosts=("silent",))

    assert "UNKNOWN silent: ssh failed: no route to host" in _rows(result)[0]
    assert result.ret == 2


def test_a_check_of_a_service_asks_the_host_where_it_is(pytester: pytest.Pytester) -> None:
    """The row is about the service; the test knows its container and host."""
    result = _run(
        pytester,
        '''
def test_name(host, service):
    """The host says its name."""
    assert (service.name, service.host, service.container) == ("redis", "old", "redis-1")
    assert host.check_output("cat /etc/hostname") == service.host
''',
    )

    assert _rows(result) == ["preflight site-name redis blocker read_only PASSED holds on old: 1 commands asked"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", "UNKNOWN this check asked no host anything, so it measured nothing"),
        ("raise KeyError('x')", "UNKNOWN the check itself failed (KeyError): 'x'"),
        ("pytest.skip('later')", "UNKNOWN skipped: later"),
        ("host.run_expect([0], 'false')", "FAILED old: Unexpected exit code 1"),
        (
            "host.backend.run_local('true')",
            "UNKNOWN the check itself failed (RuntimeError): run_local: true: runs on this machine",
        ),
    ],
)
def test_every_end_has_its_verdict(pytester: pytest.Pytester, body: str, expected: str) -> None:
    """A check that measured nothing, broke or was skipped has not passed, and it is not called a fault of the host."""
    result = _run(pytester, f'import pytest\ndef test_one(host):\n    """It holds."""\n    {body}\n', hosts=("old",))

    assert expected in _rows(result)[0]
    assert result.ret == (1 if expected.startswith("FAILED") else 2)


def test_parameters_of_a_check_belong_to_its_key(pytester: pytest.Pytester) -> None:
    """Two rows of one host never have one key: a waiver names one of them."""
    body = '''
import pytest
@pytest.mark.parametrize("path", ["/etc/hostname", "/etc/nothing"])
def test_file(host, path):
    """The file has content."""
    assert host.check_output(f"cat {path}")
'''
    rows = _rows(_run(pytester, body, hosts=("old",)))

    assert [(row.split()[1], row.split()[5]) for row in rows] == [
        ("site-file-etc-hostname", "PASSED"),
        ("site-file-etc-nothing", "FAILED"),
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def test_one(hots):\n    '''It holds.'''\n", "*test_one: no fixture hots. Expected: host, service, judge*"),
        ("def test_one(host):\n    pass\n", "*test_one: no docstring. Expected: one*"),
        ("import nothing_of_the_kind\n", "*test_ours.py*nothing_of_the_kind*Expected: a file that can be imported"),
        (
            "import pytest\n@pytest.mark.services('redsi')\ndef test_one(host, service):\n    '''It holds.'''\n",
            '*test_one: services("redsi"): no such service here. Expected: n8n, redis',
        ),
        (
            "import pytest\n@pytest.mark.changes_state\ndef test_one(host):\n    '''It holds.'''\n",
            "*test_one: marked changes_state. Expected: none of these*",
        ),
    ],
)
def test_what_is_no_check_is_refused_before_any_host_is_asked(
    pytester: pytest.Pytester, body: str, message: str
) -> None:
    """With one message and exit status 4."""
    result = _run(pytester, body)

    result.stderr.fnmatch_lines([message, "See docs/own-checks.md"])
    assert result.ret == 4
    assert "ASKED" not in result.stdout.str()


def test_a_check_of_one_service_leaves_the_others_alone(pytester: pytest.Pytester) -> None:
    """It has no row of a service that it does not name."""
    body = '''
import pytest
@pytest.mark.services("n8n")
def test_name(host, service):
    """The host says its name."""
    assert host.check_output("cat /etc/hostname")
def test_host(host):
    """The host says its name."""
    assert host.check_output("cat /etc/hostname")
'''
    assert [row.split()[1] for row in _rows(_run(pytester, body, hosts=("old",)))] == ["site-host"]


PROGRAMS = {
    "sysctl": "echo 1",
    "docker": 'echo "$VOLUME"',
    "ss": 'echo "State Recv-Q Send-Q Local Address:Port Peer Address:Port"; echo "LISTEN 0 128 0.0.0.0:6379 0.0.0.0:*"',
}


def test_the_guides_examples_are_three() -> None:
    """Each has a file of its own, and one is of validate."""
    assert [file for file, _ in SHOWN.findall(PAGE.read_text(encoding="utf-8"))] == [
        "site/preflight/test_memory.py",
        "site/preflight/test_data.py",
        "site/validate/test_ports.py",
    ]


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_guides_examples_work(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, number: int, good: bool
) -> None:
    """As they are written there, with testinfra's own modules: they pass on a host that is right and fail on one that
    is not.
    """
    body = SHOWN.findall(PAGE.read_text(encoding="utf-8"))[number][1]
    programs, volume = pytester.mkdir("programs"), pytester.mkdir("volume")
    for name, script in PROGRAMS.items():
        answer = script if good else script.replace("echo 1", "echo 0").replace("6379", "22")
        (programs / name).write_text(f"#!/bin/sh\n{answer}\n")
        (programs / name).chmod(0o755)
    (volume / "dump.rdb").write_bytes(b"REDIS" if good else b"")
    monkeypatch.setenv("PATH", f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin")
    monkeypatch.setenv("VOLUME", str(volume))
    local = """import subprocess
        ran = subprocess.run(argv, capture_output=True)
        return CommandResult(tuple(argv), ran.returncode, ran.stdout, ran.stderr, 0.0)
"""
    monkeypatch.setattr(
        sys.modules[__name__], "CONFTEST", CONFTEST.replace("text = ANSWERS", f"{local}        text = ANSWERS")
    )

    result = _run(pytester, body, hosts=("new",))

    (check,) = own_checks(pytester.path / "site", "preflight")
    assert [(row.split()[1], row.split()[5]) for row in _rows(result)] == [(check.key, "PASSED" if good else "FAILED")]
