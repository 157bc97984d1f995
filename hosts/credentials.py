"""Credentials by reference: resolved late, registered with the redactor, never written anywhere."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.errors import InputError
from engine.secret import Secret

COMMAND_DEADLINE_S: Final = 30.0
REFERENCE: Final = re.compile(r"^(?P<kind>env|file|command|container-env):(?P<rest>.+)$")


def resolve_secret(reference: str, container_env: Mapping[str, str] | None = None) -> Secret:
    """Return the secret behind `env:NAME`, `file:PATH`, `command:ARGV` or `container-env:NAME`.

    Raises InputError with the reference (never the value) when it can't be resolved.
    """
    match = REFERENCE.match(reference)
    if not match:
        raise InputError(f'secret reference "{reference}": expected env:NAME, file:PATH, command:ARGV or container-env:NAME')
    rest = match["rest"]
    if match["kind"] == "env":
        return _from_mapping(reference, rest, os.environ)
    if match["kind"] == "container-env":
        return _from_mapping(reference, rest, container_env or {})
    if match["kind"] == "file":
        return _from_file(reference, Path(rest).expanduser())
    return _from_command(reference, rest)


def _from_mapping(reference: str, name: str, mapping: Mapping[str, str]) -> Secret:
    if name not in mapping:
        raise InputError(f"secret {reference}: not set. Set it, or correct the reference in inventory.yaml")
    return Secret(mapping[name])


def _from_file(reference: str, path: Path) -> Secret:
    try:
        return Secret(path.read_text(encoding="utf-8").rstrip("\n"))
    except OSError as error:
        raise InputError(f"secret {reference}: {error.strerror}. Try: ls -l {path}") from error


def _from_command(reference: str, command: str) -> Secret:
    try:
        answer = subprocess.run(command.split(), capture_output=True, timeout=COMMAND_DEADLINE_S, check=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"secret {reference}: {type(error).__name__}. Run it by hand to see why") from error
    return Secret(answer.stdout.rstrip("\n"))
