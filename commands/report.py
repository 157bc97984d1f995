"""Generate a run's evidence again from the journal, of a killed run too: report [RUN | latest | latest-COMMAND] --lab |
--environment NAME.

With a key (`--sign-key FILE`, else LONGSHORE_SIGNING_KEY) its checksums are signed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.errors import InputError
from engine.evidence import BACKUP, folder_name, write_evidence
from engine.finding import joined, say
from engine.i18n.language import language_of
from engine.journal.journal import Record
from engine.journal.kinds import RecordKind
from engine.project import REPORTS
from engine.run.options import add_flags, read_options
from engine.sharding.merged_run import exit_code, is_joined, joined_of
from engine.verdict import ExitCode
from phases.context.open_journal import read_journal
from phases.signoff.signatures import SIGN_KEY, signer_of

LATEST: Final = "latest"


def main(argv: list[str]) -> int:
    """Redraw the newest run, or the one whose id or folder begins with RUN; exit 1 when its journal was altered."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    parser.add_argument(
        "run",
        nargs="?",
        default=LATEST,
        help="latest, latest-COMMAND, the name of a sharded run, or the first characters of a run id or folder name",
    )
    parser.add_argument(SIGN_KEY, type=Path, metavar="FILE", help="ssh key that signs the checksums")
    add_flags(parser.add_argument)
    parsed = parser.parse_args(argv)
    signer = signer_of(parsed.sign_key)
    options = read_options(lambda name: getattr(parsed, name), argv)
    journal = read_journal(options)
    run = find_run(journal.records(kind=RecordKind.RUN_STARTED), parsed.run, journal.where)
    language = language_of(parsed.lang) if parsed.lang else None
    paths = write_evidence(journal, run.run_id, REPORTS / options.environment / folder_name(run), signer, language)
    print(f"evidence: {paths.report}")
    for problem in paths.altered:
        print(f"altered: {journal.where}: {problem}", file=sys.stderr)
    if paths.altered:
        print(f"Do not approve this run: {BACKUP}", file=sys.stderr)
        return ExitCode.FAILED
    return _verdict_of_shards(journal.records(run_id=run.run_id))


def _verdict_of_shards(records: Sequence[Record]) -> ExitCode:
    """Print what a run of shards comes to, for no single one of them says it, and return its exit status; of any other
    run OK.
    """
    if not is_joined(records):
        return ExitCode.OK
    joined, code = joined_of(records), exit_code(records)
    for number in joined.missing:
        print(
            f"UNKNOWN: {joined.why_missing(number)}. Run it again: --shard {number}/{joined.of} --run-name "
            f"{joined.name}"
        )
    print(
        f"run {joined.name}: {joined.of - len(joined.missing)} of {joined.of} shards ended; exit status "
        f"{code.value} ({code.name})"
    )
    return code


def find_run(runs: list[Record], asked: str, where: str) -> Record:
    """Return the first record of the run that was asked for; raises InputError for none, or for more than one."""
    name = Path(asked).name.removesuffix("-altered")
    command = name.removeprefix(f"{LATEST}-")
    if name == LATEST or command != name:
        found = [run for run in runs if name == LATEST or run.body.get("command") == command][-1:]
    else:
        named = [run for run in runs if name and run.body.get("run_name") == name][-1:]
        found = named or [
            run for run in runs if name and (run.run_id.startswith(name) or folder_name(run).startswith(name))
        ]
    if len(found) == 1:
        return found[0]
    known = joined(", ", (folder_name(run) for run in (found or runs)[-5:])) or say("none")
    raise InputError(
        say(
            "run {asked}: {count} in {where}. Expected: one of {known}. Give its name, or {latest}",
            asked=asked,
            count=len(found),
            where=where,
            known=known,
            latest=LATEST,
        )
    )
