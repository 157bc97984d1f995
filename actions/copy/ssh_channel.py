"""A way from one host to another for one transfer: a temporary key that can do one thing only, and expires
automatically.

The key is made on the source in a 0700 directory on tmpfs; the other end's authorized_keys gets one line with
`restrict,from=,expiry-time=,command=` (sshd(8), AUTHORIZED_KEYS FILE FORMAT). Both are removed afterwards, and a later
run finds what a crash left by the line's comment. Nothing passes through the operator's machine.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from actions.common.route import look, run_checked, write_audit
from actions.common.toolbox import ToolboxMount
from engine.constants import NAME, TOOLBOX_IMAGE
from engine.errors import ActionError, NotObservedError
from engine.finding import say
from hosts.fleet import Fleet
from hosts.ssh.atomic_write import taking

RUN_DIRECTORY: Final = "/run"
KEY_AT: Final = "/key"
"""Where the key's directory is mounted in the toolbox."""

MAKE_KEY: Final = """\
set -eu; umask 077
rm -rf -- "$1"; mkdir -m 0700 -- "$1"
ssh-keygen -q -t ed25519 -N '' -C "$2" -f "$1/id"
take "$1/known_hosts"
cat "$1/id.pub"
"""

AUTHORIZE: Final = """\
set -eu; umask 077
export LC_ALL=C comment="$1"
directory="$HOME/.ssh"
mkdir -p -- "$directory"
line=$(mktemp "${TMPDIR:-/tmp}/longshore-line.XXXXXX"); trap 'rm -f -- "$line"' EXIT
take "$line"
if [ -s "$line" ]; then
    sshd=$(PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin" command -v sshd || :)
    read_from=$([ -z "$sshd" ] || "$sshd" -T -C "user=$(id -un),host=localhost,addr=127.0.0.1" 2>/dev/null |
      sed -n 's/^authorizedkeysfile //p')
    case " $read_from " in
        "  "|*" .ssh/authorized_keys "*|*" %h/.ssh/authorized_keys "*|*" $directory/authorized_keys "*) ;;
        *) said="sshd here reads keys from $read_from only (AuthorizedKeysFile)."
           echo "$said Expected: .ssh/authorized_keys among them" >&2; exit 78;;
    esac
fi
file=$(readlink -f -- "$directory/authorized_keys" || printf %s "$directory/authorized_keys")
command -v flock >/dev/null || { echo "flock is not there. Expected: flock of util-linux or busybox" >&2; exit 73; }
exec 9< "${file%/*}"; flock -x 9
[ -e "$file" ] || : > "$file"
part=$(mktemp "${file%/*}/.longshore.XXXXXX") seen=$(mktemp "${file%/*}/.longshore.XXXXXX")
trap 'rm -f -- "$line" "$part" "$seen"' EXIT
foreign() {
    awk '{ at = length($0) - length(ENVIRON["comment"]); if (substr($0, at) != " " ENVIRON["comment"]) print }' "$1"
}
tries=0
while :; do
    cat -- "$file" > "$seen"
    cp -p -- "$file" "$part"
    { foreign "$seen"; cat -- "$line"; } > "$part"
    chcon --reference="$file" -- "$part" 2>/dev/null || :
    [ "$(foreign "$part" | cksum)" = "$(foreign "$seen" | cksum)" ] \\
        || { echo "a line that is not ours would be lost; nothing was changed" >&2; exit 76; }
    sync -- "$part" 2>/dev/null || sync
    cmp -s -- "$file" "$seen" && break
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || { echo "somebody else keeps changing $file; nothing was changed" >&2; exit 76; }
done
mv -- "$part" "$file"
"""
"""Replaces the file in one step: an interrupted run leaves the old file or the new one. `$1` is the comment at the end
of our line,
standard input the line, or nothing. One edit at a time (flock of the directory); all other lines, owner, mode and
context stay."""

CLOCK_AND_ADDRESS: Final = """\
date '+%s %z'
getent ahostsv4 "$1" 2>/dev/null | head -n 1
"""


@dataclass(frozen=True)
class Peer:
    """The other end of a transfer as the source reaches it: the pinned host key, never a learnt one."""

    host: str
    address: str
    host_key: str  # "ssh-ed25519 AAAA…"
    port: int = 22
    user: str = "root"

    def known_hosts(self) -> str:
        """Return the one line for known_hosts."""
        name = self.address if self.port == 22 else f"[{self.address}]:{self.port}"  # noqa: PLR2004 ssh's own port
        return f"{name} {' '.join(self.host_key.split()[:2])}\n"


