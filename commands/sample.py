"""Record the resource use of hosts and containers, for preflight: sample --lab | --environment NAME [--count N --every
SECONDS] [--show].
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from typing import Final

from rich.table import Table as Drawn

from engine.config.scope import Scope
from engine.errors import InputError
from engine.finding import say
from engine.journal.journal import Journal
from engine.journal.samples import forget_samples, read_samples, write_samples
from engine.redaction.guarded_console import open_screen
from engine.redaction.redactor import Redactor
from engine.run.options import add_flags, read_options
from engine.verdict import ExitCode
from hosts.fleet import Fleet, open_hosts
from phases.context.open_journal import find_journal, open_journal
from phases.context.scope_files import load_scope, ssh_config_of
from phases.preflight.capacity import LOOK_BACK
from phases.preflight.sampling import KEPT, baseline_table, take_samples

USUAL_EVERY_S: Final = 60.0


def main(argv: list[str]) -> int:
    """Take samples of all hosts of the plan and keep them; exit 2 when a host did not answer. With --show: print the
    baseline, take none.
    """
    parser = argparse.ArgumentParser(prog="sample", description=__doc__)
    parser.add_argument("--count", type=int, default=1, help="number of samples; a timer takes one each time")
    parser.add_argument(
        "--every", type=float, default=USUAL_EVERY_S, metavar="SECONDS", help="seconds between two samples"
    )
    parser.add_argument("--show", action="store_true", help="print the baseline of the last two weeks, take no sample")
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--ssh-config", "--state")
    parsed = parser.parse_args(argv)
    if parsed.count < 1 or parsed.every <= 0:
        raise InputError(
            say(
                "sample --count {count} --every {every:g}: expected at least 1 sample and more than 0 seconds",
                count=parsed.count,
                every=parsed.every,
            )
        )
    options = read_options(lambda name: getattr(parsed, name, None), argv)
    scope = load_scope(options, ports_taken=False)
    if parsed.show:
        journal = find_journal(options)
        return _show(journal)
    journal = open_journal(options, Redactor(), scope)
    with open_hosts(scope.hosts, scope.environment, ssh_config_of(options, scope)) as fleet:
        missing = _take(fleet, scope, journal, parsed.count, parsed.every)
    return ExitCode.INCOMPLETE if missing else ExitCode.OK


def _take(fleet: Fleet, scope: Scope, journal: Journal, count: int, every_s: float) -> bool:
    """Take samples at even distances and return whether a host was missing in one of them."""
    begun, missed = time.monotonic(), False
    for number in range(count):
        if number:
            time.sleep(max(0.0, begun + number * every_s - time.monotonic()))
        samples, missing = take_samples(fleet, scope.hosts)
        written = write_samples(journal, samples)
        missed = missed or bool(missing)
        print(
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {written} samples of "
            f"{len(scope.hosts) - len(missing)} of {len(scope.hosts)} hosts kept"
        )
        for reason in missing.values():
            print(f"no sample: {reason}", file=sys.stderr)
    forgotten = forget_samples(journal, datetime.now(UTC) - KEPT)
    if forgotten:
        print(f"{forgotten} samples older than {KEPT.days} days were forgotten")
    return missed


def _show(journal: Journal | None) -> int:
    samples = read_samples(journal, datetime.now(UTC) - LOOK_BACK) if journal else ()
    if not samples:
        print("no samples yet. Take some for days: docs/sampling.md has the timer")
        return ExitCode.INCOMPLETE
    table = baseline_table(samples)
    drawn = Drawn(*table.columns, title=table.title)
    for row in table.rows:
        drawn.add_row(*row)
    open_screen().print(drawn)
    return ExitCode.OK
