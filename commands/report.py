"""Draw a run's evidence again from the journal, for a killed run too: report [RUN] --lab | --environment NAME."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.errors import InputError
from engine.evidence import BACKUP, folder_name, write_evidence
from engine.journal import Journal
from engine.options import add_flags, read_options
from engine.secret import Redactor
from engine.verdict import ExitCode


def main(argv: list[str]) -> int:
    """Redraw the newest run, or the one whose id or folder begins with RUN."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    parser.add_argument("run", nargs="?", default="", help="begin of a run's id, or of its folder's name; the newest without it")
    add_flags(parser.add_argument)
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: getattr(parsed, name), argv)
    journal = Journal.open(Path("state") / f"{options.environment}.sqlite", redactor=Redactor())
    runs = journal.records(kind="run_started")
    found = [run for run in runs if run.run_id.startswith(parsed.run) or folder_name(run).startswith(Path(parsed.run).name or "\0")]
    if not found:
        known = ", ".join(run.run_id[:8] for run in runs[-5:]) or "none"
        raise InputError(f"run {parsed.run or '(newest)'}: not in state/{options.environment}.sqlite; the last ones: {known}")
    paths = write_evidence(journal, found[-1].run_id, Path("reports") / options.environment / folder_name(found[-1]))
    print(f"evidence: {paths.report}")
    for problem in paths.altered:
        print(f"altered: state/{options.environment}.sqlite: {problem}", file=sys.stderr)
    if paths.altered:
        print(f"Do not approve this run: {BACKUP}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.OK
