"""The key that is recorded for a host is the one that its connection used."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from engine.contracts.container import CommandResult
from engine.errors import DeadlineError, InputError, NotObservedError, RefusedError, UnreachableError
from hosts.ssh import identity
from hosts.ssh.identity import only_key, parse_known_keys, read_identity, read_ssh_settings

ED: Final = "ssh-ed25519 AAAAed"
OLD: Final = "ssh-ed25519 AAAAold"
RSA: Final = "ssh-rsa AAAArsa"
MACHINE: Final = "0123456789abcdef0123456789abcdef"
SETTINGS: Final = (
    "hostname 192.0.2.11\nport 22\nuserknownhostsfile ~/.ssh/known_hosts\nglobalknownhostsfile "
    "/etc/ssh/ssh_known_hosts\n"
)
ANSWER: Final = f"{MACHINE}\nENGINE\nreal\n10.0.0.7\n"


class Client:
    """OpenSSH's programs and a host that has one key."""

    def __init__(self, known: str, key: str, answer: str = ANSWER, settings: str = SETTINGS) -> None:
        """Take what known_hosts has, the host's key and what it answers."""
        self.known, self.key, self.answer, self.settings = known, key, answer, settings
        self.tried: list[str] = []

    def run(self, argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        """Answer `ssh -G` and `ssh-keygen -F` (the second file is empty)."""
        if argv[0] == "ssh":
            return subprocess.CompletedProcess(argv, 0, self.settings, "")
        return subprocess.CompletedProcess(argv, 0, self.known if argv[-1].endswith("/known_hosts") else "", "")

    def host(self, name: str, address: str, folder: Path, options: tuple[str, ...]) -> Any:
        """Return a host that refuses any key but its own."""
        client, file = self, next(word.partition("=")[2] for word in options if word.startswith("UserKnownHostsFile="))

        class Host:
            def run(self, argv: list[str], *, timeout_s: float) -> CommandResult:
                client.tried.append(Path(file).read_text(encoding="utf-8"))
                if client.key not in client.tried[-1]:
                    raise RefusedError(f"{name}: another host key")
                return CommandResult(tuple(argv), 0, client.answer.encode(), b"", 0.0)

            def close(self) -> None:
                pass

        return Host()


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return how a test puts a client in place."""

    def put(client: Client) -> Client:
        monkeypatch.setattr(identity.subprocess, "run", client.run)
        monkeypatch.setattr(identity, "SshHost", client.host)
        return client

    return put


def known(*keys: str) -> str:
    """Return what `ssh-keygen -F` prints."""
    return "".join(
        f"# Host 192.0.2.11 found: line {number}\n192.0.2.11 {key}\n" for number, key in enumerate(keys, start=1)
    )


@pytest.mark.parametrize("key", [ED, OLD, RSA])
def test_the_recorded_key_is_the_one_that_the_host_has(use: Any, key: str) -> None:
    """Known_hosts may hold a key of an older machine, or of a kind that the host no longer offers: only a connection
    shows it.
    """
    client = use(Client(known(RSA, OLD, ED), key))

    identity = read_identity("wf001", None)

    assert (identity.ssh_host_key, identity.address, identity.machine_id, identity.engine_id) == (
        key,
        "192.0.2.11",
        MACHINE,
        "ENGINE",
    )
    assert client.tried[-1] == f"wf001 {key}\n"


def test_ed25519_is_tried_first(use: Any) -> None:
    """Whatever the order in known_hosts."""
    client = use(Client(known(RSA, ED), ED))

    read_identity("wf001", None)

    assert client.tried == [f"wf001 {ED}\n"]


def test_a_host_with_none_of_the_known_keys_is_refused(use: Any) -> None:
    """It may be another machine: nothing is recorded."""
    use(Client(known(RSA, ED), "ssh-ed25519 AAAAstranger"))

    with pytest.raises(RefusedError, match="wf001: none of the 2 host keys that known_hosts has for it"):
        read_identity("wf001", None)


def test_a_host_that_nobody_met_is_not_trusted(use: Any) -> None:
    """The message says how to meet it."""
    use(Client("@cert-authority * ssh-ed25519 AAAAca\n", ED))

    with pytest.raises(NotObservedError, match=r"no host key of 192.0.2.11 in known_hosts.*ssh wf001 true"):
        read_identity("wf001", None)


def test_without_an_engine_nothing_is_recorded(use: Any) -> None:
    """Half an identity is none."""
    use(Client(known(ED), ED, answer=f"{MACHINE}\n-\nreal\n"))

    with pytest.raises(UnreachableError, match="wf001: its Docker Engine does not answer"):
        read_identity("wf001", None)


def test_a_name_is_recorded_by_the_address_that_the_host_reports(use: Any) -> None:
    """Other hosts may not know the operator's name for it."""
    use(Client(known(ED), ED, settings=SETTINGS.replace("192.0.2.11", "wf001.example.net")))

    assert read_identity("wf001", None).address == "10.0.0.7"


def test_marked_lines_are_no_keys() -> None:
    """A revoked key is the last one to pin."""
    assert parse_known_keys(
        f"# Host x found: line 1\n@revoked x {OLD}\n@cert-authority x {RSA}\n|1|salt|hash {ED} comment\n\n"
    ) == [ED]


def test_an_rsa_key_is_asked_for_by_its_modern_signatures(tmp_path: Path) -> None:
    """`ssh-rsa` is the kind of the key; as a signature it is SHA-1, which OpenSSH no longer offers."""
    assert "HostKeyAlgorithms=rsa-sha2-512,rsa-sha2-256" in only_key("wf001", RSA, tmp_path / "k")
    assert "HostKeyAlgorithms=ssh-ed25519" in only_key("wf001", ED, tmp_path / "k")


@pytest.mark.parametrize(
    ("outcome", "kind", "words"),
    [
        (
            subprocess.CompletedProcess([], 255, "", "x: line 3: Bad configuration option: prot\n"),
            InputError,
            "Bad configuration option: prot",
        ),
        (subprocess.TimeoutExpired("ssh", 20), DeadlineError, "ssh -F x -G wf001 did not end within 20 s"),
        (FileNotFoundError("ssh"), InputError, "no program ssh"),
    ],
)
def test_ssh_that_refuses_its_own_configuration_is_reported(
    monkeypatch: pytest.MonkeyPatch, outcome: Any, kind: type[Exception], words: str
) -> None:
    """A typing mistake in the operator's ssh_config is wrong input, not a crash."""

    def run(*_: Any, **__: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(identity.subprocess, "run", run)

    with pytest.raises(kind, match=re.escape(words)):
        read_ssh_settings("wf001", ("-F", "x"))
