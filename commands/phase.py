"""A phase is a pytest run over one folder of runbooks; pytest-html prints its technical appendix next to our page."""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from engine.contracts.phase import BY_NAME, TABLE, Phase
from engine.errors import InputError, LongshoreError
from engine.finding import joined, say
from engine.i18n.language import language_asked
from engine.run.options import FLAGS, add_flags
from engine.verdict import ExitCode

REFUSED_LATER: Final = frozenset({"--revert", "--target-lost", "--shard", "--run-name"})
"""Flags that the run itself refuses where they do not belong, with the reason."""
ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass
class Watch:
    """Sees whether pytest or a hook of ours broke: pytest's own status for that, 3, says "refused, nothing was done"
    here.
    """

    broke: bool = False
    status: int | None = None
    """The status of the run, once its steps have ended."""

    def pytest_internalerror(self) -> None:
        """Remember it."""
        self.broke = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Remember how the steps ended: what closes connections afterwards may fail."""
        self.status = int(session.exitstatus)


def services_first(argv: list[str]) -> list[str]:
    """Return argv with the services named before the first flag as `--service`: `rollback postgres --apply`."""
    names = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
    return [*(word for name in names for word in ("--service", name)), *argv[len(names) :]]


def parser_of(phase: Phase) -> argparse.ArgumentParser:
    """Return the parser of a phase's own flags, and no others."""
    names = "SERVICE … " if phase.needs_service else "[SERVICE …] " if phase.by_service else ""
    parser = argparse.ArgumentParser(
        prog=f"nox -s {phase.name} --",
        usage=f"nox -s {phase.name} -- {names}--lab | --environment NAME [flags]",
        description=phase.help,
        allow_abbrev=False,
    )
    add_flags(parser.add_argument, *phase.all_flags)
    return parser


def refuse_foreign_flags(phase: Phase, argv: list[str]) -> None:
    """Raise InputError for a flag of ours that the phase does not take."""
    foreign = {flag.name for flag in FLAGS} - set(phase.all_flags) - REFUSED_LATER
    given = [word.partition("=")[0] for word in argv]
    if wrong := [flag for flag in given if flag in foreign]:
        owners = joined(", ", (other.name for other in TABLE if wrong[0] in other.all_flags))
        raise InputError(
            say(
                "{first_wrong}: not a flag of {name}. Expected: with {owners} only. Look: nox -s {name} -- --help",
                first_wrong=wrong[0],
                name=phase.name,
                owners=owners,
            )
        )


def help_of(phase: str) -> str:
    """Return how a phase is called: its own flags; pytest's work too."""
    return parser_of(BY_NAME[phase]).format_help()


def run_phase(phase: str, argv: list[str]) -> int:
    """Run the runbooks of a phase and return our exit status (see docs/design.md)."""
    if {"-h", "--help"} & set(argv):
        print(help_of(phase))
        return 0
    sys.stdout.flush()
    about = BY_NAME[phase]
    refuse_foreign_flags(about, argv)
    if about.by_service:
        argv = services_first(argv)
        if about.needs_service and "--service" not in argv:
            raise InputError(
                say(
                    "{phase}: no service named; expected at least one: nox -s {phase} -- SERVICE --lab | "
                    "--environment NAME",
                    phase=phase,
                )
            )
    watch = Watch()
    try:
        code = int(pytest.main(_pytest_argv(phase, argv), plugins=[watch]))
    except LongshoreError as error:
        if watch.status is None:
            raise
        message = say("{phase}: its steps have ended; closing it failed: {error}", phase=phase, error=error)
        print(language_asked(argv).translate(message), file=sys.stderr)
        return watch.status or ExitCode.INCOMPLETE
    return int(ExitCode.NEEDS_OPERATOR if watch.broke and code == pytest.ExitCode.INTERNAL_ERROR else code)


def _pytest_argv(phase: str, argv: list[str]) -> list[str]:
    return [
        str(ROOT / "runbooks" / phase),
        f"--rootdir={ROOT}",
        f"--confcutdir={ROOT}",
        "--import-mode=importlib",
        "--no-header",
        "--no-summary",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-o",
        "filterwarnings=default",  # a warning of a library must not end a migration
        *argv,
    ]
