"""Bring single objects of a backup back: an archive into a volume, an export into a service, or a snapshot read to its
end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Final

from actions.backup.restic import OpenRepository
from actions.backup.scratch_copy import ROLE, ScratchPlace
from actions.common.toolbox import ToolboxMount, toolbox_argv
from actions.copy.ssh_channel import shell_line
from checks.backups.backups import BackupObject
from engine.contracts.container import CommandResult
from engine.contracts.product import RestoreCommand
from hosts.coordination.fencing import change

RESTORE_AT: Final = "/restore"
ARCHIVED_AS: Final = "/data"
DISCARD: Final = ("sh", "-c", 'exec "$@" > /dev/null', "read")
SAID: Final = 65_536
SHOWN: Final = 300
PIPE: Final = """\
cd "$1" || exit 9; rm -f read applied
{{ {read} 2> read-said; echo $? > read; }} | {{ {apply} 2>&1 > /dev/null; echo $? > applied; }} | {{ head -c {most};
  cat > /dev/null; }}
tail -c 600 read-said >&2
printf '\\n%s %s\\n' "$(cat read)" "$(cat applied)" >&2
"""
"""Standard output: what the service said; the last line of standard error: the exit codes of restic and of the command.
"""


def restore_archive(opened: OpenRepository, item: BackupObject, place: ScratchPlace) -> str:
    """Restore an archive into its scratch volume, as `data`; raises AssertionError when any of it can't be read."""
    started = time.monotonic()
    mount = ToolboxMount("volume", place.volume, RESTORE_AT)
    _must_read(item, opened.run(["restore", item.snapshot, "--target", RESTORE_AT], (mount,)))
    return f"snapshot {item.snapshot[:8]} restored in {time.monotonic() - started:.1f} s"


def read_whole(opened: OpenRepository, item: BackupObject) -> str:
    """Read a snapshot to its end and throw it away; every piece's checksum is seen. Raises AssertionError as above."""
    started = time.monotonic()
    path = f"/{item.name.removeprefix('export ')}" if item.name.startswith("export ") else ARCHIVED_AS
    _must_read(item, opened.run(["dump", "--archive", "tar", item.snapshot, path], before=DISCARD))
    return (
        f"snapshot {item.snapshot[:8]} read to its end in {time.monotonic() - started:.1f} s; not what the "
        "service starts from"
    )


def apply_export(
    opened: OpenRepository, item: BackupObject, command: RestoreCommand, container: str, mounts: Sequence[ToolboxMount]
) -> str:
    """Give an export to the command that brings it back; raises AssertionError when it can't be read or is
    not taken.
    """
    started = time.monotonic()
    if command.before_start:
        apply = toolbox_argv(
            command.argv, move_label=opened.route.move_label, role=ROLE, mounts=mounts, interactive=True
        )
    else:
        apply = ["docker", "exec", "--interactive", container, *command.argv]
    read = opened.argv(["dump", item.snapshot, f"/{command.export}"])
    script = PIPE.format(read=shell_line(read), apply=shell_line(apply), most=SAID)
    argv = ["sh", "-c", script, "apply", opened.directory]
    result = change(opened.route.fleet, opened.host, argv, timeout_s=command.timeout_s)
    judge_applied(item, command, result)
    return f"snapshot {item.snapshot[:8]} brought back with {_tool(command)} in {time.monotonic() - started:.1f} s"


def judge_applied(item: BackupObject, command: RestoreCommand, result: CommandResult) -> None:
    """Raise AssertionError when an export could not be read to its end, or what took it complained."""
    said, _, codes = result.error_text.rpartition("\n")
    read, applied = [*codes.split(), "?", "?"][:2]
    trouble = _trouble(command, result.text)
    if read == "0" and applied == "0" and not trouble:
        return
    if applied == "0" and read != "0":
        raise AssertionError(f"{item.name}: snapshot {item.snapshot[:8]} can't be read: {said.strip()[-SHOWN:]}")
    first = trouble[0] if trouble else result.text.strip()[-SHOWN:] or said.strip()[-SHOWN:]
    more = f" and {len(trouble) - 1} more" if len(trouble) > 1 else ""
    raise AssertionError(f"{item.name}: {_tool(command)} did not take it (exit {applied}): {first[:SHOWN]}{more}")


def _trouble(command: RestoreCommand, said: str) -> list[str]:
    if not command.trouble:
        return []
    lines = [line for line in said.splitlines() if re.search(command.trouble, line)]
    return [line for line in lines if not any(re.search(pattern, line) for pattern in command.tolerated)]


def _tool(command: RestoreCommand) -> str:
    """Return the program of a command, without `env` and its variables."""
    return next(word for word in command.argv if word != "env" and "=" not in word)


def _must_read(item: BackupObject, result: CommandResult) -> None:
    if result.exit_code != 0:
        said = " / ".join(line for line in result.error_text.splitlines() if line.strip())
        raise AssertionError(
            f"{item.name}: snapshot {item.snapshot[:8]} can't be read (exit {result.exit_code}): {said[-SHOWN:]}"
        )
