"""The names of the virtual hosts as clients outside see them: a line in each lab host's /etc/hosts plays the DNS."""

from __future__ import annotations

from typing import Final

from lab.docker_engine import at_once, run
from lab.identity import known_choice
from lab.products.caddy import UPSTREAMS
from lab.settings import HOSTS, Choice, HostPlan

MARK: Final = "# longshore lab: public names"
NAMES: Final = tuple(f"{name}.shop.internal" for name in UPSTREAMS)
WRITE: Final = """\
grep -vF "$1" /etc/hosts >/tmp/hosts
printf '%s %s %s\\n' "$2" "$3" "$1" >>/tmp/hosts
cat /tmp/hosts >/etc/hosts; rm /tmp/hosts"""


def point_names(address: str) -> None:
    """Let the public names lead to an address, as seen by every host; a lab without a web server has none."""
    if known_choice() is not Choice.ALL:
        return

    def write(plan: HostPlan) -> None:
        run(
            ["docker", "exec", plan.container, "sh", "-c", WRITE, "write", MARK, address, " ".join(NAMES)],
            deadline_s=30,
        )

    at_once(write, HOSTS)
