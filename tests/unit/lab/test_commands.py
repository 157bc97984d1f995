"""The lab's commands: what is up is left alone, what is not whole is made anew."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from commands import lab as command
from lab import __main__ as lab_main
from lab import docker_engine, hosts
from lab.settings import HOSTS, SERVICES, Choice, LabError


class FakeLab:
    """The machine under the lab's commands: notes what is done to it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.up: set[str] = set()
        self.golden = True
        self.done: list[str] = []
        self.known: dict[str, Any] = {}
        self.breaks_at = ""

    def do(self, action: str) -> None:
        """Note an action, or be interrupted at it."""
        if action == self.breaks_at:
            raise KeyboardInterrupt
        self.done.append(action)

    def start(self, _client: Any, plan: Any, _address: str) -> None:
        """Start a host."""
        self.do(f"start {plan.name}")
        self.up.add(plan.name)

    def remove(self, _client: Any, plan: Any) -> None:
        """Remove a host."""
        self.up.discard(plan.name)

    def make_identities(self, _addresses: Any, _images: Any, choice: Choice, raised_at: datetime | None) -> None:
        """Write what is known of the lab."""
        self.known = {
            "choice": choice.value,
            "raised_at": raised_at.isoformat() if raised_at else self.known.get("raised_at"),
        }


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeLab:
    """Put a fake machine under the commands."""
    lab = FakeLab(tmp_path)
    monkeypatch.setattr(lab_main, "RAISING", tmp_path / "raising")
    monkeypatch.setattr(lab_main, "known_lab", lambda: lab.known)
    monkeypatch.setattr(lab_main, "known_choice", lambda: Choice(lab.known.get("choice", "core")))
    monkeypatch.setattr(lab_main, "make_identities", lab.make_identities)
    monkeypatch.setattr(lab_main.images, "ensure_images", lambda _client, _say, _choice: {})
    for name, fake_one in {
        "other_checkout": lambda _client: None,
        "ensure_network": lambda _client: {plan.name: "192.0.2.1" for plan in HOSTS},
        "find": lambda _client, plan: plan.name in lab.up or None,
        "start": lab.start,
        "remove": lab.remove,
        "wait_for_host": lambda _plan: None,
    }.items():
        monkeypatch.setattr(hosts, name, fake_one)
    for name, fake_two in {
        "key_of": lambda _client, _choice: "key",
        "is_there": lambda _client, _key: lab.golden,
        "restore": lambda _client, _key: lab.do("restore"),
        "build": lambda *_: lab.do("build"),
        "stop_copying": lambda _client: None,
        "hand_out_secrets": lambda _key: None,
    }.items():
        monkeypatch.setattr(lab_main.pristine_disks, name, fake_two)
    monkeypatch.setattr(lab_main.services, "wait_for_services", lambda _choice: lab.do("services answer"))
    monkeypatch.setattr(lab_main.services, "start_sessions", lambda: lab.do("sessions"))
    return lab


def _raise(lab: FakeLab) -> list[str]:
    lab.done.clear()
    lab_main.up(None, lambda _: None)
    return [action for action in lab.done if not action.startswith("start")]


def test_a_second_up_changes_nothing(fake: FakeLab) -> None:
    """The first copies the kept disks and starts the sessions; the second only looks; both describe the same lab."""
    assert _raise(fake) == ["restore", "services answer", "sessions"]
    raised_at = fake.known["raised_at"]
    assert _raise(fake) == ["services answer"]
    assert fake.known["raised_at"] == raised_at


@pytest.mark.parametrize("moment", ["restore", "start wf001", "services answer", "sessions"])
def test_an_interrupted_up_is_begun_anew(fake: FakeLab, moment: str) -> None:
    """Wherever `up` was interrupted, the next one makes the hosts from the kept disks and ends well."""
    fake.breaks_at = moment
    with pytest.raises(KeyboardInterrupt):
        _raise(fake)
    first, fake.breaks_at = fake.known["raised_at"], ""
    assert _raise(fake) == ["restore", "services answer", "sessions"]
    assert fake.known["raised_at"] != first
    assert _raise(fake) == ["services answer"]


def test_a_missing_host_makes_a_new_lab(fake: FakeLab) -> None:
    """When one host is gone all are made anew, and the lab says that it is another: its journal is put away."""
    _raise(fake)
    before = fake.known["raised_at"]
    fake.up.discard("wf001")
    assert _raise(fake)[0] == "restore"
    assert fake.known["raised_at"] != before


def test_hosts_whose_identities_are_lost_are_made_anew(fake: FakeLab) -> None:
    """Containers that outlived this folder's state can't be reached any more."""
    _raise(fake)
    fake.known = {}
    assert _raise(fake)[0] == "restore"


def test_disks_are_built_when_none_are_kept(fake: FakeLab) -> None:
    """Without a whole set of kept disks they are built."""
    fake.golden = False
    assert _raise(fake)[0] == "build"