@dataclass(frozen=True)
class Channel:
    """An open way to the peer, for toolbox containers on the source."""

    directory: str
    peer: Peer

    def mount(self) -> ToolboxMount:
        """Return the mount that brings the key into a toolbox container."""
        return ToolboxMount("bind", self.directory, KEY_AT, read_only=True)

    def ssh(self) -> list[str]:
        """Return the ssh command inside the toolbox, without the destination; the cipher that processors have
        instructions for first.
        """
        options = {
            "Ciphers": "^aes128-gcm@openssh.com",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": f"{KEY_AT}/known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "4",
        }
        flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-i", f"{KEY_AT}/id", "-p", str(self.peer.port), *flags]

    def destination(self) -> str:
        """Return user@address."""
        return f"{self.peer.user}@{self.peer.address}"


@contextmanager
def open_channel(
    fleet: Fleet, source: str, peer: Peer, *, move_label: str, purpose: str, forced_command: str, valid_s: float
) -> Iterator[Channel]:
    """Open a way from `source` to `peer` on which only `forced_command` can be run, for at most `valid_s`; close it at
    the end.
    """
    try:
        yield make_channel(
            fleet, source, peer, move_label=move_label, purpose=purpose, forced_command=forced_command, valid_s=valid_s
        )
    finally:
        close_channel(fleet, source, peer.host, move_label=move_label, purpose=purpose)


def make_channel(
    fleet: Fleet,
    source: str,
    peer: Peer,
    *,
    move_label: str,
    purpose: str,
    forced_command: str,
    valid_s: float,
    permits: str = "",
) -> Channel:
    """Make a way that stays open until `close_channel`, or until it expires after `valid_s`.

    `permits` is what the key may do besides the command: "" or options of authorized_keys such as `permitlisten="…"`.
    """
    comment = key_comment(move_label, purpose)
    directory = key_directory(move_label, purpose)
    write_audit(fleet, source, move_label, purpose, f"temporary key in {directory} for {peer.host}")
    write_audit(fleet, peer.host, move_label, purpose, f'temporary key "{comment}" from {source}: {forced_command}')
    public_key = _make_key(fleet, source, directory, comment, peer)
    line = _authorized_line(fleet, source, peer, public_key, forced_command, valid_s)
    _authorize(
        fleet, peer.host, comment, line.replace("restrict,", f"restrict,{permits}," if permits else "restrict,", 1)
    )
    return channel_of(move_label, purpose, peer)


def extend_channel(
    fleet: Fleet, source: str, peer: Peer, *, move_label: str, purpose: str, forced_command: str, valid_s: float
) -> None:
    """Let the key of an open way live for `valid_s` from now on, with this command; raises LockLostError when this run
    may not continue.
    """
    comment = key_comment(move_label, purpose)
    write_audit(
        fleet, peer.host, move_label, purpose, f'temporary key "{comment}" from {source} lives on: {forced_command}'
    )
    made = run_checked(
        fleet,
        source,
        ["cat", "--", f"{key_directory(move_label, purpose)}/id.pub"],
        doing=say("read the temporary key"),
    )
    _authorize(
        fleet, peer.host, comment, _authorized_line(fleet, source, peer, made.text.strip(), forced_command, valid_s)
    )


def channel_of(move_label: str, purpose: str, peer: Peer) -> Channel:
    """Return the way that an earlier `make_channel` opened."""
    return Channel(key_directory(move_label, purpose), peer)


def close_channel(fleet: Fleet, source: str, target: str, *, move_label: str, purpose: str) -> None:
    """Remove the temporary key on both ends, also what a crashed run left; raises when an end can't be reached, after
    the other's.
    """
    argv = ["rm", "-rf", "--", key_directory(move_label, purpose)]
    try:
        remove_key(fleet, target, key_comment(move_label, purpose))
    finally:
        run_checked(fleet, source, argv, doing=say("remove the temporary key"))


def has_key(fleet: Fleet, source: str, *, move_label: str, purpose: str) -> bool:
    """Return whether the directory of a temporary key is on the source."""
    directory = key_directory(move_label, purpose)
    answer = look(fleet, source, ["ls", "-d", "--", directory])
    if answer.exit_code and "No such file" not in answer.error_text:
        raise NotObservedError(
            say(
                "{source}: could not look for {directory}: {error_text}. Try: ssh {source} ls -ld {directory}",
                source=source,
                directory=directory,
                error_text=answer.error_text[-200:],
            )
        )
    return answer.exit_code == 0


