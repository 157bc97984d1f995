"""Pages of nights that a test writes: one that failed, a quiet validation after another, one of many rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event

from engine.evidence.page.html import render
from engine.evidence.page.page import view_of
from engine.i18n.language import language_of
from engine.verdict import ExitCode
from tests.fakes.run_on_record import Night

SERVICES: Final = {
    "postgres": "wf002",
    "n8n": "wf001",
    "keycloak": "wf002",
    "grafana": "wf001",
    "prometheus": "wf001",
    "loki": "wf001",
    "redis": "wf001",
    "minio": "wf001",
    "rabbitmq": "wf001",
    "caddy": "wf002",
    "waha": "wf002",
    "metabase": "wf002",
    "temporal": "wf001",
}
MOVES: Final = [
    {"service": service, "source": "wf005", "target": target, "wave": "critical", "strategy": "stop_copy"}
    for service, target in SERVICES.items()
]
DEEDS: Final = (
    "start-probe",
    "stop-source",
    "copy-volumes",
    "verify-volumes",
    "create-target",
    "commit",
    "measure-outage",
)
ESTIMATES: Final = {"stop-source": 4.0, "copy-volumes": 40.0, "verify-volumes": 12.0}
FAILING: Final = "minio"
APPROVED: Final = (
    "approved by ana@example.org (technical, 2026-01-01 10:00 UTC by the signer's clock), "
    "rui@example.org (business, 2026-01-01 11:00 UTC by the signer's clock)"
)


def quick(night: Night) -> Night:
    """Let the journal write without waiting for the disk: a test loses nothing when the power fails."""
    event.listen(night.journal.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    night.journal.engine.dispose()
    return night


def page_of(night: Night, place: Path, language: str = "en") -> Path:
    """Draw the run into a file and return it."""
    file = place / f"report.{language}.html"
    file.write_text(render(view_of(night.journal, night.run.id, language_of(language))), encoding="utf-8")
    return file


def failed_night(path: Path) -> Night:
    """Return a migration of thirteen services whose eighth failed and was undone."""
    night = quick(Night(path, "migrate", MOVES))
    night.step_s = 0
    for host, address in (("wf005", "192.0.2.5"), ("wf002", "192.0.2.2")):
        about = {
            "name": host,
            "address": address,
            "ssh_key_fingerprint": "SHA256:" + "k" * 43,
            "error": "",
            "os": "Debian 12",
        }
        night.run.record("host_observed", body={**about, "docker_version": "26.1.5"})
    night.row("PASSED", APPROVED, None, "gate-approved", subject="all")
    for service in SERVICES:
        _move(night, service, fails=service == FAILING)
        if service == FAILING:
            break
    for service in list(SERVICES)[list(SERVICES).index(FAILING) + 1 :]:
        for key in DEEDS:
            night.row("NOT_RUN", f"not run: the move of {FAILING} stopped", service, key)
    _add_sections(night)
    night.run.finish({}, ExitCode.FAILED)
    return night


def _move(night: Night, service: str, *, fails: bool) -> None:
    night.run.record("move_state", service=service, body={"state": "in_progress"})
    stopped = night.now
    for key in DEEDS:
        if key == "stop-source":
            stopped = night.now
        bad = fails and key == "verify-volumes"
        night.run.record("intent", service=service, key=key, body={"describe": key, "estimate_s": ESTIMATES.get(key)})
        night.now += timedelta(seconds=ESTIMATES.get(key, 1.0) * 1.1)
        note = {"copied": {}, "size_bytes": 2_600_000_000} if key == "copy-volumes" else {}
        night.run.record("outcome", service=service, key=key, body={"ok": not bad, "text": "", "note": note})
        if bad:
            night.run.record(
                "container_log",
                service=service,
                body={"title": f"{service} on wf001, before the undo", "lines": [f"line {n}" for n in range(60)]},
            )
            night.run.record(
                "source_verified", service=service, body={"ok": True, "text": f"{service} serves on wf005"}
            )
            night.run.record("move_state", service=service, body={"state": "undone"})
            night.row(
                "FAILED",
                "2 of 1,204 files differ: bucket/object-1",
                service,
                key,
                details=["bucket/object-1: content", "bucket/object-2: size"],
            )
            return
        night.row("PASSED", "1,204 of 1,204 files are the same", service, key)
    outage = {
        "seconds": (night.now - stopped).total_seconds(),
        "error_bar_s": 0.1,
        "from_at": stopped.isoformat(),
        "to_at": night.now.isoformat(),
    }
    night.run.record("outage", service=service, body=outage)
    night.run.record("move_state", service=service, body={"state": "done"})


def _add_sections(night: Night) -> None:
    """Record what other sections are drawn from: tables, fingerprints, a waiver, a warning."""
    columns = [
        "host",
        "from",
        "CPU",
        "memory",
        "free disk",
        "answer",
        "note that is rather long so that it has to be wrapped on paper",
    ]
    rows: list[list[Any]] = [
        [host, "wf005", "34 %", "91 %", 120_000_000_000, "PASSED", "a sentence of some length about this host"]
        for host in SERVICES
    ]
    night.run.record("report_table", body={"title": "Capacity and network", "columns": columns, "rows": rows})
    parts = {
        f"table orders.{name}": {"count": 12_345, "digest": "ab" * 32, "holds": "since_cutover", "bound": {}}
        for name in ("lines", "customers")
    }
    for moment, host in (("source", "wf005"), ("target", "wf002")):
        night.run.record(
            "fingerprint",
            service="postgres",
            body={"service": "postgres", "moment": moment, "host": host, "parts": parts},
        )
    night.run.record(
        "waiver",
        key="clock",
        body={"person": "ana@example.org", "role": "technical", "reason": "mended soon", "until": "2026-01-02"},
    )
    night.row(
        "FAILED",
        "2 s off",
        "redis",
        "clock",
        severity="warning",
        sentence="Its clock is within one second of the operator's.",
    )
    night.row(
        "WAIVED", "3 s off; waived", "redis", "clock-2", sentence="Its clock is within one second of the operator's."
    )


def validations(path: Path) -> Night:
    """Return the second of two validations: one problem is new, one is fixed, one step is slower, a host's Docker is
    newer.
    """
    night = quick(Night(path, "validate", MOVES))
    for number in range(2):
        if number:
            night.run.finish({}, ExitCode.OK)
            night.run = night.another("validate", MOVES)
        night.run.record(
            "host_observed",
            body={
                "name": "wf002",
                "address": "a",
                "ssh_key_fingerprint": "k",
                "error": "",
                "docker_version": f"26.{number}",
            },
        )
        for service in SERVICES:
            wrong = service == ("redis", "grafana")[number]
            night.row(
                "FAILED" if wrong else "PASSED",
                "1 of 3 rows",
                service,
                "smoke",
                duration_s=9.0 if number and service == "caddy" else 1.0,
            )
    night.run.finish({}, ExitCode.OK)
    return night


def many_rows(path: Path, count: int) -> Night:
    """Return a validation of so many steps, one in five hundred of which failed."""
    night = quick(Night(path, "validate", MOVES))
    for number, service in zip(range(count), _round_and_round(), strict=False):
        wrong = number % 500 == 7
        night.row(
            "FAILED" if wrong else "PASSED",
            f"{number} of {number} rows are as they were, looked at in round {number % 37}",
            service,
            f"question-{number // len(SERVICES)}",
            sentence=f"Question {number // len(SERVICES)} about the service has its right answer.",
            duration_s=(number % 97) / 10,
            details=["the first of them", "the second of them"] if wrong else [],
        )
    night.run.finish({}, ExitCode.FAILED)
    return night


def _round_and_round() -> Iterator[str]:
    while True:
        yield from SERVICES
