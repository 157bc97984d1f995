"""A run's folder: the page, JUnit XML, the run's records, a summary and checksums; all drawn from the journal."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from engine.evidence.drawing import DRY_RUN, render
from engine.evidence.text import clock, seconds, visible
from engine.evidence.view import Page, drawable, view_of
from engine.journal import Journal, Record
from engine.language import Language
from engine.product import NAME
from engine.verdict import Verdict

RECORDS: Final = "journal.jsonl"
PAGE: Final = "report.html"


@dataclass(frozen=True)
class Paths:
    """The files of a run's evidence."""

    folder: Path
    report: Path
    altered: tuple[str, ...] = ()


def write_evidence(journal: Journal, run_id: str, folder: Path, language: Language | None = None) -> Paths:
    """Draw a run's evidence into `folder` (0700), in `language` or the run's own; `latest-<command>` leads to the newest one.

    An altered run that was drawn before goes beside it, into `…-altered`: the older files are what it is compared with.
    """
    page = view_of(journal, run_id, language)
    if page.altered and (folder / RECORDS).exists():
        folder = folder.with_name(f"{folder.name}-altered")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.parent.chmod(0o700)
    with drawable(page.altered):
        files = {
            PAGE: render(page),
            "junit.xml": junit(page),
            RECORDS: "".join(json.dumps(r.as_json(), ensure_ascii=True, sort_keys=True) + "\n" for r in journal.records(run_id=run_id)),
            "summary.md": summary(page),
        }
    for name, content in files.items():
        _write(folder / name, content)
    write_checksums(folder)
    _point_latest(journal, run_id, folder, page.command)
    return Paths(folder, folder / PAGE, page.altered)


def _write(path: Path, content: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(content, encoding="utf-8")
    part.chmod(0o600)
    part.replace(path)


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS over all files of a run's folder, as sha256sum -c reads it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n" for file in files]
    _write(folder / "SHA256SUMS", "".join(lines))


def folder_name(run: Record) -> str:
    """Return the name of a run's folder, from its first record: its start, its command, and what tells two of one second apart."""
    return f"{datetime.fromisoformat(run.at).strftime('%Y%m%dT%H%M%SZ')}-{run.body['command']}-{run.run_id[:8]}"


def _point_latest(journal: Journal, run_id: str, folder: Path, command: str) -> None:
    """Point `latest-<command>` at the newest run whose page is there: drawing an old run again does not turn it back."""
    runs = [run for run in journal.records(kind="run_started") if run.body.get("command") == command]
    place = next(position for position, run in enumerate(runs) if run.run_id == run_id)
    newer = [folder_name(run) for run in runs[place + 1 :]]
    drawn = [name for name in newer if (folder.parent / name / PAGE).is_file()]
    link = folder.parent / f"latest-{command}"
    part = folder.parent / f".latest-{command}.{os.getpid()}"
    part.unlink(missing_ok=True)
    part.symlink_to(drawn[-1] if drawn else folder.name)
    part.replace(link)


def junit(page: Page) -> str:
    """Return JUnit XML: FAILED is a failure, UNKNOWN an error, what did not run is skipped with its word."""
    count = {word: page.tally.get(word, 0) for word in (v.value for v in Verdict)}
    skipped = sum(count[word] for word in ("WAIVED", "WAITING", "NOT_RUN", "PLANNED"))
    numbers = {
        "tests": page.rows + len(page.altered), "failures": count["FAILED"], "errors": count["UNKNOWN"] + len(page.altered), "skipped": skipped,
        "time": f"{page.duration_s:.3f}", "timestamp": page.started_at.isoformat(timespec="seconds"),
    }  # fmt: skip
    suite = ET.Element("testsuite", {"name": f"{NAME}.{page.command}"} | {name: str(value) for name, value in numbers.items()})
    for group in page.groups:
        for row in group.rows:
            case = ET.SubElement(
                suite, "testcase", classname=visible(f"{page.command}.{row['subject']}"), name=visible(row["key"]), time=f"{row['duration_s']:.3f}"
            )
            tag = {"FAILED": "failure", "UNKNOWN": "error", "PASSED": ""}.get(row["verdict"], "skipped")
            if tag:
                text = visible(row["text"])
                ET.SubElement(case, tag, message=f"{row['verdict']}: {text}"[:500]).text = "\n".join([text, *map(visible, row["details"])])
    for text in page.altered:
        case = ET.SubElement(suite, "testcase", classname=f"{page.command}.journal", name="altered", time="0.000")
        ET.SubElement(case, "error", message=f"ALTERED: {visible(text)}"[:500])
    suites = ET.Element("testsuites")
    suites.append(suite)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def summary(page: Page) -> str:
    """Return the result in Markdown, for a ticket or a chat."""
    lines = [f"# {page.sentence}", "", f"Environment **{page.environment}**, {clock(page.started_at)}, {seconds(page.duration_s)}.", ""]
    lines += [f"**{DRY_RUN}**", ""] if page.dry_run else []
    lines += [f"- **ALTERED** {visible(text)}" for text in page.altered] + [""] * bool(page.altered)
    lines += ["| service | from | to | outage | copied | verdict |", "| --- | --- | --- | --- | --- | --- |"]
    for service in page.services:
        outage = service["outage"]
        told = f"{outage['seconds']:.1f} s ± {outage['error_bar_s']:.1f} s" if outage else "–"
        copied = f"{service['copied_bytes']:,} bytes" if service["copied_bytes"] is not None else "–"
        lines.append(f"| {service['service']} | {service['source']} | {service['target']} | {told} | {copied} | {service['verdict']} |")
    lines += ["", *map(_decision, page.decisions), ""]
    lines += [f"Next: `{visible(page.following)}`", ""] if page.following else []
    return "\n".join(lines)


def _decision(row: Mapping[str, Any]) -> str:
    told = f"- **{row['verdict']}** {visible(row['subject'])}: {visible(row['sentence'])} {visible(row['text'])}"
    return f"{told} Next: `{visible(row['next'])}`" if row["next"] else told
