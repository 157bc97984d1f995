"""Products that can carry their data by their own replication: what to run, and what its answers mean. Actions as data,
run by actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.redaction.redactor import Secret


@dataclass(frozen=True)
class Login:
    """Who the replica is for its primary."""

    user: str
    password: Secret | None = field(default=None, repr=False)


class Replication(Protocol):
    """How one product replicates. `port` is where its primary is reached on the target, through the tunnel."""

    port: int  # of the product in its container
    data_at: str  # directory of its data in the container
    wants_owner: bool  # whether its programs run as the owner of the data, not as root

    def conditions(self, user: str) -> tuple[list[str], bytes]:
        """Return a command for the source's container, and its input, whose output `why_not` judges."""

    def why_not(self, output: str, inspect: Mapping[str, Any]) -> str:
        """Return why this one can't replicate, empty when it can."""

    def password_file(self, user: str, password: str) -> str:
        """Return the content of the file with the password, at /replica/password in the replica's containers."""

    def base_copy(self, user: str, port: int) -> list[str]:
        """Return the program that makes the replica's first copy, empty when the replica does so itself."""

    def standby(self, command: list[str], user: str, port: int) -> tuple[list[str] | None, list[str]]:
        """Return entrypoint (None: the image's) and command of the replica, from the container's own command."""

    def before_standby(self) -> list[str]:
        """Return what is run over the data before the replica starts, empty for nothing."""

    def connect(self, password: str, port: int) -> tuple[list[str], bytes]:
        """Return a command for the running replica, and its input, that makes it follow; empty when it does already."""

    def status(self, user: str) -> tuple[list[str], bytes]:
        """Return a command for the running replica, and its input, whose output says how far it is."""

    def why_not_following(self, output: str) -> str:
        """Return why the replica is not caught up, empty when it follows closely."""

    def end_of_source(self) -> list[str]:
        """Return the program that reads from the stopped source's data where it ended, empty when its log says so."""

    def end_in_data(self) -> str:
        """Return a Python program for the toolbox that reads, from the stopped source's data at /data, where it ended;
        empty for none.
        """

    def end_position(self, output: str) -> str:
        """Return where the stopped source ended, from its output; empty when the output does not say so, or when it did
        not end cleanly.
        """

    def why_not_complete(self, output: str, end: str) -> str:
        """Return why a replica with this status does not hold everything up to the source's end, empty when it does."""

    def promote(self, user: str) -> tuple[list[str], bytes]:
        """Return a command, and its input, that makes the replica a primary."""

    def why_not_promoted(self, output: str) -> str:
        """Return why the replica with this status is no primary yet, empty when it is."""
