"""The commands in messages: one function that knows how a phase or command is typed, in which environment and for which
service.
"""

from __future__ import annotations

import shlex
from typing import Final

from engine.contracts.phase import BY_NAME

LAB: Final = "lab"
ANY: Final = "NAME"
"""In place of an environment that the message's author cannot know."""


def environment_words(environment: str) -> list[str]:
    """Return the flag that names an environment."""
    return ["--lab"] if environment == LAB else ["--environment", environment]


def typed_command(name: str, *words: str, environment: str | None, service: str = "", apply: bool = False) -> str:
    """Return a phase or command as it is typed; `environment` is None only for commands that belong to none, such as
    schema.

    `words` are what the command takes besides, such as `release --token T`. A service is a word of the phases that name
    services so.
    """
    if name == "pin" and environment == LAB:
        return "nox -s lab -- up"  # the lab pins itself
    by_word = bool(service) and name in BY_NAME and BY_NAME[name].by_service
    typed = [
        *([service] if by_word else []),
        *(words if words and not words[0].startswith("-") else ()),
        *(environment_words(environment) if environment is not None else []),
        *(["--service", service] if service and not by_word else []),
        *(words if words and words[0].startswith("-") else ()),
        *(["--apply"] if apply else []),
    ]
    return f"nox -s {name} -- {shlex.join(typed)}" if typed else f"nox -s {name}"
