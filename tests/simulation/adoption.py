"""The operator's machine and its journal are lost: the real command rebuilds the journal from the hosts' audit logs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

import commands.adopt
from engine.errors import InputError
from engine.verdict import ExitCode
from tests.simulation.fleet import open_sim_hosts
from tests.simulation.process import Process
from tests.simulation.run import Outcome, Stage, _load_scope, open_sim_journal, see_sources


def adopt_journal(stage: Stage) -> None:
    """Begin anew on another machine, once all hosts answer; what the hosts report must be in the journal then."""
    stage.world.mend_all()
    stage.journal_lost, stage.adopted = False, True
    stage.journal = open_sim_journal()
    stage.tokens.clear()
    stage.carrying.clear()
    stage.runs += 1
    process = Process("adopt", "one", stage.runs, stage.world, stage.story, step="adopt", phase="adopt")
    stage.processes.append(process)
    said = io.StringIO()
    try:
        with _borders(stage, process, said):
            _adopt(stage)
    finally:
        process.alive = False
        stage.processes.pop()
    for line in said.getvalue().splitlines():
        stage.story.add(f"  adopt: {line[:200]}")


def preflight_again(stage: Stage, outcome: Outcome) -> None:
    """Give preflight again where the output asks for it: what it recorded was lost with the journal."""
    if stage.adopted and any("Run preflight again" in row.judgement.text for row in outcome.rows):
        see_sources(stage)


def _adopt(stage: Stage) -> None:
    stage.story.add("the journal is lost: nox -s adopt -- --from-hosts --lab")
    try:
        commands.adopt.main(["--from-hosts", "--lab"])
    except InputError as nothing:
        stage.story.add(f"  adopt: {nothing}")
        return
    if commands.adopt.main(["--compare", "--lab"]) is not ExitCode.OK:
        stage.world.violate("the journal that was rebuilt is not what the hosts keep")


@contextmanager
def _borders(stage: Stage, process: Process, said: io.StringIO) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands.adopt, "load_scope", _load_scope)
        patch.setattr(
            commands.adopt,
            "open_hosts",
            lambda names, environment, _: open_sim_hosts(process, names, environment),
        )
        patch.setattr(commands.adopt, "ssh_config_of", lambda *_: None)
        patch.setattr(commands.adopt, "read_commit", lambda: "0" * 40)
        for name in ("open_journal", "read_journal"):
            patch.setattr(commands.adopt, name, lambda *_: stage.journal)
        patch.setattr(commands.adopt, "open_screen", lambda **_: Console(file=said, width=400, markup=False))
        yield