def remove_key(fleet: Fleet, host: str, comment: str) -> None:
    """Remove the lines with this comment from the host's authorized_keys."""
    _authorize(fleet, host, comment, "")


def list_keys(fleet: Fleet, host: str) -> tuple[str, ...]:
    """Return the comments of our temporary keys that are on a host: empty when nothing was left behind."""
    script = f'grep -oE "{NAME}:[^ ]*$" "$HOME/.ssh/authorized_keys" 2>/dev/null; [ $? -le 2 ]'
    return tuple(run_checked(fleet, host, ["sh", "-c", script], doing=say("list temporary keys")).text.split())


def key_comment(move_label: str, purpose: str) -> str:
    """Return the comment that marks the key of one purpose of one move; the end of its line."""
    return f"{NAME}:{purpose}:{move_label}:key"


def key_directory(move_label: str, purpose: str) -> str:
    """Return the directory of the key on the source, the same in every run."""
    return f"{RUN_DIRECTORY}/{NAME}-{purpose}-{re.sub(r'[^a-zA-Z0-9_.-]+', '-', move_label)}"


def _make_key(fleet: Fleet, source: str, directory: str, comment: str, peer: Peer) -> str:
    known = peer.known_hosts().encode()
    result = run_checked(
        fleet,
        source,
        taking(MAKE_KEY, "key", known, directory, comment),
        doing=say("make a temporary key"),
        stdin=known,
    )
    key = result.text.strip()
    if not key.startswith("ssh-ed25519 "):
        raise ActionError(
            say(
                "{source}: ssh-keygen answered {key}. Expected: an ed25519 public key",
                source=source,
                key=repr(key[:60]),
            )
        )
    return key


def _authorized_line(  # noqa: PLR0917
    fleet: Fleet, source: str, peer: Peer, public_key: str, forced_command: str, valid_s: float
) -> str:
    address = fleet[source].address
    argv = ["sh", "-c", CLOCK_AND_ADDRESS, "clock", address]
    result = look(fleet, peer.host, argv)
    lines = result.text.splitlines()
    if not lines:
        raise NotObservedError(
            say(
                "{host}: date did not answer: {error_text}. Try: ssh {host} date",
                host=peer.host,
                error_text=result.error_text,
            )
        )
    seen_as = address if _is_address(address) else (lines[1].split()[0] if len(lines) > 1 else address)
    return authorized_line(public_key, forced_command, seen_as, expiry_of(lines[0], valid_s))


def authorized_line(public_key: str, forced_command: str, source_address: str, expiry: str) -> str:
    """Return the line for authorized_keys: everything forbidden but one command, from one address, until `expiry`.

    Raises ActionError for a command of several lines: the second would be a line of its own, and a key without limits
    if it looked like one.
    """
    if "\n" in forced_command:
        raise ActionError(
            say(
                "a temporary key's command has several lines: {forced_command}. Expected: one. Report it: the command "
                "is ours",
                forced_command=repr(forced_command[:60]),
            )
        )
    command = forced_command.replace("\\", "\\\\").replace('"', '\\"')
    return f'restrict,from="{source_address}",expiry-time="{expiry}",command="{command}" {public_key}\n'


def expiry_of(date_answer: str, valid_s: float) -> str:
    """Return sshd's timespec `YYYYMMDDHHMMSS` in the host's own time zone, from its answer to `date '+%s %z'`.

    Without the suffix Z, which sshd before 9.1 does not know, sshd reads it in the system's time zone (sshd(8)).
    """
    seconds, _, zone = date_answer.strip().partition(" ")
    sign = -1 if zone.startswith("-") else 1
    offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    until = datetime.fromtimestamp(int(seconds) + valid_s, tz=UTC).astimezone(timezone(offset))
    return until.strftime("%Y%m%d%H%M%S")


def _authorize(fleet: Fleet, host: str, comment: str, line: str) -> None:
    doing = say("authorize a temporary key") if line else say("remove a temporary key")
    line = line.replace(
        TOOLBOX_IMAGE, getattr(fleet[host], "toolbox", TOOLBOX_IMAGE)
    )  # standard input is not the host's to rewrite
    run_checked(fleet, host, taking(AUTHORIZE, "authorize", line.encode(), comment), doing=doing, stdin=line.encode())


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def shell_line(argv: list[str]) -> str:
    """Return argv as one line for a forced command or a pipe."""
    return " ".join(shlex.quote(word) for word in argv)
