"""What comes over standard input is stored whole or not at all: it also ends when the operator's machine dies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from actions.container_spec.saved_spec import SAVE
from actions.copy.ssh_channel import AUTHORIZE
from hosts.coordination.lock import BREAK, DIRECTORY, ENTER_AGAIN, TAKE
from hosts.ssh.atomic_write import taking

CONTENT = b'{"move": "lab/redis/1"}\n'
CUTS = [0, 1, len(CONTENT) - 1]


def ran(argv: list[str], arriving: bytes, home: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a script of a host here, with as much of its standard input as arrived."""
    return subprocess.run(
        argv, input=arriving, capture_output=True, check=False, timeout=20, env={**os.environ, "HOME": str(home)}
    )


def test_what_arrives_whole_is_stored(tmp_path: Path, local_program: None) -> None:
    """With its mode, below its directory."""
    file = tmp_path / "specifications" / "redis.json"
    ended = ran(taking(SAVE, "save", CONTENT, str(file.parent), str(file)), CONTENT, tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert file.read_bytes() == CONTENT
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("before", [b"", b"what was there"])
def test_what_is_cut_off_leaves_what_was_there(tmp_path: Path, local_program: None, cut: int, before: bytes) -> None:
    """No file, no empty file and no half of one; the script says so."""
    file = tmp_path / "redis.json"
    if before:
        file.write_bytes(before)
    ended = ran(taking(SAVE, "save", CONTENT, str(tmp_path), str(file)), CONTENT[:cut], tmp_path)

    assert ended.returncode == 75
    assert b"did not arrive whole" in ended.stderr
    assert (file.read_bytes() if file.exists() else b"") == before
    assert not (tmp_path / "redis.json.part").exists()


@pytest.mark.parametrize("cut", CUTS)
def test_keys_of_others_outlive_a_line_that_is_cut_off(tmp_path: Path, local_program: None, cut: int) -> None:
    """authorized_keys is the old one; the next line does not run into half of the first."""
    keys = tmp_path / ".ssh" / "authorized_keys"
    keys.parent.mkdir()
    keys.write_text("ssh-ed25519 AAAA somebody\n", encoding="utf-8")
    line = b"restrict ssh-ed25519 BBBB longshore:copy:lab/redis/1:key\n"
    argv = taking(AUTHORIZE, "authorize", line, "longshore:copy:lab/redis/1:key")

    assert ran(argv, line[:cut], tmp_path).returncode == 75
    assert keys.read_text(encoding="utf-8") == "ssh-ed25519 AAAA somebody\n"
    assert ran(argv, line, tmp_path).returncode == 0
    assert keys.read_bytes() == b"ssh-ed25519 AAAA somebody\n" + line
    assert ran(taking(AUTHORIZE, "authorize", b"", "longshore:copy:lab/redis/1:key"), b"", tmp_path).returncode == 0
    assert keys.read_text(encoding="utf-8") == "ssh-ed25519 AAAA somebody\n"
    assert [path.name for path in keys.parent.iterdir()] == ["authorized_keys"]


def locking(script: str, place: Path, *arguments: str) -> list[str]:
    """Return argv of a lock's script with its directory elsewhere."""
    return [
        "sh",
        "-c",
        script.replace(DIRECTORY, str(place / "lock")).replace(str(Path(DIRECTORY).parent), str(place)),
        "take",
        *arguments,
    ]


@pytest.mark.parametrize("cut", CUTS)
def test_a_lock_without_a_whole_holder_is_no_lock(tmp_path: Path, local_program: None, cut: int) -> None:
    """Who died while taking it holds nothing: the next one takes it."""
    length = str(len(CONTENT))
    died = ran(locking(TAKE, tmp_path, "t1", "", length), CONTENT[:cut], tmp_path)
    assert b"taken" not in died.stdout
    assert not (tmp_path / "lock").exists()

    assert ran(locking(TAKE, tmp_path, "t2", "", length), CONTENT, tmp_path).stdout == b"taken\n"
    assert (tmp_path / "lock" / "holder").read_bytes() == CONTENT
    assert ran(locking(TAKE, tmp_path, "t3", "", length), CONTENT, tmp_path).stdout == CONTENT, "it says who holds it"


@pytest.mark.parametrize("cut", CUTS)
def test_a_holder_that_is_cut_off_leaves_the_old_one(tmp_path: Path, local_program: None, cut: int) -> None:
    """Reusing one's own lock, and breaking another's: what can't be read would lock everybody out."""
    length = str(len(CONTENT))
    ran(locking(TAKE, tmp_path, "t1", "", length), CONTENT, tmp_path)
    again = ran(locking(ENTER_AGAIN, tmp_path, "t1", "t1", length), CONTENT[:cut], tmp_path)
    assert b"taken" not in again.stdout
    assert (tmp_path / "lock" / "holder").read_bytes() == CONTENT

    broken = ran(locking(BREAK, tmp_path, "t2", "t1", length), CONTENT[:cut], tmp_path)
    assert b"taken" not in broken.stdout
    assert not (tmp_path / "lock").exists()
    assert ran(locking(TAKE, tmp_path, "t3", "", length), CONTENT, tmp_path).stdout == b"taken\n"
