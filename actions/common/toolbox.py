"""The command that runs the toolbox image on a host: always named, labelled, and without network unless asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from actions.common.labels import label_flags, labels
from actions.common.route import run_checked
from engine.constants import LABEL_MOVE, LABEL_ROLE, TOOLBOX_IMAGE
from engine.errors import ActionError, RefusedError
from engine.finding import say
from hosts.coordination.fencing import change
from hosts.fleet import Fleet

UNUSABLE: Final = frozenset(',\n"')
"""`docker run --mount` is one line of comma-separated values: a path with these can't be given to it."""


@dataclass(frozen=True)
class ToolboxMount:
    """A volume or a path of the host inside a toolbox container."""

    kind: str  # volume | bind
    source: str
    at: str
    read_only: bool = False

    def flag(self) -> str:
        """Return the value of `--mount`; nothing is created by mounting, and no image content is copied into it."""
        if UNUSABLE & set(self.source):
            raise RefusedError(
                say(
                    "{kind} {source}: a name with a comma, quote or line break can't be mounted. Expected: a plain "
                    "path. Rename it on the source, or copy it by hand with rule same_on_target",
                    kind=self.kind,
                    source=repr(self.source),
                )
            )
        text = f"type={self.kind},source={self.source},target={self.at}"
        text += ",volume-nocopy" if self.kind == "volume" else ""
        return f"{text},readonly" if self.read_only else text


def toolbox_argv(
    argv: Iterable[str],
    *,
    move_label: str,
    role: str,
    name: str = "",
    mounts: Iterable[ToolboxMount] = (),
    network: str = "none",
    interactive: bool = False,
    env: Mapping[str, str] | None = None,
    flags: Iterable[str] = (),
) -> list[str]:
    """Return `docker run --rm …` for the toolbox; `env` is for what is not secret, it is in argv."""
    command = [
        "docker",
        "run",
        "--rm",
        *(["--interactive"] if interactive else []),
        *(["--name", name] if name else []),
    ]
    command += ["--network", network, "--log-driver", "none", *label_flags(labels(move_label, role)), *flags]
    for mount in mounts:
        command += ["--mount", mount.flag()]
    for key, value in (env or {}).items():
        command += ["--env", f"{key}={value}" if value else key]
    return [*command, TOOLBOX_IMAGE, *argv]


def remove_helpers(fleet: Fleet, host: str, move_label: str, role: str) -> int:
    """Stop and remove this move's helper containers of one role on a host, orphans included; return how many."""
    wanted = [f"label={LABEL_MOVE}={move_label}", f"label={LABEL_ROLE}={role}"]
    flags = [flag for value in wanted for flag in ("--filter", value)]
    listed = run_checked(
        fleet, host, ["docker", "ps", "--all", "--quiet", *flags], doing=say("list {role} containers", role=role)
    )
    found = listed.text.split()
    if found:
        removed = change(fleet, host, ["docker", "rm", "--force", "--volumes", *found], timeout_s=60.0)
        still_there = [line for line in removed.error_text.splitlines() if "No such container" not in line]
        if removed.exit_code != 0 and still_there and "already in progress" not in removed.error_text:
            raise ActionError(
                say(
                    "{host}: {count} {role} containers of {move_label} could not be removed: {first_still_there}. "
                    "Try: ssh {host} docker rm -f {found}",
                    host=host,
                    count=len(found),
                    role=role,
                    move_label=move_label,
                    first_still_there=still_there[0],
                    found=" ".join(found),
                )
            )
    return len(found)
