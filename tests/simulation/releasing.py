"""A lock that a dead run left: the real command releases it, as the output of the run that ended says."""

from __future__ import annotations

import io
import re
from typing import Final

import pytest
from rich.console import Console

import commands.lock
from engine.verdict import ExitCode
from tests.simulation.fleet import open_sim_hosts
from tests.simulation.process import Process
from tests.simulation.run import Stage, _load_scope

DEAD: Final = re.compile(r"if that run is surely dead: nox -s lock -- (release [^;\n]+)")


def release_locks_of_the_dead(stage: Stage) -> None:
    """Give each command that was printed for the lock of a run that is surely dead: nobody is at work any more."""
    for words in dict.fromkeys(found[1] for text in stage.outside_book for found in DEAD.finditer(text)):
        stage.world.mend_all()
        stage.runs += 1
        process = Process("release", "one", stage.runs, stage.world, stage.story, step="release", phase="lock")
        stage.processes.append(process)
        stage.story.add(f"the second run is dead: nox -s lock -- {words}")
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(commands.lock, "load_scope", _load_scope)
                patch.setattr(commands.lock, "ssh_config_of", lambda *_: None)
                patch.setattr(
                    commands.lock,
                    "open_hosts",
                    lambda names, environment, _, one=process: open_sim_hosts(one, names, environment),
                )
                patch.setattr(
                    commands.lock, "open_screen", lambda **_: Console(file=io.StringIO(), width=400, markup=False)
                )
                ended = commands.lock.main(words.split())
        finally:
            process.alive = False
            stage.processes.pop()
        if ended != ExitCode.OK:
            stage.world.violate(f"the command that was printed released nothing: {words} ended with {ended}")
