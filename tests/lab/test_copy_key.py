"""What the key of a copy can do on the target, tried by a source that is somebody else's: write below its places, and
nothing else.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

import pytest

from actions.common.route import Route
from actions.copy.locations import DataPlace
from actions.copy.ssh_channel import Peer, shell_line
from actions.copy.volumes import CopyVolumes
from engine.config.environment import load_environment
from engine.constants import TOOLBOX_IMAGE
from engine.contracts.action import Note
from hosts.fleet import Fleet, open_hosts
from tests.lab import at_hand
from tests.lab.at_hand import ROOT, SOURCE

TARGET: Final = "wf002"
VOLUME: Final = "closed_data"
CLOSED_ETC: Final = "/srv/closed-etc"
LABEL: Final = "lab/closed/1"
EVERY_KIND: Final = (
    "import os, socket; os.chdir('/data'); open('file', 'w').write('kept'); os.mkfifo('pipe'); os.mknod('device', "
    "0o20600, os.makedev(1, 3)); "
    "socket.socket(socket.AF_UNIX).bind('socket'); os.symlink('/tmp', 'out'); os.symlink('file', 'within'); "
    "os.chown('file', 999, 998); "
    "os.setxattr('file', 'user.longshore', b'x'); os.chmod('file', 0o4750); "
)
OWN_ATTRIBUTE: Final = "os.setxattr('file', 'trusted.longshore', b'x')"
ALLOWED: Final = {0: "CHOWN", 1: "DAC_OVERRIDE", 3: "FOWNER", 4: "FSETID", 27: "MKNOD", 31: "SETFCAP"}

pytestmark = [pytest.mark.lab, pytest.mark.full, pytest.mark.usefixtures("raised_lab")]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Open both hosts."""
    environment = load_environment(ROOT / "environments" / "lab.yaml")
    with open_hosts((SOURCE, TARGET), environment, ROOT / "state/lab/ssh_config") as opened:
        yield opened


