"""The keys of people stay in authorized_keys, whatever several of our changes do to it at once."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from actions.copy.ssh_channel import AUTHORIZE, key_comment
from hosts.ssh.atomic_write import TAKE

ADMINS = [f"ssh-ed25519 AAAAadmin{number} admin{number}" for number in range(40)]
ROUNDS = 200


def comment_of(purpose: str) -> str:
    """Return the comment of our key."""
    return key_comment("production/redis/1", purpose)


def line_of(purpose: str) -> str:
    """Return our line."""
    return f'restrict,command="true" ssh-ed25519 AAAA{purpose} {comment_of(purpose)}\n'


def started(home: Path, purpose: str, line: str, path: str = "") -> subprocess.Popen[bytes]:
    """Start the script as a host runs it."""
    environment = {"HOME": str(home), "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
    argv = ["sh", "-c", TAKE + AUTHORIZE, "authorize", str(len(line)), comment_of(purpose)]
    child = subprocess.Popen(
        argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert child.stdin
    child.stdin.write(line.encode())
    child.stdin.close()
    return child


def ended(child: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Return how a script ended and what it said."""
    assert child.stderr
    said = child.stderr.read().decode()
    child.stderr.close()
    return child.wait(), said


@pytest.fixture
def keys(tmp_path: Path, local_program: None) -> Path:
    """Return the file with forty keys of people."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    file = tmp_path / ".ssh" / "authorized_keys"
    file.write_text("\n".join(ADMINS))  # without an end of the last line, as some editors leave it
    file.chmod(0o640)
    return file


def test_two_at_once_lose_nobodys_key_and_none_of_ours(keys: Path, tmp_path: Path) -> None:
    """A backup and a drill open and close their keys on the backup's host at the same moment: 200 changes, all lines
    are there.
    """
    for number in range(ROUNDS // 4):
        lines = ("", "") if number % 2 else (line_of("backup"), line_of("drill"))
        for child in [
            started(tmp_path, purpose, line) for purpose, line in zip(("backup", "drill"), lines, strict=True)
        ]:
            assert ended(child) == (0, "")
        written = keys.read_text().splitlines()
        assert [line for line in written if "admin" in line] == ADMINS
        assert len(written) == len(ADMINS) + (0 if number % 2 else 2)
    assert stat.S_IMODE(keys.stat().st_mode) == 0o640
    assert sorted(path.name for path in keys.parent.iterdir()) == ["authorized_keys"]


def test_only_a_line_with_our_comment_at_its_end_is_ours(keys: Path, tmp_path: Path) -> None:
    """A person's line that names it elsewhere, or another attempt's, stays."""
    others = [
        f"ssh-ed25519 AAAA {comment_of('backup')} kept by ana",
        f"ssh-ed25519 AAAA x{comment_of('backup')}",
        "# café \udcff",
    ]
    keys.write_bytes("\n".join([*others, line_of("backup")]).encode("utf-8", "surrogateescape"))
    assert ended(started(tmp_path, "backup", "")) == (0, "")
    assert keys.read_bytes().decode("utf-8", "surrogateescape").splitlines() == others


def test_a_link_stays_a_link(keys: Path, tmp_path: Path) -> None:
    """Where authorized_keys leads elsewhere, the file there is changed."""
    elsewhere = tmp_path / "keys of root"
    keys.rename(elsewhere)
    keys.symlink_to(elsewhere)
    assert ended(started(tmp_path, "backup", line_of("backup"))) == (0, "")
    assert keys.is_symlink()
    assert elsewhere.read_text().splitlines() == [*ADMINS, line_of("backup").strip()]


def test_a_line_that_is_cut_off_changes_nothing(keys: Path, tmp_path: Path) -> None:
    """The operator's machine died while it sent the line."""
    argv = ["sh", "-c", TAKE + AUTHORIZE, "authorize", "500", comment_of("backup")]
    cut = subprocess.run(
        argv,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        input=b"restrict",
        capture_output=True,
        check=False,
    )
    assert cut.returncode != 0
    assert keys.read_text().splitlines() == ADMINS


def test_an_editor_that_saves_meanwhile_is_not_written_over(keys: Path, tmp_path: Path) -> None:
    """A person's editor knows no lock of ours: what it saved while we wrote is read again."""
    tools = tmp_path / "tools"
    tools.mkdir()
    sync = tools / "sync"  # the last program before the file is compared: here the editor saves, once
    sync.write_text(
        f'#!/bin/sh\n[ -e {tools}/done ] || {{ : > {tools}/done; echo "ssh-ed25519 AAAAlate late" >> {keys}; }}\n'
    )
    sync.chmod(0o755)
    keys.write_text("".join(f"{line}\n" for line in ADMINS))
    assert ended(started(tmp_path, "backup", line_of("backup"), str(tools))) == (0, "")
    assert keys.read_text().splitlines() == [*ADMINS, "ssh-ed25519 AAAAlate late", line_of("backup").strip()]


@pytest.mark.parametrize(
    ("setting", "code"),
    [("/etc/ssh/keys/%u", 78), (".ssh/authorized_keys .ssh/authorized_keys2", 0), ("%h/.ssh/authorized_keys", 0)],
)
def test_an_sshd_that_reads_its_keys_elsewhere_is_noticed_before(
    keys: Path, tmp_path: Path, setting: str, code: int
) -> None:
    """The key would be written where nobody looks, and the copy refused in the middle of the night."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sshd").write_text(f'#!/bin/sh\necho "port 22"; echo "authorizedkeysfile {setting}"\n')
    (tools / "sshd").chmod(0o755)
    status, said = ended(started(tmp_path, "backup", line_of("backup"), str(tools)))
    assert status == code
    assert bool(said) is bool(code)
    assert not code or setting in said
    assert len(keys.read_text().splitlines()) == len(ADMINS) + (not code)