def test_the_lab_of_another_folder_is_not_touched(fake: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine has one lab: `up` names the folder whose lab is up, and `reset` replaces it."""
    monkeypatch.setattr(hosts, "other_checkout", lambda _client: "/elsewhere" if not fake.done else None)
    with pytest.raises(LabError, match=r"the lab of /elsewhere is up\. .* Try: python -m commands lab reset"):
        _raise(fake)
    assert fake.done == []


def test_the_other_folder_is_read_from_the_hosts() -> None:
    """The folder that a host's identity comes from is the one whose lab it is."""

    def client(source: str) -> Any:
        found = SimpleNamespace(attrs={"Mounts": [{"Destination": "/identity", "Source": source}]})
        return SimpleNamespace(containers=SimpleNamespace(get=lambda _name: found))

    own = hosts.identity_folder("wf005")
    assert hosts.other_checkout(client("/elsewhere/state/lab/identities/wf005")) == "/elsewhere"
    assert (
        hosts.other_checkout(
            SimpleNamespace(
                containers=SimpleNamespace(get=lambda name: client(str(own.with_name(name[-5:]))).containers.get(name))
            )
        )
        is None
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "required: command"),
        (["upp"], "'upp'"),
        (["break"], "required: fault"),
        (["break", "no-such"], "'no-such'"),
        (["up", "--now"], "--now"),
        (["heal", "disk-full"], "disk-full"),
    ],
)
def test_wrong_words_are_one_message(capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
    """Words that the lab does not know end with 4 and one line that has all that it knows; no engine is asked."""
    assert lab_main.main(words) == 4
    output = capsys.readouterr().err
    assert output.startswith("lab: ")
    assert output.count("\n") == 1
    assert expected in output
    assert (
        "up|reset|images [--services core|all] | keep|back NAME | names HOST | down [--all] | status | break "
        "FAULT | heal"
    ) in output
    assert "docker-stopped" in output


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (LabError("wf001: no"), 1, "lab: wf001: no\n"),
        (APIError("conflict", explanation="in use"), 1, "refused"),
        (KeyboardInterrupt(), 130, "begins anew"),
    ],
)
def test_what_goes_wrong_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, expected: str
) -> None:
    """A refusal, an engine that fails and an interrupted run end with a message each, never with a traceback."""

    def refuse(_choice: Choice) -> None:
        raise error

    monkeypatch.setattr(lab_main, "connect", lambda: None)
    monkeypatch.setattr(lab_main, "alone", nullcontext)
    monkeypatch.setattr(lab_main.services, "wait_for_services", refuse)
    assert lab_main.main(["up"]) == code
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("command", [["break", "disk-full"], ["heal"]])
def test_faults_need_a_lab(
    fake: FakeLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """Without hosts there is nothing to break or heal: that is said, with what to do."""
    monkeypatch.setattr(lab_main, "connect", lambda: None)
    monkeypatch.setattr(lab_main, "alone", nullcontext)
    assert lab_main.main(command) == 1
    assert (
        capsys.readouterr().err
        == "lab: wf005, wf001, wf002: not there. Expected: all 3 hosts. Try: python -m commands lab up\n"
    )


def test_only_one_command_changes_the_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A second changing command is refused while the first runs, and free after it."""
    monkeypatch.setattr(docker_engine, "KEPT", tmp_path)
    with (
        docker_engine.alone(),
        pytest.raises(LabError, match="another command of the lab is running"),
        docker_engine.alone(),
    ):
        pass
    with docker_engine.alone():
        pass


def test_asking_for_help_puts_no_journal_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`lab down --help` only explains: environment and journal stay."""
    monkeypatch.chdir(tmp_path)
    kept = [tmp_path / command.ENVIRONMENT, tmp_path / "state" / "lab.sqlite"]
    for file in kept:
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0))
    for words in (["down", "--help"], ["reset", "-h"], ["up", "--help"]):
        assert command.main(words) == 0
    assert all(file.exists() for file in kept)
    monkeypatch.setattr(command, "pin_lab", lambda: None)
    assert command.main(["down"]) == 0
    assert not any(file.exists() for file in kept)


def test_a_lab_keeps_its_choice_of_services(fake: FakeLab) -> None:
    """What was chosen once holds for later commands; another choice needs new hosts, and the message says how."""
    lab_main.up(None, lambda _: None, Choice.ALL)
    assert fake.known["choice"] == "all"
    _raise(fake)
    assert fake.known["choice"] == "all"
    with pytest.raises(
        LabError, match=r"is up with all services\. Expected: core\. Try: python -m commands lab reset --services core"
    ):
        lab_main.up(None, lambda _: None, Choice.CORE)
    lab_main.reset(None, lambda _: None, Choice.CORE)
    assert fake.known["choice"] == "core"


def test_a_phase_looks_at_what_the_lab_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names the services of the choice, and nothing that only the others need."""
    monkeypatch.setattr(command, "make_approvers", lambda _folder: {})
    core = command.environment_of(
        {"hosts": {}, "services": ["postgres", "prometheus", "redis", "orders"], "simulated": []}
    )
    everything = command.environment_of({"hosts": {}, "services": list(SERVICES), "simulated": ["waha"]})
    assert (set(core["extra"]["services"]), core["overrides"]) == ({"orders"}, {})
    assert {link["from"] for link in core["extra"]["links"]} == {"orders", "prometheus"}
    assert set(everything["extra"]["services"]) == {"orders", "parcels"}
    assert "temporal" in everything["overrides"]
