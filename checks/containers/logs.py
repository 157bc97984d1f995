"""Judge a container's log lines since a moment against what is known to be trouble or only noise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.contracts.container import ContainerFacts
from engine.contracts.host import Host
from engine.contracts.product import LogPattern
from engine.errors import NotObservedError
from engine.finding import say
from engine.verdict import Judgement, failed, passed, unknown

LOG_S: Final = 60.0
LINES_AT_MOST: Final = 20_000
FIRST: Final = timedelta(minutes=10)
BEGINNING: Final = 'docker logs --since "$1" --until "$2" "$3" 2>&1 | head -n "$0"'
"""Without --tail: it counts from the newest line back, before --until is looked at (moby,
`daemon/logger/loggerutils/logfile.go`).
"""
SHOWN: Final = 20
LINE_LENGTH: Final = 300


@dataclass(frozen=True)
class LogLines:
    """A container's log lines since it was started; `cut`: how many more there may be that were not read, and why."""

    lines: tuple[str, ...]
    cut: str = ""


def read_since_start(host: Host, container: ContainerFacts) -> LogLines:
    """Return what a container wrote since it was started: its first ten minutes, and the newest lines.

    Its start is asked by the host's own clock, the one that dates the lines: another machine's may be ahead.
    Where a driver keeps a few files only, the oldest lines are gone (docs: "JSON File logging driver", max-size,
    max-file).
    """
    started = str((container.raw.get("State") or {}).get("StartedAt") or "")
    if not started or started.startswith("0001-"):
        raise NotObservedError(
            say(
                "{host}: {name} was never started. Try: ssh {host} docker ps -a",
                host=container.host,
                name=container.name,
            )
        )
    newest = _lines(
        host, container.name, ["docker", "logs", "--tail", str(LINES_AT_MOST), "--since", started, container.name]
    )
    if len(newest) < LINES_AT_MOST:
        return LogLines(newest, _rotation(container))
    ends = (datetime.fromisoformat(started[:19]).replace(tzinfo=UTC) + FIRST).strftime("%Y-%m-%dT%H:%M:%SZ")
    first = _lines(host, container.name, ["sh", "-c", BEGINNING, str(LINES_AT_MOST), started, ends, container.name])
    return LogLines(
        (*first, *newest),
        f"its first {FIRST.seconds // 60} minutes and the newest {LINES_AT_MOST:,} lines, none between",
    )


def _rotation(container: ContainerFacts) -> str:
    """Return what its driver throws away, empty when it keeps all."""
    config = (container.raw.get("HostConfig") or {}).get("LogConfig") or {}
    kept = {
        name: str(value) for name, value in (config.get("Config") or {}).items() if name in {"max-size", "max-file"}
    }
    kept |= {"driver": "local, 5 files of 20 MB"} if config.get("Type") == "local" and not kept else {}
    return f"older ones may be gone ({', '.join(f'{name} {value}' for name, value in kept.items())})" if kept else ""


def _lines(host: Host, container: str, argv: list[str]) -> tuple[str, ...]:
    result = host.run(argv, timeout_s=LOG_S)
    if result.exit_code != 0:
        raise NotObservedError(
            say(
                "{name}: no log of {container}: {error_text}. Expected: docker logs answers (json-file, local or "
                "journald). Try: ssh {name} docker logs --tail 5 {container}",
                name=host.name,
                container=container,
                error_text=result.error_text,
            )
        )
    return (*result.text.splitlines(), *result.stderr.decode("utf-8", "backslashreplace").splitlines())


def judge_logs(
    where: str, lines: Iterable[str], trouble: Sequence[LogPattern], noise: Sequence[LogPattern], cut: str = ""
) -> Judgement:
    """Judge log lines of `where` ("redis on wf001"): trouble that is not noise is FAILED, with pattern and reason; no
    line is UNKNOWN.

    `cut` says what of the log was not read.
    """
    seen = 0
    hits: list[tuple[str, LogPattern]] = []
    compiled = [(re.compile(pattern.pattern), pattern) for pattern in trouble]
    quiet = [re.compile(pattern.pattern) for pattern in noise]
    for line in lines:
        seen += 1
        match = next((pattern for expression, pattern in compiled if expression.search(line)), None)
        if match is not None and not any(expression.search(line) for expression in quiet):
            hits.append((line[:LINE_LENGTH], match))
    if hits:
        line, pattern = hits[0]
        return failed(
            say(
                "{where}: {count} of {seen:,} log lines mean trouble, first: {line} ({reason}). Expected: none. Read "
                "the lines below; add what is harmless to the product's noise with its reason",
                where=where,
                count=len(hits),
                seen=seen,
                line=line,
                reason=pattern.reason,
            ),
            tuple(say("{hit}  [{reason}]", hit=hit, reason=known.reason) for hit, known in hits[:SHOWN]),
            lines=seen,
            trouble_lines=len(hits),
        )
    if not seen:
        return unknown(
            say(
                "{where}: 0 log lines since its start. Expected: at least one, to be judged: it may write to a file "
                "of its own, or its driver keeps nothing. Look: docker logs on the host, and the product's own log "
                "files",
                where=where,
            )
        )
    return passed(
        say(
            "{where}: none of {seen:,} log lines since its start matches {count} trouble patterns{cut}",
            where=where,
            seen=seen,
            count=len(trouble),
            cut=f"; {cut}" if cut else "",
        ),
        lines=seen,
        patterns=len(trouble),
    )
