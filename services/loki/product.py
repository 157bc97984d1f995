"""Loki: takes lines and gives them back, keeps getting those of its shippers, and answers the same about the same
past.

Known: by its documentation only (3.x); a stand-in with the same API was run. Chunks that are not flushed at its stop
lie in its write-ahead log, which travels with its volume and is replayed (docs: "Write Ahead Log").
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any, Final

import requests

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.product import LogPattern, RestoreCommand, ServiceInstance
from engine.errors import UnreachableError
from engine.finding import say
from engine.polling import Polling
from engine.verdict import Judgement, failed, passed
from services.clients.http import judge_http
from services.loki.client import NS, count_lines, list_streams, read_lines, selector_of, send

SETTLED_S: Final = 2 * 3600
"""Younger lines may still come, out of order (docs: max_chunk_age 2 h)."""
WINDOW_S: Final = 30 * 86_400
"""The longest time that one question may be about (docs: max_query_length 30d1h)."""
COMPARED_DAYS: Final = 90
READ_BACK_S: Final = 10.0
ARRIVAL_S: Final = 45.0


class Product(contract.Product):
    """The log store."""

    name = "loki"
    image_names: tuple[str, ...] = ("loki",)
    settings_role = "Loki's settings"
    acts_on_start = False
    stop_grace_s = 300
    clean_exit_codes: frozenset[int] = frozenset({0})
    ready_deadline_s = 120.0
    state_paths: tuple[str, ...] = ("/loki",)
    writable_noise: tuple[str, ...] = ("/tmp/*", "/run/*")  # noqa: S108 paths in the container
    trouble: tuple[LogPattern, ...] = (
        LogPattern(r"failed to flush chunks", say("chunks can't be written to its store")),
        LogPattern(
            r"failed downloading chunks|error fetching chunks",
            say("a chunk that its index names can't be read: queries answer without its lines"),
        ),
        LogPattern(r"error running loki", say("it did not start")),
        LogPattern(r"too many unhealthy instances in the ring", say("its ring still knows the old instance")),
        LogPattern(r"permission denied", say("its files can't be read or written")),
        LogPattern(
            r"(?i)no space left on device|Error writing to WAL, disk full|disk usage exceeded threshold",
            say("the disk is full"),
        ),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(r"recovering from checkpoint|WAL recovery finished", say("the normal replay after a start")),
        LogPattern(r"empty ring", say("the first minute of its ring")),
        LogPattern(r"chunks.*context canceled", say("a client that did not wait for its answer")),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask /ready: 503 while it starts, replays its log, or waits for 15 s after being ready."""
        return judge_http(at, "/ready")

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Push a line and read it back; see new lines of the shippers that the inventory names arrive."""
        stream, moment = {"job": "longshore", "nonce": nonce}, time.time_ns()
        answer = send(
            at, "POST", "/loki/api/v1/push", content={"streams": [{"stream": stream, "values": [[str(moment), nonce]]}]}
        )
        if answer.status_code != requests.codes.no_content:
            return failed(
                say(
                    "{where}: a pushed line is refused: {status_code} {text}. Expected: 204",
                    where=at.where,
                    status_code=answer.status_code,
                    text=answer.text.strip()[:200],
                )
            )
        back = Polling("the pushed line can be read", READ_BACK_S).judge(
            lambda: _judge_read_back(at, selector_of(stream), moment, nonce)
        )
        _remove(at, selector_of(stream), moment)
        if not back.passed:
            return back
        arriving = Polling("lines arrive", ARRIVAL_S).judge(lambda: _judge_arriving(at, time.time_ns()))
        return (
            passed(
                say(
                    "{where}: {back_text}; {arriving_text}",
                    where=at.where,
                    back_text=back.text,
                    arriving_text=arriving.text,
                )
            )
            if arriving.passed
            else arriving
        )

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read of every stream, in a past that does not change, how many lines there are, and the first and last
        thousand.
        """
        parts: dict[str, FingerprintPart] = {}
        for start_ns, end_ns in _windows(at, since):
            for stream in list_streams(at, start_ns, end_ns):
                name = f"stream {selector_of(stream)} of {_day(start_ns)} to {_day(end_ns)}"
                parts[name] = _lines(at, stream, start_ns, end_ns)
        return Fingerprint(at.service, parts)

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export: its chunks and index are archived as files."""
        return ()

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:  # noqa: ARG002
        """Return nothing to do: it starts from its archived files and replays its write-ahead log, as after a power
        cut.
        """
        return ()


def _day(moment_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(moment_ns // NS))


def _windows(at: ServiceInstance, since: Fingerprint | None) -> Iterator[tuple[int, int]]:
    """Yield the times to compare, none longer than one question may be about: those of `since`, else up to two hours
    ago.
    """
    if since is not None and since.parts:
        yield from sorted(
            {(int(part.bound["start_s"]) * NS, int(part.bound["end_s"]) * NS) for part in since.parts.values()}
        )
        return
    end_s = (int(time.time()) - SETTLED_S) // 60 * 60
    start_s = end_s - int(at.options.get("compared_days", COMPARED_DAYS)) * 86_400
    while start_s < end_s:
        yield max(start_s, end_s - WINDOW_S) * NS, end_s * NS
        end_s -= WINDOW_S


def _lines(at: ServiceInstance, stream: dict[str, str], start_ns: int, end_ns: int) -> FingerprintPart:
    count = count_lines(at, stream, start_ns, end_ns)
    digest = hashlib.sha256(str(count).encode())
    for direction in ("forward", "backward"):
        for moment, line in read_lines(at, selector_of(stream), start_ns, end_ns, direction=direction):
            digest.update(f"{moment} {line}\n".encode())
    return FingerprintPart(
        count, digest.hexdigest(), Validity.SINCE_CUTOVER, {"start_s": start_ns // NS, "end_s": end_ns // NS}
    )


def _judge_read_back(at: ServiceInstance, selector: str, moment: int, nonce: str) -> Judgement:
    seen = read_lines(at, selector, moment - NS, moment + NS)
    if (moment, nonce) in seen:
        return passed(say("a line was pushed and read back"))
    return failed(
        say(
            "{where}: the pushed line is not found: {count} lines in its stream. Expected: 1 within {read_back_s:.0f} "
            "s",
            where=at.where,
            count=len(seen),
            read_back_s=READ_BACK_S,
        )
    )


def _remove(at: ServiceInstance, selector: str, moment: int) -> None:
    """Ask for the deletion of our line; without retention Loki has no deletion (404), and the line stays in a stream of
    its own.
    """
    span = {"query": selector, "start": moment // NS - 1, "end": moment // NS + 1}
    send(at, "POST", "/loki/api/v1/delete", params=span)


def _judge_arriving(at: ServiceInstance, now_ns: int) -> Judgement:
    """Judge whether each selector of the inventory's `arriving` has a line of the last minute."""
    wanted: list[Any] = list(at.options.get("arriving") or ())
    if not wanted:
        return passed(say("no shipper is declared, so none was waited for"))
    try:
        silent = [
            str(selector)
            for selector in wanted
            if not read_lines(at, str(selector), now_ns - 60 * NS, now_ns, direction="backward", limit=1)
        ]
    except UnreachableError as error:
        return failed(str(error))
    if silent:
        return failed(
            say(
                "{where}: no line of the last minute from {silent}. Expected: its shippers send here: look at their "
                "address",
                where=at.where,
                silent=", ".join(silent),
            )
        )
    return passed(say("lines of the last minute from {count} of {count} shippers", count=len(wanted)))
