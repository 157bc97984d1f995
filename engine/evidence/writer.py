"""A run's folder: the page, JUnit XML, the run's records, a summary, plan and approvals; drawn from the journal, then
sealed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.errors import InputError
from engine.evidence.facts.other_runs import others_text
from engine.evidence.formats.journal_jsonl import line_of
from engine.evidence.formats.junit import junit
from engine.evidence.formats.markdown import summary
from engine.evidence.page.html import render
from engine.evidence.page.page import drawable, view_of
from engine.evidence.seal.redraw import draw
from engine.evidence.seal.seal import Signer, changed_since_sealed, seal, write_whole
from engine.evidence.seal.sealed_folder import OTHERS, PAGE, PLAN, RECORDS, SUMS, digest_of
from engine.evidence.seal.signed_files import signed_files
from engine.finding import say
from engine.i18n.language import Language
from engine.journal.journal import Journal, Record, chain_problems
from engine.journal.kinds import RecordKind

__all__ = ["Paths", "folder_name", "junit", "render", "summary", "write_evidence"]


@dataclass(frozen=True)
class Paths:
    """The files of a run's evidence."""

    folder: Path
    report: Path
    altered: tuple[str, ...] = ()


def write_evidence(
    journal: Journal, run_id: str, folder: Path, signer: Signer | None = None, language: Language | None = None
) -> Paths:
    """Draw a run's evidence into `folder` (0700), in `language` or the run's own, and seal it; `latest-<command>` leads
    to the newest one.

    An altered run that was drawn before gets a folder next to it, `…-altered`: the older files are what it is compared
    with. Raises InputError when a file that is not drawn anew was changed after it was sealed.
    """
    page = view_of(journal, run_id, language)
    if page.altered and (folder / RECORDS).exists():
        folder = folder.with_name(f"{folder.name}-altered")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.parent.chmod(0o700)
    with drawable(page.altered):
        records = journal.records(run_id=run_id)
        files = {
            **draw(page, records),
            RECORDS: "".join(map(line_of, records)),
            **_plan_files(journal, records),
            **{name: text for record in records for name, text in signed_files(record)},
        }
        others = others_text(
            journal, records, page.since.run_id if page.since else None, page.altered[len(chain_problems(records)) :]
        )
        files |= {OTHERS: others} if others else {}
        _refuse_changed(folder, (*files, OTHERS))
        (folder / OTHERS).unlink(missing_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
        seal(folder, signer, whole=None if page.altered else True)
    _point_latest(journal, run_id, folder, page.command)
    return Paths(folder, folder / PAGE, page.altered)


def _refuse_changed(folder: Path, drawn: Sequence[str]) -> None:
    changed = changed_since_sealed(folder, drawn)
    if changed:
        raise InputError(
            say(
                "{folder}: {changed} is not what was sealed in {sums}. Expected: unchanged; sealing it again would "
                "hide the change. Move it away, or put back what it was, then draw again",
                folder=folder,
                changed=", ".join(changed),
                sums=SUMS,
            )
        )


def _plan_files(journal: Journal, records: Sequence[Record]) -> dict[str, str]:
    """Return the plan's files as they were digested, each kept once per journal; one that the redactor had to change is
    left out.
    """
    parts: dict[str, str] = next(
        (dict(record.body["parts"]) for record in records if record.kind == RecordKind.PLAN), {}
    )
    kept = {name: journal.last(RecordKind.PLAN_PART, key=digest) for name, digest in parts.items()}
    texts = {name: str(record.body["text"]) for name, record in kept.items() if record}
    return {
        f"{PLAN}/{Path(name).name}": text for name, text in texts.items() if digest_of(text.encode()) == parts[name]
    }


def folder_name(run: Record) -> str:
    """Return the name of a run's folder, from its first record: its start, its command, and what distinguishes two of
    one second.
    """
    return f"{datetime.fromisoformat(run.at).strftime('%Y%m%dT%H%M%SZ')}-{run.body['command']}-{run.run_id[:8]}"


def _point_latest(journal: Journal, run_id: str, folder: Path, command: str) -> None:
    """Point `latest-<command>` at the newest run whose page is there: drawing an old run again does not
    turn it back.
    """
    runs = [run for run in journal.records(kind=RecordKind.RUN_STARTED) if run.body.get("command") == command]
    place = next(position for position, run in enumerate(runs) if run.run_id == run_id)
    newer = [folder_name(run) for run in runs[place + 1 :]]
    drawn = [name for name in newer if (folder.parent / name / PAGE).is_file()]
    link = folder.parent / f"latest-{command}"
    part = folder.parent / f".latest-{command}.{os.getpid()}"
    part.unlink(missing_ok=True)
    part.symlink_to(drawn[-1] if drawn else folder.name)
    part.replace(link)
