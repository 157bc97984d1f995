"""What earlier attempts of a move left on its hosts beside the data: helper containers, temporary keys and passwords.

An attempt whose undo could not finish is repaired by hand and tried again (`--retry`): nothing else removes these.
"""

from __future__ import annotations

from typing import Final

from actions.common.route import Route, run_checked
from actions.copy.ssh_channel import key_comment, key_directory, list_keys, remove_key
from engine.constants import LABEL_MOVE, LABEL_ROLE
from engine.errors import ActionError
from engine.finding import say
from hosts.coordination.fencing import change

WAYS: Final = ("copy", "replica", "standby")
"""What the directories and keys of a move are for; `standby` holds a replica's password."""
ROLES: Final = frozenset({"copy", "replica", "probe"})
KEY: Final = "earlier-attempts"
REMOVE_S: Final = 60.0
COLUMNS: Final = 3
LISTED: Final = f'{{{{.ID}}}} {{{{.Label "{LABEL_MOVE}"}}}} {{{{.Label "{LABEL_ROLE}"}}}}'


def remove_earlier(route: Route) -> None:
    """Remove from both hosts what earlier attempts of this move left; data and the service's own containers stay."""
    labels = earlier_labels(route.move_label)
    if not labels:
        return
    for host in (route.target, route.source):
        helpers = _helpers(route, host, labels)
        keys = sorted(set(list_keys(route.fleet, host)) & {key_comment(one, way) for one in labels for way in WAYS})
        if helpers or keys:
            route.audit(host, KEY, f"remove what earlier attempts left: {', '.join([*helpers, *keys])}")
        if helpers:
            _remove(route, host, helpers)
        for comment in keys:
            remove_key(route.fleet, host, comment)
        directories = [key_directory(one, way) for one in labels for way in WAYS]
        run_checked(route.fleet, host, ["rm", "-rf", "--", *directories], doing=say("remove keys of earlier attempts"))


def earlier_labels(move_label: str) -> tuple[str, ...]:
    """Return the labels of the attempts before this one."""
    of_service, _, attempt = move_label.rpartition("/")
    return tuple(f"{of_service}/{number}" for number in range(1, int(attempt)))


def _helpers(route: Route, host: str, labels: tuple[str, ...]) -> list[str]:
    argv = ["docker", "ps", "--all", "--filter", f"label={LABEL_MOVE}", "--format", LISTED]
    listed = run_checked(route.fleet, host, argv, doing=say("list helpers of earlier attempts"))
    rows = [line.split() for line in listed.text.splitlines()]
    return [row[0] for row in rows if len(row) == COLUMNS and row[1] in labels and row[2] in ROLES]


def _remove(route: Route, host: str, helpers: list[str]) -> None:
    """Remove containers; those that are gone, or are going, count as removed."""
    removed = change(route.fleet, host, ["docker", "rm", "--force", "--volumes", *helpers], timeout_s=REMOVE_S)
    left = [
        line
        for line in removed.error_text.splitlines()
        if "No such container" not in line and "already in progress" not in line
    ]
    if removed.exit_code != 0 and left:
        raise ActionError(
            say(
                "{host}: {count} helpers of earlier attempts could not be removed: {first_left}. Try: ssh {host} "
                "docker rm -f {helpers}",
                host=host,
                count=len(helpers),
                first_left=left[0],
                helpers=" ".join(helpers),
            )
        )
