"""`./longshore NAME …`, or `python -m commands NAME …`: the same as `nox -s NAME -- …`, with our own exit status."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Final

from commands import command_names, menu
from engine.contracts.phase import PHASES
from engine.errors import InputError, LongshoreError, ManualInterventionError, RefusedError
from engine.i18n.language import language_asked
from engine.project import enter_project
from engine.redaction.guarded_console import guarded_console
from engine.redaction.redactor import Redactor
from engine.verdict import ExitCode

HELP: Final = frozenset({"-h", "--help", "help"})
DEFECT: Final = 70
"""As sysexits.h calls an internal error; Python's own 1 would say FAILED."""


def help_text() -> str:
    """Return the menu: how a command is started, and all of them."""
    names = menu()
    width = max(map(len, names))
    lines = (f"  {name:<{width}}  {sentence}" for name, sentence in names.items())
    usage = (
        "usage: ./longshore COMMAND --lab | --environment NAME [flags]\nflags of a command: ./longshore COMMAND --help"
    )
    return "\n".join([usage, "", *lines])


def main(argv: list[str]) -> int:
    """Run one command; errors that we foresaw are one message and an exit status, never a traceback."""
    name = argv[0] if argv else ""
    if name in HELP:
        print(help_text())
        return ExitCode.OK
    if name not in command_names():
        known = ", ".join(command_names())
        print(f'command "{name}": not known; known: {known}. Try: ./longshore --help', file=sys.stderr)
        return ExitCode.INVALID_INPUT
    with guarded_console(Redactor()):
        return _run(name, argv)


def _run(name: str, argv: list[str]) -> int:
    try:
        argv = [name, *enter_project(argv[1:])]
        if name in PHASES:
            from commands.phase import run_phase  # noqa: PLC0415 pytest is slow to import

            return run_phase(name, argv[1:])
        module = importlib.import_module(f"commands.{name}")
        return int(module.main(argv[1:]))
    except LongshoreError as error:
        print(language_asked(argv).translate(str(error)), file=sys.stderr)
        return _exit_code(error)
    except Exception:  # noqa: BLE001 a defect of ours: its traceback is printed while the console is still guarded
        traceback.print_exc()
        return DEFECT


def _exit_code(error: LongshoreError) -> int:
    for kind, code in (
        (InputError, ExitCode.INVALID_INPUT),
        (RefusedError, ExitCode.REFUSED),
        (ManualInterventionError, ExitCode.NEEDS_OPERATOR),
    ):
        if isinstance(error, kind):
            return code
    return ExitCode.INCOMPLETE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
