"""Prometheus: ready after its WAL is replayed, scrapes its targets, and answers the same about the same past."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.product import LogPattern, RestoreCommand, ServiceInstance
from engine.errors import NotObservedError, UnreachableError
from engine.finding import joined, say
from engine.polling import Polling
from engine.verdict import Judgement, Verdict, failed, passed
from services.clients.http import LONG_DEADLINE_S, ask_once, judge_http
from services.fingerprints.compare import compare_fingerprints
from services.fingerprints.container_settings import below_work, value_of, words_of

DATA: Final = "/prometheus"
HEAD_S: Final = 3 * 3600
"""Samples younger than about three hours may still be in the head, whose files change: only older time is compared."""
STEPS: Final = 200
LONGEST_WINDOW_S: Final = 400 * 86_400
SCRAPES_DEADLINE_S: Final = 40.0
UNIT_S: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
DURATION_PART: Final = re.compile(r"(\d+)(ms|[smhdwy])")
DURATION: Final = re.compile(rf"(?:{DURATION_PART.pattern})+")
BLOCK_FILES: Final = ("meta.json", "index", "tombstones")


class Product(contract.Product):
    """The metrics store."""

    name = "prometheus"
    image_names: tuple[str, ...] = ("prometheus",)
    settings_role = "Prometheus target"
    acts_on_start = False
    stop_grace_s = 120
    clean_exit_codes: frozenset[int] = frozenset({0})
    ready_deadline_s = 180.0
    state_paths: tuple[str, ...] = (DATA,)
    writable_noise: tuple[str, ...] = ("/tmp/*",)  # noqa: S108
    trouble: tuple[LogPattern, ...] = (
        LogPattern(r"opening storage failed|corrupted block", say("its files are damaged")),
        LogPattern(r"Encountered WAL read error", say("its write-ahead log is damaged")),
        LogPattern(
            r"A lockfile from a previous execution already existed",
            say("the files were copied while it ran, or it was killed"),
        ),
        LogPattern(r"Error loading config|Error on ingesting out-of-order", say("configuration or samples are wrong")),
        LogPattern(
            r"permission denied|Unable to create mmap-ed active query log", say("the owner of its files is wrong")
        ),
        LogPattern(r"no space left on device", say("the disk is full")),
    )
    noise: tuple[LogPattern, ...] = (LogPattern(r"Replaying WAL|WAL segment loaded", say("the normal start")),)

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask /-/ready: 503 while the WAL is replayed."""
        return judge_http(at, "/-/ready")

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:  # noqa: ARG002 it takes no writes of ours
        """Judge targets, rules and its own state; freshly started, it needs a scrape interval or two."""
        return Polling("every target is scraped", SCRAPES_DEADLINE_S, first_s=0.5).judge(lambda: self._smoke_once(at))

    def _smoke_once(self, at: ServiceInstance) -> Judgement:
        where = say("{service} on {host}", service=at.service, host=at.container.host)
        targets = _data(at, "/api/v1/targets", {"state": "active"})["activeTargets"]
        runtime = _data(at, "/api/v1/status/runtimeinfo")
        groups = _data(at, "/api/v1/rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        wrong = [
            say(
                "target {scrapeurl}: {health} {lasterror}",
                scrapeurl=t["scrapeUrl"],
                health=t["health"],
                lasterror=t["lastError"],
            ).strip()
            for t in targets
            if t["health"] != "up"
        ]
        wrong += [
            say("target {scrapeurl}: last scraped {lastscrape}", scrapeurl=t["scrapeUrl"], lastscrape=t["lastScrape"])
            for t in targets
            if t["health"] == "up" and _is_old(t)
        ]
        wrong += [
            say("rule {name}: {lasterror}", name=rule["name"], lasterror=rule["lastError"])
            for rule in rules
            if rule.get("lastError")
        ]
        wrong += [say("its configuration was not reloaded")] if not runtime["reloadConfigSuccess"] else []
        wrong += (
            [say("{corruptioncount} corruptions", corruptioncount=runtime["corruptionCount"])]
            if runtime["corruptionCount"]
            else []
        )
        if wrong or not targets:
            return failed(
                say(
                    "{where}: {wrong}. Expected: all targets up and scraped, no errors",
                    where=where,
                    wrong=joined("; ", wrong[:5]) or say("no target at all"),
                )
            )
        return passed(
            say(
                "{where}: {targets_count} of {targets_count} targets up, {rules_count} rules without error",
                where=where,
                targets_count=len(targets),
                rules_count=len(rules),
            ),
            targets=len(targets),
        )

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read configuration, rules, each block's files, and samples of a past that does not change.

        Targets are in the configuration; those that were discovered come seconds after the start, so smoke judges them.
        Files come first: a damaged block makes Prometheus refuse the query (its chunks carry checksums), and then it is
        the file that must be named. Raises AssertionError for that, CouldNotLookError when the files are as before.
        """
        blocks = _blocks(at, since)
        try:
            answered = _answered(at, since)
        except NotObservedError as error:
            _refuse_damaged(at, blocks, since, error)
            raise
        return Fingerprint(at.service, blocks | answered)

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return where its blocks lie: without the flag below its working directory (`prometheus --help`:
        storage.tsdb.path, default data/).
        """
        words = words_of(container)
        return (
            (below_work(container, value_of(words, "--storage.tsdb.path") or "data/"),) if words else self.state_paths
        )

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export: its blocks are archived as files."""
        return ()

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:  # noqa: ARG002
        """Return nothing to do: it starts from its archived files, as after a power cut."""
        return ()


def _data(at: ServiceInstance, path: str, params: dict[str, Any] | None = None) -> Any:
    answer = ask_once(at, path, params=params, deadline_s=LONG_DEADLINE_S)
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if body.get("status") != "success":
        reason = body.get("error") or say("HTTP {status_code}", status_code=answer.status_code)
        raise UnreachableError(
            say(
                "{service} on {host}: GET {path}: {reason}. Try: its page /status",
                service=at.service,
                host=at.container.host,
                path=path,
                reason=str(reason)[:200],
            )
        )
    return body["data"]


def _is_old(target: Mapping[str, Any]) -> bool:
    """Return whether the last scrape is older than two intervals and a second."""
    scraped = datetime.fromisoformat(
        str(target["lastScrape"])[:19] + "+00:00"
        if str(target["lastScrape"]).endswith("Z")
        else str(target["lastScrape"])
    )
    return time.time() - scraped.timestamp() > 2 * _seconds(str(target.get("scrapeInterval") or "1m")) + 1


def _seconds(duration: str) -> float:
    """Return a duration as Prometheus writes it (`1m30s`, `500ms`, `1h`) in seconds; raises CouldNotLookError for
    another form.
    """
    if not DURATION.fullmatch(duration):
        raise NotObservedError(
            say(
                'prometheus: scrape interval "{duration}" not understood. Expected: like 1m30s. Look at its page '
                "/targets",
                duration=duration,
            )
        )
    return sum(int(number) * UNIT_S[unit] for number, unit in DURATION_PART.findall(duration))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _one(value: Any) -> FingerprintPart:
    return FingerprintPart(1, _digest(value))


def _answered(at: ServiceInstance, since: Fingerprint | None) -> dict[str, FingerprintPart]:
    """Return the parts that Prometheus itself reports."""
    parts = {
        "configuration": _one(_data(at, "/api/v1/status/config")["yaml"]),
        "retention": _one(_data(at, "/api/v1/status/flags").get("storage.tsdb.retention.time", "")),
        "rules": _rules(at),
    }
    return parts | _samples(at, since)


def _refuse_damaged(
    at: ServiceInstance, blocks: Mapping[str, FingerprintPart], since: Fingerprint | None, error: NotObservedError
) -> None:
    """Raise AssertionError naming the files when blocks differ from those recorded: that is why nothing
    could be asked.
    """
    before = {name: part for name, part in (since.parts if since else {}).items() if name.startswith("block ")}
    seen = compare_fingerprints(Fingerprint(at.service, before), Fingerprint(at.service, blocks))
    if seen.verdict is Verdict.FAILED:
        raise AssertionError(f"{seen.text}. Nothing else could be compared: {error}") from error


def _rules(at: ServiceInstance) -> FingerprintPart:
    groups = _data(at, "/api/v1/rules")["groups"]
    rules = sorted((group["name"], rule["name"], rule["query"]) for group in groups for rule in group["rules"])
    return FingerprintPart(len(rules), _digest(rules))


def _window(at: ServiceInstance, since: Fingerprint | None) -> tuple[float, float]:
    """Return the past that is compared: from the oldest sample to three hours ago, the same on both sides."""
    for part in since.parts.values() if since else ():
        if "window_start" in part.bound:
            return float(part.bound["window_start"]), float(part.bound["window_end"])
    end = float(int(time.time()) - HEAD_S)
    answer = _data(at, "/api/v1/query", {"query": "prometheus_tsdb_lowest_timestamp_seconds", "time": time.time()})[
        "result"
    ]
    oldest = _oldest(at) if not answer else float(answer[0]["value"][1])
    return max(oldest, end - LONGEST_WINDOW_S), end


def _oldest(at: ServiceInstance) -> float:
    stats = _data(at, "/api/v1/status/tsdb").get("headStats", {})
    text = ask_once(at, "/metrics").text
    for line in text.splitlines():
        if line.startswith("prometheus_tsdb_lowest_timestamp_seconds "):
            return float(line.split()[1])
    return float(stats.get("minTime", 0)) / 1000


def _samples(at: ServiceInstance, since: Fingerprint | None) -> dict[str, FingerprintPart]:
    """Return, per metric name, how many samples there are in the fixed window, and their averages over it."""
    start, end = _window(at, since)
    bound = {"window_start": start, "window_end": end}
    names = _data(at, "/api/v1/label/__name__/values", {"start": start, "end": end})
    step = max(60, int((end - start) / STEPS))
    parts = {}
    for name in names:
        selector = f'{{__name__="{name}"}}'
        counts = f"sum(count_over_time({selector}[{step}s]))"
        values = f"sum(avg_over_time({selector}[{step}s]))"
        counted, averaged = (_range(at, query, start, end, step) for query in (counts, values))
        total = int(sum(float(value) for _, value in counted))
        if total:
            parts[f"samples of {name}"] = FingerprintPart(
                total, _digest([counted, averaged]), Validity.SINCE_CUTOVER, bound
            )
    return parts


def _range(at: ServiceInstance, query: str, start: float, end: float, step: int) -> list[Any]:
    params = {"query": query, "start": start, "end": end, "step": step}
    result = _data(at, "/api/v1/query_range", params)["result"]
    return list(result[0]["values"]) if result else []


def _blocks(at: ServiceInstance, since: Fingerprint | None) -> dict[str, FingerprintPart]:
    """Return each block's files; a block that was compacted away since is reported as it was: its samples are compared
    above.
    """
    blocks: dict[str, dict[str, str]] = {}
    for path, digest in at.files(DATA).items():
        folder, _, rest = path.partition("/")
        if rest in BLOCK_FILES or (len(folder) == 26 and rest.startswith("chunks/")):  # noqa: PLR2004 a ULID
            blocks.setdefault(folder, {})[rest] = digest
    blocks = {ulid: files for ulid, files in blocks.items() if "meta.json" in files}
    parts = {f"block {ulid}": _block(files) for ulid, files in blocks.items()}
    for name, part in (since.parts if since else {}).items():
        if name.startswith("block ") and name not in parts:
            parts[name] = part
    return parts


def _block(files: dict[str, str]) -> FingerprintPart:
    names = {name: digest[:16] for name, digest in files.items() if name != "tombstones"}
    return FingerprintPart(len(names), _digest(names), Validity.SINCE_CUTOVER, {}, names)
