"""The route of one move: which container of which service goes from which host to which, and the calls that all
actions share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import docker.errors
import requests.exceptions

from engine.command_line import typed_command
from engine.constants import NAME
from engine.contracts.container import CommandResult
from engine.errors import ActionError, DeadlineError, NotObservedError, RefusedError, UnreachableError
from engine.finding import joined, say
from hosts.coordination.audit_log import append_audit
from hosts.coordination.fencing import change, refuse_silent
from hosts.fleet import Fleet

SHORT_S: Final = 30.0
LONGEST_FLUSH_S: Final = 1800.0


@dataclass(frozen=True)
class Route:
    """Where a service's container moves; `move_label` is `<environment>/<service>/<attempt>`."""

    fleet: Fleet = field(repr=False)
    service: str
    container: str
    source: str
    target: str
    move_label: str

    @property
    def environment(self) -> str:
        """Return the environment that the move belongs to."""
        return self.move_label.split("/", 1)[0]

    def command(self, name: str) -> str:
        """Return a phase of this service, in this environment, as it is typed to change hosts."""
        return typed_command(name, environment=self.environment, service=self.service, apply=True)

    def turned(self) -> Route:
        """Return the way back: from the target to the source, of the same move."""
        return replace(self, source=self.target, target=self.source)

    def slug(self, purpose: str) -> str:
        """Return the name of a helper container of this move: the same in every run, so a second start finds it."""
        return helper_name(purpose, self.move_label)

    def audit(self, host: str, key: str, text: str) -> None:
        """Write to the host's audit log what will be done to it, before it is done."""
        write_audit(self.fleet, host, self.move_label, key, text)


def write_audit(fleet: Fleet, host: str, move_label: str, key: str, text: str) -> None:
    """Append one action to the host's audit log; the second copy of the journal."""
    append_audit(fleet[host], {"move": move_label, "key": key, "text": text}, token=fleet.token)


def helper_name(purpose: str, *parts: str) -> str:
    """Return a container name such as `longshore-copy-lab-redis-1`."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", "-", "-".join((NAME, purpose, *parts)))


@contextmanager
def docker_api(fleet: Fleet, host: str, doing: str) -> Iterator[Any]:
    """Yield the low-level Docker API of a host; its errors become ours, with `doing` in the text."""
    try:
        yield fleet.docker(host).api
    except docker.errors.NotFound as error:
        raise ActionError(
            say(
                "{host}: {doing}: not found: {explanation}. Try: ssh {host} docker ps -a",
                host=host,
                doing=doing,
                explanation=error.explanation,
            )
        ) from error
    except docker.errors.APIError as error:
        raise ActionError(
            say("{host}: {doing}: Docker refused: {explanation}", host=host, doing=doing, explanation=error.explanation)
        ) from error
    except requests.exceptions.Timeout as error:
        raise DeadlineError(
            say("{host}: {doing}: no answer from Docker in time. Try: ssh {host} docker ps", host=host, doing=doing)
        ) from error
    except (requests.exceptions.RequestException, docker.errors.DockerException) as error:
        raise UnreachableError(
            say(
                "{host}: {doing}: Docker does not answer: {error}. Try: ssh {host} docker ps",
                host=host,
                doing=doing,
                error=error,
            )
        ) from error


def inspect_container(fleet: Fleet, host: str, name: str) -> dict[str, Any] | None:
    """Return `docker inspect` of a container asked for now (facts may be older), None when there is none; raises
    CouldNotLookError.
    """
    with docker_api(fleet, host, say("inspect {name}", name=name)) as api:
        try:
            answer: dict[str, Any] = api.inspect_container(name)
        except docker.errors.NotFound:
            return None
        except docker.errors.APIError as error:  # says nothing of the container
            raise NotObservedError(
                say(
                    "{host}: inspect {name}: Docker reported no state: {explanation}. Expected: what there is. Try: "
                    "ssh {host} docker inspect {name}",
                    host=host,
                    name=name,
                    explanation=error.explanation,
                )
            ) from error
        return answer


def refuse_under_container(route: Route) -> None:
    """Raise RefusedError when the target has a container of the service's name: nothing is copied under a container."""
    if inspect_container(route.fleet, route.target, route.container) is not None:
        raise RefusedError(
            say(
                "{target}: {container} exists already. Expected: nothing is copied under a container, it could run "
                "and write. Look: ssh {target} docker inspect {container}",
                target=route.target,
                container=route.container,
            )
        )


def run_checked(
    fleet: Fleet,
    host: str,
    argv: list[str],
    *,
    doing: str,
    stdin: bytes = b"",
    timeout_s: float = SHORT_S,
    held: bool | None = None,
) -> CommandResult:
    """Change a host by argv, under the fence of its lock; a non-zero exit is an ActionError with the last lines of
    stderr.

    Raises LockLostError, and the host runs nothing, when the lock is not this run's any more.
    """
    return checked(change(fleet, host, argv, stdin=stdin, timeout_s=timeout_s, held=held), host, doing)


def look(fleet: Fleet, host: str, argv: list[str], *, timeout_s: float = SHORT_S) -> CommandResult:
    """Ask a host by argv, which changes nothing: it is the only way past the fence."""
    result = fleet[host].run(argv, timeout_s=timeout_s)
    refuse_silent(host, result)
    return result


def checked(result: CommandResult, host: str, doing: str) -> CommandResult:
    """Return a command's result; a non-zero exit is an ActionError with the last lines of stderr."""
    if result.exit_code != 0:
        said = joined(" / ", (result.error_text or result.text).splitlines()[-4:])
        raise ActionError(
            say(
                "{host}: {doing} failed (exit {exit_code}): {said}",
                host=host,
                doing=doing,
                exit_code=result.exit_code,
                said=said,
            )
        )
    return result


def flush_disks(fleet: Fleet, host: str) -> None:
    """Have everything that was written on a host on its disks before anybody counts on it. sync(1) waits
    for all of it.
    """
    run_checked(fleet, host, ["sync"], doing=say("flush the disks"), timeout_s=LONGEST_FLUSH_S)


def remove_container(fleet: Fleet, host: str, name: str) -> bool:
    """Remove one of our helper containers whatever its state; return whether there was one."""
    result = change(fleet, host, ["docker", "rm", "--force", "--volumes", name], timeout_s=SHORT_S)
    if result.exit_code == 0:
        return True
    if "No such container" in result.error_text:
        return False
    raise NotObservedError(
        say(
            "{host}: could not remove helper {name}: {error_text}. Try: ssh {host} docker rm -f {name}",
            host=host,
            name=name,
            error_text=result.error_text,
        )
    )
