"""The source container's full specification, kept on the source host (root, 0600) before anything is changed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

from actions.common.base_action import RouteAction
from actions.common.route import Route, inspect_container, look, run_checked
from actions.container_spec.create_body import notes_of, specification_of
from checks.containers.configuration import configuration_digest
from engine.constants import HOST_STATE_DIR
from engine.contracts.action import Note
from engine.errors import ActionError, NotObservedError
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from hosts.facts.parse import parse_container
from hosts.fleet import Fleet
from hosts.ssh.atomic_write import taking

DIRECTORY: Final = f"{HOST_STATE_DIR}/specifications"
READ_S: Final = 20.0
SHOWN: Final = 12

SAVE: Final = """\
set -eu; umask 077
mkdir -p -- "$1"; chmod 0700 -- "$1"
take "$2.part"
sync -- "$2.part" 2>/dev/null || sync
mv -- "$2.part" "$2"
"""


def save_privately(fleet: Fleet, host: str, path: str, content: bytes, *, doing: str) -> None:
    """Save a file (0600, in a directory 0700) on a host and have it on disk: whole, or the old one stays. Raises
    ActionError.
    """
    argv = taking(SAVE, "save", content, str(PurePosixPath(path).parent), path)
    run_checked(fleet, host, argv, doing=doing, stdin=content)


@dataclass(frozen=True)
class Recorded:
    """What the file on the source host holds: for which move, and `docker inspect` of the container before it."""

    move_label: str
    recorded_at: str
    inspect: Mapping[str, Any] = field(repr=False)

    @property
    def restart_policy(self) -> dict[str, Any]:
        """Return the restart policy that the container had."""
        return dict(self.inspect["HostConfig"].get("RestartPolicy") or {"Name": "no", "MaximumRetryCount": 0})


def path_of(service: str) -> str:
    """Return where a service's specification lies on its source host."""
    return f"{DIRECTORY}/{service}.json"


def read_privately(fleet: Fleet, host: str, path: str, *, expected: str) -> Any:
    """Return the JSON of a file that `save_privately` wrote, None when there is none; raises CouldNotLookError, also
    for what is no JSON.
    """
    answer = look(fleet, host, ["cat", "--", path], timeout_s=READ_S)
    if answer.exit_code != 0:
        if "No such file" in answer.error_text:
            return None
        raise NotObservedError(
            say(
                "{host}: could not read {path}: {error_text}. Try: ssh {host} ls -l {path}",
                host=host,
                path=path,
                error_text=answer.error_text,
            )
        )
    try:
        return json.loads(answer.text)
    except ValueError as error:
        raise damaged(host, path, error, expected) from error


def damaged(host: str, path: str, error: Exception, expected: str) -> NotObservedError:
    """Return the error of a file of ours that does not hold what it should."""
    return NotObservedError(
        say(
            "{host}: {path} is damaged: {error}. Expected: {expected}. Try: ssh {host} head -c 200 {path}",
            host=host,
            path=path,
            error=error,
            expected=expected,
        )
    )


def read_recorded(fleet: Fleet, host: str, service: str) -> Recorded | None:
    """Return what was recorded for a service on its source host, None when nothing was."""
    path, expected = path_of(service), say("what save-source-spec wrote")
    content = read_privately(fleet, host, path, expected=expected)
    if content is None:
        return None
    try:
        return Recorded(content["move"], content["recorded_at"], content["inspect"])
    except (TypeError, KeyError) as error:
        raise damaged(host, path, error, expected) from error


def need_recorded(route: Route) -> Recorded:
    """Return what was recorded for exactly this move; an ActionError says how to get it when it is missing."""
    recorded = read_recorded(route.fleet, route.source, route.service)
    if recorded is None or recorded.move_label != route.move_label:
        seen = say("recorded for {move_label}", move_label=recorded.move_label) if recorded else say("not there")
        raise ActionError(
            say(
                "{source}: {path_of} is {seen}. Expected: recorded for {move_label}. Run the move from its start: "
                "{command}",
                source=route.source,
                path_of=path_of(route.service),
                seen=seen,
                move_label=route.move_label,
                command=route.command("migrate"),
            )
        )
    return recorded


def refuse_other_configuration(host: str, inspect: Mapping[str, Any], approved: str) -> None:
    """Raise ActionError for a container that is not configured as people approved it; `approved` is "" where nothing is
    known of it.
    """
    digest = configuration_digest(parse_container(host, inspect)) if approved else ""
    if digest != approved:
        name = str(inspect.get("Name") or "").lstrip("/")
        raise ActionError(
            say(
                "{host}: {name} is configured as {digest}. Expected: {approved}, as preflight saw it and people "
                "approved it. Look: ssh {host} docker inspect {name}; then preflight and approve it as it is now",
                host=host,
                name=name,
                digest=digest[:SHOWN],
                approved=approved[:SHOWN],
            )
        )


