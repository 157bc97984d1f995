"""Credentials by reference: resolved late, registered with the redactor, never written anywhere."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.errors import InputError
from engine.finding import say
from engine.redaction.redactor import Secret

COMMAND_DEADLINE_S: Final = 30.0
REFERENCE: Final = re.compile(r"^(?P<kind>env|file|command|container-env):(?P<rest>.+)$")


def resolve_secret(reference: str, container_env: Mapping[str, str] | None = None) -> Secret:
    """Return the secret behind `env:NAME`, `file:PATH`, `command:ARGV` or `container-env:NAME`.

    Raises InputError with the reference (never the value) when it can't be resolved.
    """
    match = REFERENCE.fullmatch(reference)
    if not match:
        # It may be the secret itself, written where its reference belongs: it is not shown.
        raise InputError(
            say(
                "a secret's reference: expected env:NAME, file:PATH, command:ARGV or container-env:NAME; it is not "
                "shown here"
            )
        )
    rest = match["rest"]
    if match["kind"] == "env":
        value = _from_mapping(reference, rest, os.environ)
    elif match["kind"] == "container-env":
        value = _from_mapping(reference, rest, container_env or {})
    elif match["kind"] == "file":
        value = _from_file(reference, rest)
    else:
        value = _from_command(reference, rest)
    if not value.strip():
        raise InputError(
            say("secret {reference}: empty; expected a value. Set it, or correct the reference", reference=reference)
        )
    return Secret(value)


def _from_mapping(reference: str, name: str, mapping: Mapping[str, str]) -> str:
    if name not in mapping:
        raise InputError(
            say("secret {reference}: not set. Set it, or correct the reference in inventory.yaml", reference=reference)
        )
    return _text(reference, os.fsencode(mapping[name]))


def _from_file(reference: str, name: str) -> str:
    try:
        path = Path(name).expanduser()
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            say(
                "secret {reference}: {strerror}. Try: ls -l {path}",
                reference=reference,
                strerror=error.strerror,
                path=path,
            )
        ) from error
    except (ValueError, RuntimeError) as error:  # a NUL in the path; a home that nobody has
        raise InputError(
            say("secret {reference}: {error}; expected the path of a file", reference=reference, error=error)
        ) from error
    return _text(reference, content).rstrip("\r\n")


def _from_command(reference: str, command: str) -> str:
    if not command.split():
        raise InputError(say("secret {reference}: no program; expected command:ARGV", reference=reference))
    try:
        answer = subprocess.run(command.split(), capture_output=True, timeout=COMMAND_DEADLINE_S, check=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise InputError(
            say("secret {reference}: {name}. Run it by hand to see why", reference=reference, name=type(error).__name__)
        ) from error
    return _text(reference, answer.stdout).rstrip("\r\n")


def _text(reference: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        # No cause: it carries the bytes.
        raise InputError(
            say(
                "secret {reference}: byte {start} is not UTF-8; expected text. Save it as UTF-8, or as base64 if it "
                "is a key",
                reference=reference,
                start=error.start,
            )
        ) from None
