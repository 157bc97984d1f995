"""Scope files."""

from __future__ import annotations

from pathlib import Path

from engine.command_line import LAB, typed_command
from engine.config.loading import load_files
from engine.config.scope import Scope, build_scope
from engine.errors import InputError
from engine.finding import say
from engine.run.options import Options


def load_scope(options: Options, *, ports_taken: bool = True) -> Scope:
    """Load inventory, plan and environment and return what the run is about; raises InputError with all problems.

    Without `ports_taken` a port that a moved service finds taken is no problem: who plans a remap reads such files.
    """
    if not options.environment_file.exists():
        advice = (
            typed_command("lab", "up", environment=None)
            if options.environment == LAB
            else typed_command("pin", environment=options.environment)
        )
        raise InputError(
            say(
                "{environment_file}: not there; it holds the identities of the hosts. Try: {advice}",
                environment_file=options.environment_file,
                advice=advice,
            )
        )
    files = load_files(options.inventory, options.plan, options.environment_file, ports_taken=ports_taken)
    return build_scope(files.inventory, files.plan, files.environment, services=options.services, waves=options.waves)


def ssh_config_of(options: Options, scope: Scope) -> Path | None:
    """Return the ssh_config file of a run: the operator's flag, else the environment's, else ssh's own."""
    return options.ssh_config or (Path(scope.environment.ssh_config) if scope.environment.ssh_config else None)
