"""Where `docker inspect` shows secrets: environment, labels, command lines, health checks, options of logs
and mounts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from engine.redaction.secret_patterns import (
    ASSIGNMENT,
    BEARER,
    FLAG,
    MARK,
    PRIVATE_KEY,
    SENTENCE,
    URL_PASSWORD,
    is_secret,
    tokens_in,
)

FLAG_ALONE: Final = re.compile(
    r"(?i)--?[\w-]*(?:pass(?:word|wd|phrase)?|secret|token|credentials?|(?:api|access|private|encryption)-?_?key)"
)
FLAG_WITH_VALUE: Final = re.compile(rf"{FLAG_ALONE.pattern}=(.+)", re.DOTALL)
SHORT: Final = {
    "redis-cli": "-a",
    "mysql": "-p",
    "mysqladmin": "-p",
    "curl": "-u",
    "sshpass": "-p",
    "mongo": "-p",
    "mongosh": "-p",
    "ldapsearch": "-w",
}
"""Programs whose short flag is followed by a password (https://redis.io/docs/latest/develop/tools/cli/, man curl, man
mysql).
"""

NOT_VALUES: Final = frozenset({"true", "false", "yes", "no", "none"})
REFERS: Final = re.compile(r"\$|/run/secrets/|/etc/|/var/|/usr/")
"""A variable of the shell or a file of the container: where a secret is, not the secret."""


def secrets_of(inspect: Mapping[str, Any], marked: Collection[str] = ()) -> Iterator[str]:
    """Yield the values in an inspect answer that are secrets; `marked` are names of variables and labels whose values
    count as such.
    """
    config, host = inspect.get("Config") or {}, inspect.get("HostConfig") or {}
    variables = [tuple(line.partition("=")[::2]) for line in config.get("Env") or ()]
    labels = (config.get("Labels") or {}).items()
    for name, value in (*variables, *labels):
        yield from _of_pair(str(name), str(value), marked)
    for option in _options(host):
        yield from _of_pair(*option, marked)
    for argv in _command_lines(inspect, config):
        yield from secrets_of_argv(argv)


def _of_pair(name: str, value: str, marked: Collection[str]) -> Iterator[str]:
    if (name in marked or is_secret(name, value)) and value.lower() not in NOT_VALUES and not REFERS.match(value):
        yield value
    yield from secrets_in_text(value)


def _options(host: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield options of the log driver and of mounts' drivers: Splunk's token, the password of a network share."""
    yield from ((str(name), str(value)) for name, value in ((host.get("LogConfig") or {}).get("Config") or {}).items())
    for mount in host.get("Mounts") or ():
        driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
        for name, value in (driver.get("Options") or {}).items():
            yield str(name), str(value)
            yield from (
                (key, found) for key, equals, found in (part.partition("=") for part in str(value).split(",")) if equals
            )


def _command_lines(inspect: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[list[str]]:
    health = (config.get("Healthcheck") or {}).get("Test")
    for argv in (config.get("Cmd"), config.get("Entrypoint"), inspect.get("Args"), health):
        if isinstance(argv, list | tuple):
            yield [str(word) for word in argv]
        elif isinstance(argv, str):
            yield argv.split()


def secrets_of_argv(argv: Iterable[str]) -> Iterator[str]:
    """Yield the secrets of a command line: values of flags that name a secret, of short flags of known programs, and
    those in scripts.
    """
    words = [word for part in argv for word in (part, *part.split())]
    short = {flag for word in words for program, flag in SHORT.items() if word.rpartition("/")[2] == program}
    for word, following in pairwise([*words, ""]):
        value = FLAG_WITH_VALUE.fullmatch(word)
        candidate = value[1] if value else following if FLAG_ALONE.fullmatch(word) or word in short else ""
        candidate = candidate.rpartition(":")[2] if word == "-u" else candidate
        candidate = candidate.strip("'\"")
        if (
            candidate
            and not candidate.startswith("-")
            and not REFERS.match(candidate)
            and candidate.lower() not in NOT_VALUES
        ):
            yield candidate
        yield from (match["value"] for match in SENTENCE.finditer(word) if not REFERS.match(match["value"]))
    for word in words:
        yield from secrets_in_text(word)


def secrets_in_text(text: str) -> Iterator[str]:
    """Yield the secrets that a text shows by their form: passwords in URLs, keys, tokens, assignments."""
    yield from (match["password"] for match in URL_PASSWORD.finditer(text))
    yield from (match[0] for match in PRIVATE_KEY.finditer(text))
    for pattern in (ASSIGNMENT, FLAG, BEARER):
        yield from (
            match["value"]
            for match in pattern.finditer(text)
            if MARK not in match["value"] and not REFERS.match(match["value"])
        )
    yield from tokens_in(text)
