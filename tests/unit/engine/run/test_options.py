"""Flags mean the same for argparse and pytest, and a run belongs to exactly one environment."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.run.options import FLAGS, Options, add_flags, read_options


def parse(*argv: str) -> Options:
    """Parse as a command does."""
    parser = argparse.ArgumentParser()
    add_flags(parser.add_argument)
    return read_options(vars(parser.parse_args(argv)).get, list(argv))


def test_the_lab_is_an_environment_of_that_name() -> None:
    """--lab and --environment lab are one thing, together too."""
    for argv in (["--lab"], ["--environment", "lab"], ["--lab", "--environment", "lab"]):
        assert parse(*argv).environment == "lab"
    assert parse("--environment", "production").environment_file == Path("environments/production.yaml")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no environment given: expected --lab for the rehearsal or --environment NAME"),
        (
            ["--lab", "--environment", "production"],
            "--lab and --environment production: a run belongs to one environment. Give one of them",
        ),
    ],
)
def test_none_or_two_environments_are_refused(argv: list[str], message: str) -> None:
    """There is no default host, so there is no default environment."""
    with pytest.raises(InputError, match=message):
        parse(*argv)


def test_what_was_not_asked_for_is_not_done() -> None:
    """Without flags: nothing is changed, all services, the two files of the repository."""
    options = parse("--lab")

    assert (options.apply, options.services, options.waves, options.ssh_config) == (False, (), (), None)
    assert (options.inventory, options.plan) == (Path("inventory.yaml"), Path("migration_plan.json"))


def test_every_flag_is_understood() -> None:
    """Selections may be given several times; the command line is kept as it was."""
    argv = [
        "--environment",
        "p",
        "--service",
        "n8n",
        "--service",
        "redis",
        "--wave",
        "critical",
        "--apply",
        "--inventory",
        "i",
        "--plan",
        "q",
        "--ssh-config",
        "s",
    ]
    options = parse(*argv)

    assert (options.services, options.waves, options.apply) == (("n8n", "redis"), ("critical",), True)
    assert (options.inventory, options.plan, options.ssh_config, options.argv) == (
        Path("i"),
        Path("q"),
        Path("s"),
        tuple(argv),
    )


def test_a_command_may_declare_a_few_flags_only() -> None:
    """Each flag has a help sentence, and asking for some declares those."""
    declared: list[str] = []

    def add(name: str, **_: Any) -> None:
        declared.append(name)

    add_flags(add, "--lab", "--plan")

    assert declared == ["--lab", "--plan"]
    assert all(flag.help for flag in FLAGS)