@pytest.fixture(scope="module", params=["", OWN_ATTRIBUTE], ids=["plain", "with-trusted-attributes"])
def copying(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[CopyVolumes]:
    """Yield an open copy of a volume with entries of every kind; everything is removed afterwards."""
    identity = load_environment(ROOT / "environments" / "lab.yaml").hosts[TARGET]
    at_hand.on_host(SOURCE, "sh", "-c", f"mkdir -p {CLOSED_ETC}; echo kept > {CLOSED_ETC}/one.conf")
    at_hand.on_host(TARGET, "sh", "-c", f"mkdir -p {CLOSED_ETC}; echo theirs > {CLOSED_ETC}/other.conf")
    make = [
        "docker",
        "run",
        "--rm",
        "--cap-add",
        "SYS_ADMIN",
        "-v",
        f"{VOLUME}:/data",
        TOOLBOX_IMAGE,
        "python3",
        "-c",
        EVERY_KIND + request.param,
    ]
    at_hand.on_host(SOURCE, *make)
    route = Route(fleet, "closed", "closed", SOURCE, TARGET, LABEL)
    made = CopyVolumes(
        route,
        (DataPlace("bind", f"{CLOSED_ETC}/one.conf"), DataPlace("volume", VOLUME)),
        Peer(TARGET, identity.address, identity.ssh_host_key),
    )
    try:
        made.ends.open()
        yield made
    finally:
        made.undo({})
        at_hand.on_host(SOURCE, "docker", "volume", "rm", VOLUME)
        at_hand.on_host(SOURCE, "rm", "-rf", CLOSED_ETC)
        assert at_hand.on_host(TARGET, "ls", "-A", CLOSED_ETC) == "other.conf\n"
        at_hand.on_host(TARGET, "rm", "-rf", CLOSED_ETC)


def push(copying: CopyVolumes, to: str, *words: str) -> int:
    """Push a file of the source's own with the copy's key; return how rsync ended."""
    channel = copying.ends.channel
    line = f"echo evil > /tmp/evil; rsync -a {shlex.join(words)} -e {shlex.quote(shell_line(channel.ssh()))} /tmp/evil "
    line += f"{shlex.quote(f'{channel.destination()}:{to}')} 2>&1; echo ended $?"
    return int(copying.ends.inside(SOURCE, ["sh", "-c", line]).text.split()[-1])


def asked(copying: CopyVolumes, command: str) -> str:
    """Return what a command that the source asks for says, with how it ended."""
    channel = copying.ends.channel
    line = f"{shell_line([*channel.ssh(), channel.destination(), command])} </dev/null 2>&1; echo ended $?"
    return copying.ends.inside(SOURCE, ["sh", "-c", line]).text


def in_the_end(copying: CopyVolumes, *argv: str) -> str:
    """Run argv in the target's end, as the engine does."""
    return at_hand.on_host(TARGET, "docker", "exec", copying.ends.name, *argv)


@pytest.mark.parametrize(
    "to",
    [
        "/usr/bin/",
        "/tmp/",
        "/etc/evil",
        "../../tmp/",
        "../etc/",
        "/data/1/../../tmp/",
        "/data/1/out/",
        "/data/evil",
        "/data/0/other.conf",
        "/data/0/new.conf",
        "/data/0/",
        "/dev/shm/",
        "/proc/1/root/tmp/",
        "/",
    ],
)
def test_a_push_to_another_path_fails(copying: CopyVolumes, to: str) -> None:
    """Absolute, by .., through a link that was sent before: nothing lands outside of the places, in the end or on the
    host.
    """
    copying.copying("copy").copy(live=False)

    assert push(copying, to) != 0

    assert at_hand.on_host(TARGET, "cat", f"{CLOSED_ETC}/other.conf") == "theirs\n"
    look = f"ls -A {CLOSED_ETC} /usr/bin /tmp /etc /dev /dev/shm /data / 2>/dev/null | grep -xE 'evil|new.conf' || true"
    assert in_the_end(copying, "sh", "-c", look) == ""
    assert at_hand.on_host(TARGET, "sh", "-c", look) == ""


def test_its_own_programs_can_not_be_replaced(copying: CopyVolumes) -> None:
    """The program that the forced command runs, the one that proves, and what a proof remembers stay as they are."""
    before = in_the_end(
        copying, "sha256sum", "/usr/bin/rrsync", "/usr/bin/rsync", "/usr/bin/python3", "/usr/bin/setpriv"
    )

    for to in ("/usr/bin/rrsync", "/usr/bin/rsync", "/tmp/read-1", "/tmp/until", "/tmp/hash"):
        for words in ((), ("--inplace",), ("--temp-dir=/data/1",)):
            assert push(copying, to, *words) != 0

    assert (
        in_the_end(copying, "sha256sum", "/usr/bin/rrsync", "/usr/bin/rsync", "/usr/bin/python3", "/usr/bin/setpriv")
        == before
    )


@pytest.mark.parametrize(
    "command",
    [
        "id",
        "sh -c id",
        "rsync --server --sender -logDtpre.iLsfxCIvu . /data/1/",
        "rsync --server --daemon .",
        "docker ps",
    ],
)
def test_no_other_command_runs(copying: CopyVolumes, command: str) -> None:
    """Neither a shell, nor reading, nor a daemon."""
    said = asked(copying, command)

    assert "uid=" not in said
    assert not said.endswith("ended 0\n")


def test_what_receives_has_no_right_that_a_copy_does_not_need(copying: CopyVolumes) -> None:
    """Its capabilities are those of the list, for ever; what was sent can't be run, and a device that was sent can't be
    opened.
    """
    channel = copying.ends.channel
    slow = (
        "head -c 20000000 /dev/urandom > /tmp/large; rsync --bwlimit=500 -e "
        f"{shlex.quote(shell_line(channel.ssh()))} /tmp/large "
    )
    slow += f"{channel.destination()}:/data/1/"
    copying.copying("copy").copy(live=False)
    at_hand.on_host(SOURCE, "docker", "exec", "--detach", copying.ends.name, "sh", "-c", slow)
    find = 'for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = rsync ] && echo ${p#/proc/} && break; done || true'
    at_hand.wait_for("rsync on the target", lambda: in_the_end(copying, "sh", "-c", find).strip() != "")
    pid = in_the_end(copying, "sh", "-c", find).strip()

    status = dict(
        line.split(":\t", 1) for line in in_the_end(copying, "cat", f"/proc/{pid}/status").splitlines() if ":\t" in line
    )
    mounts = in_the_end(copying, "cat", f"/proc/{pid}/mountinfo").splitlines()
    with suppress(RuntimeError):
        in_the_end(copying, "pkill", "-9", "rsync")

    rights = {bit for bit in range(64) if int(status["CapEff"], 16) >> bit & 1}
    more = {21} if copying.ends._needs_own_attributes() else set()
    assert rights == set(ALLOWED) | more
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16)
    assert status["NoNewPrivs"] == "1"
    assert mounts
    for line in mounts:
        at, options = line.split()[4:6]
        assert (
            {"nodev", "nosuid", "noexec"} <= set(options.split(","))
            if at.startswith("/data/")
            else options.startswith("ro")
        ), line


def test_entries_of_every_kind_travel_all_the_same(copying: CopyVolumes) -> None:
    """Pipes, sockets, devices, owners, set-user-id and attributes, also those that only SYS_ADMIN may write."""
    note: Note = {}
    copying.do(note)

    one_file, drift = copying.proving().compare().values()

    assert one_file.differences == drift.differences == ()
    assert one_file.compared == 1
    assert drift.compared >= 7
    at_hand.on_host(TARGET, "sh", "-c", f"echo other > {CLOSED_ETC}/one.conf")
    assert copying.proving().compare()[0].count == 1
    copying.copying("repair").repair(0, [b"."])
    assert copying.proving().compare()[0].count == 0
    copying.proving().flush()


def test_an_older_key_is_renewed_and_still_lets_only_the_copy_in(copying: CopyVolumes) -> None:
    """A second start gives the key and the ends their whole life again; the copy continues with the same key."""
    keys = at_hand.on_host(TARGET, "cat", "/root/.ssh/authorized_keys")
    at_hand.on_host(
        TARGET, "sh", "-c", 'sed -i \'s/expiry-time="[0-9]*"/expiry-time="20200101000000"/\' /root/.ssh/authorized_keys'
    )
    assert push(copying, "/data/1/") != 0

    again = replace(copying)
    assert again.ends is not copying.ends
    assert again.ends.open(), "both ends were there"

    now = at_hand.on_host(TARGET, "cat", "/root/.ssh/authorized_keys")
    assert push(copying, "/data/1/") == 0
    assert now.count("\n") == keys.count("\n")
    assert "20200101000000" not in now