@dataclass(frozen=True)
class SaveSourceSpec(RouteAction):
    """Save the container's full inspect answer and its recreation on the source host, once per attempt; `approved` is
    the signed digest.
    """

    dropped: Collection[str] = ()
    approved: str = ""
    key = "save-source-spec"
    seconds = 1.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "{source}: save the specification of {container} to {path_of}",
            source=self.route.source,
            container=self.route.container,
            path_of=path_of(self.route.service),
        )

    def do(self, note: Note) -> None:
        """Save it, unless this attempt did: a stopped source would be recorded wrongly."""
        route = self.route
        before = read_recorded(route.fleet, route.source, route.service)
        if before is not None and before.move_label == route.move_label:
            return
        inspect = inspect_container(route.fleet, route.source, route.container)
        if inspect is None:
            raise ActionError(
                say(
                    "{source}: no container {container}. Expected: the one to move. Try: ssh {source} docker ps -a",
                    source=route.source,
                    container=route.container,
                )
            )
        refuse_other_configuration(route.source, inspect, self.approved)
        if before is not None:
            self._refuse_lost_policy(before, inspect)
        note["container_id"] = inspect["Id"]
        note["left_behind"] = notes_of(inspect)
        route.audit(route.source, self.key, self.describe())
        content = {
            "move": route.move_label,
            "recorded_at": datetime.now(UTC).isoformat(),
            "inspect": inspect,
            "specification": specification_of(inspect, move_label=route.move_label, dropped=self.dropped),
        }
        save_privately(
            route.fleet, route.source, path_of(route.service), json.dumps(content).encode(), doing=self.describe()
        )

    def _refuse_lost_policy(self, before: Recorded, inspect: Mapping[str, Any]) -> None:
        """Raise ActionError when an earlier attempt left this same container with restart policy `no`, which is not its
        own.
        """
        route, own = self.route, before.restart_policy
        seen = str((inspect["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no")
        name, retries = str(own.get("Name") or "no"), int(own.get("MaximumRetryCount") or 0)
        word = f"{name}:{retries}" if retries else name
        if before.inspect.get("Id") == inspect["Id"] and seen == "no" != name:
            raise ActionError(
                say(
                    "{source}: restart policy of {container} is no. Expected: {word}, as {move_label} recorded it; "
                    "recorded as it is now, it would never again start automatically. Give it back: ssh {source} "
                    "docker update --restart {word} {container} (or, if no is right: ssh {source} rm {path_of})",
                    source=route.source,
                    container=route.container,
                    word=word,
                    move_label=before.move_label,
                    path_of=path_of(route.service),
                )
            )

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002 the file itself is asked
        """Judge whether the file is there, for this move, readable by root only."""
        route, path = self.route, path_of(self.route.service)
        recorded = read_recorded(route.fleet, route.source, route.service)
        if recorded is None or recorded.move_label != route.move_label:
            return failed(
                say(
                    "{source}: {path} does not hold {move_label}. Expected: saved. Run it again",
                    source=route.source,
                    path=path,
                    move_label=route.move_label,
                )
            )
        listing = look(route.fleet, route.source, ["ls", "-ln", path], timeout_s=20.0).text.split()
        if not listing or not listing[0].startswith("-rw-------"):
            mode = listing[0] if listing else say("not seen")
            return failed(
                say(
                    "{source}: {path} has mode {mode}. Expected: -rw-------, it holds secrets. Try: ssh {source} "
                    "chmod 0600 {quote}",
                    source=route.source,
                    path=path,
                    mode=mode,
                    quote=shlex.quote(path),
                )
            )
        fields = len(recorded.inspect.get("HostConfig", {})) + len(recorded.inspect.get("Config", {}))
        return passed(
            say(
                "{source}: specification of {container} saved ({fields} fields, root only)",
                source=route.source,
                container=route.container,
                fields=fields,
            ),
            fields=fields,
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Remove the file of this attempt."""
        route = self.route
        recorded = read_recorded(route.fleet, route.source, route.service)
        if recorded is not None and recorded.move_label == route.move_label:
            argv = ["rm", "-f", "--", path_of(route.service)]
            run_checked(route.fleet, route.source, argv, doing=say("remove {path_of}", path_of=path_of(route.service)))
