"""Send requests to a service at a fixed rate and record how it answers: load --lab | --environment NAME --i-mean-it
--service NAME --rate R --seconds N.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.table import Table

from engine.config.scope import Scope
from engine.constants import VERSION
from engine.errors import NotObservedError
from engine.finding import say
from engine.journal.journal import Journal, Run
from engine.redaction.guarded_console import open_screen
from engine.redaction.redactor import Redactor
from engine.run.options import Options, add_flags, read_options
from engine.verdict import ExitCode
from hosts.fleet import open_hosts
from hosts.local.load import LoadRequest, LoadSender
from hosts.local.operator import operator_name
from phases.context.open_journal import open_journal
from phases.context.run_context import RunContext, where_now
from phases.context.scope_files import load_scope, ssh_config_of
from phases.watch.load_test import HostUse, LoadOrder, body_of, last_tests, profile_of, read_use, record_test

FIGURES: Final = (
    ("requests", "requests"),
    ("requests a second", "rate"),
    ("sent late", "late"),
    ("errors", "errors"),
    ("idle, ms", "idle_ms"),
    ("50 % within, ms", "p50_ms"),
    ("95 % within, ms", "p95_ms"),
    ("99 % within, ms", "p99_ms"),
    ("processors of the host", "cpu_cores"),
)


def main(argv: list[str]) -> int:
    """Send the requests of the inventory; exit 1 when some had no right answer or the test stopped itself, 2 when the
    service did not answer before.
    """
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--service", required=True, metavar="NAME", help="the service, where it runs now")
    parser.add_argument("--rate", type=float, required=True, metavar="R", help="requests a second, at most 200")
    parser.add_argument("--seconds", type=float, required=True, metavar="N", help="how long, at most 600")
    parser.add_argument("--i-mean-it", action="store_true", help="needed outside the lab: real people use the service")
    names = ("--environment", "--lab", "--outside-window", "--inventory", "--plan", "--ssh-config", "--state")
    add_flags(parser.add_argument, *names)
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: None if name == "service" else getattr(parsed, name, None), argv)
    scope = load_scope(options)
    order = LoadOrder(parsed.service, parsed.rate, parsed.seconds, parsed.i_mean_it, options.outside_window)
    profile = profile_of(scope, order, datetime.now(UTC))
    redactor = Redactor()
    journal = open_journal(options, redactor, scope)
    body = _test(options, scope, journal, order, profile)
    return _show(last_tests(journal, order.service), body)


def _test(
    options: Options, scope: Scope, journal: Journal, order: LoadOrder, profile: tuple[LoadRequest, ...]
) -> Mapping[str, Any]:
    host = where_now(scope, journal)[order.service]
    with open_hosts((host,), scope.environment, ssh_config_of(options, scope)) as fleet:
        run = _start(journal, options, scope)
        context = RunContext(scope, fleet, journal, run, journal.redactor)
        sender = LoadSender(context.target(order.service, host).endpoint.url, profile)
        idle_s = sender.idle_s()
        if math.isnan(idle_s):
            run.finish({}, ExitCode.INCOMPLETE)
            raise NotObservedError(
                say(
                    "load: {service} on {host} does not answer as the inventory expects before the test began. Nothing "
                    "was sent. Look: {command}",
                    service=order.service,
                    host=host,
                    command=scope.command("validate", service=order.service),
                )
            )
        before: HostUse = read_use(fleet[host])
        result = sender.send(order.rate, order.seconds, idle_s)
        body = body_of(order, host, idle_s, result, (before, read_use(fleet[host])))
        record_test(run, order.service, body)
        run.finish({}, ExitCode.FAILED if _is_wrong(body) else ExitCode.OK)
    return body


def _start(journal: Journal, options: Options, scope: Scope) -> Run:
    return journal.start_run(
        command="load",
        environment=options.environment,
        plan_digest=scope.digest,
        operator=operator_name(),
        version=VERSION,
        argv=list(options.argv),
        apply=False,
    )


def _is_wrong(body: Mapping[str, Any]) -> bool:
    return bool(body["errors"] or body["stopped"])


def _show(tests: Mapping[str, Mapping[str, Any]], body: Mapping[str, Any]) -> int:
    table = Table("", *(f"{host}, {test['at'][:16]} UTC" for host, test in tests.items()))
    for title, key in FIGURES:
        table.add_row(title, *("–" if test.get(key) is None else f"{test[key]:,}" for test in tests.values()))
    table.add_row("memory of the host, MiB", *(_mebibytes(test["memory_bytes"]) for test in tests.values()))
    table.add_row(
        "waiting (PSI), %",
        *(", ".join(f"{name} {value:g}" for name, value in test["pressure_percent"].items()) or "–"
          for test in tests.values()),
    )  # fmt: skip
    open_screen().print(table)
    if body["stopped"]:
        print(f"the test stopped itself: {body['stopped']}")
    if body["wrong"]:
        print(f"wrong answers: {'; '.join(body['wrong'])}")
    return ExitCode.FAILED if _is_wrong(body) else ExitCode.OK


def _mebibytes(value: int | None) -> str:
    return "–" if value is None else f"{value / 1024**2:,.0f}"
