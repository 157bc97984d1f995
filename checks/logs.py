"""Judge a container's log lines since a moment against what is known to be trouble or only noise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from engine.errors import CouldNotLookError
from engine.model import Host, LogPattern
from engine.verdict import Judgement, failed, passed

LOG_S: Final = 60.0
LINES_AT_MOST: Final = 20_000
SHOWN: Final = 20
LINE_LENGTH: Final = 300


def read_log_lines(host: Host, container: str, since: datetime | None = None) -> tuple[str, ...]:
    """Return a container's log lines (stdout and stderr) since an aware UTC time, at most the last 20,000."""
    argv = ["docker", "logs", "--tail", str(LINES_AT_MOST)]
    if since is not None:
        argv += ["--since", since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")]
    result = host.run([*argv, container], timeout_s=LOG_S)
    if result.exit_code != 0:
        raise CouldNotLookError(
            f"{host.name}: no log of {container}: {result.error_text}. Expected: docker logs answers (json-file, local or "
            f"journald). Try: ssh {host.name} docker logs --tail 5 {container}"
        )
    text = result.text + result.stderr.decode("utf-8", "backslashreplace")
    return tuple(text.splitlines())


def judge_logs(
    where: str,
    lines: Iterable[str],
    trouble: Sequence[LogPattern],
    noise: Sequence[LogPattern],
    *,
    empty_is_fine: bool = True,
) -> Judgement:
    """Judge log lines of `where` ("redis on wf001"): trouble that is not noise is FAILED, with pattern and reason."""
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
            f"{where}: {len(hits)} of {seen:,} log lines mean trouble, first: {line} ({pattern.reason}). Expected: none. "
            "Read the lines below; add what is harmless to the product's noise with its reason",
            tuple(f"{hit}  [{known.reason}]" for hit, known in hits[:SHOWN]),
            lines=seen,
            trouble_lines=len(hits),
        )
    if not seen and not empty_is_fine:
        return failed(f"{where}: 0 log lines. Expected: at least one since its start. Try: docker logs on the host", lines=0)
    return passed(
        f"{where}: none of {seen:,} log lines matches {len(trouble)} trouble patterns",
        lines=seen,
        patterns=len(trouble),
    )
