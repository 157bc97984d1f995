"""The flags that every command about hosts understands, declared once for argparse and for pytest."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.errors import InputError
from engine.finding import say
from engine.i18n.language import ORIGINAL, language_of
from engine.journal.location import VARIABLE, JournalLocation, place_of
from engine.project import FLAG as PROJECT
from engine.project import INVENTORY, PLAN, environment_file, project_words
from engine.project import VARIABLE as PROJECT_VARIABLE
from engine.redaction.redactor import Secret
from engine.sharding.shard import PIPELINE, Shard, read_shard

LAB: Final = "lab"


@dataclass(frozen=True)
class Flag:
    """One flag: name, how its value is taken and its help sentence."""

    name: str
    action: str
    help: str
    default: Any = None
    metavar: str | None = None
    """What goes there, e.g. FILE."""


FLAGS: Final = (
    Flag("--environment", "store", "environment of this run, e.g. production", metavar="NAME"),
    Flag("--lab", "store_true", "the rehearsal: the same as --environment lab", default=False),
    Flag("--service", "append", "only this service; repeatable", metavar="NAME"),
    Flag("--wave", "append", "only this wave (critical, monitoring or auxiliary); repeatable", metavar="WAVE"),
    Flag("--apply", "store_true", "change hosts; without it, a phase only prints what it would do", default=False),
    Flag(
        "--retry",
        "append",
        "move this service again after a rollback, or after its problem was fixed by hand; repeatable",
        metavar="SERVICE",
    ),
    Flag(
        "--discard-target-writes",
        "store",
        "roll back to the source's old data and leave what was written on the target there; REASON is recorded",
        metavar="REASON",
    ),
    Flag("--revert", "store_true", "restore the old references and the relays that they need", default=False),
    Flag(
        "--target-lost",
        "store",
        (
            "declare the target host lost and start the source without confirming that the target is stopped; "
            "REASON is recorded"
        ),
        metavar="REASON",
    ),
    Flag("--outside-window", "store", "change hosts outside the window; REASON is recorded", metavar="REASON"),
    Flag("--break-lock", "store", "take over the lock of another run; REASON is recorded", metavar="REASON"),
    Flag("--inventory", "store", "hosts and services as they are", default=INVENTORY, metavar="FILE"),
    Flag("--plan", "store", "the moves in order", default=PLAN, metavar="FILE"),
    Flag("--ssh-config", "store", "ssh_config file to use instead of your own", metavar="FILE"),
    Flag("--lang", "store", "language of console and page: en or pt-BR; default: en", metavar="LANGUAGE"),
    Flag("--waivers", "store", "signed waivers; default: waivers.yaml if it exists", metavar="FILE"),
    Flag(
        "--shard",
        "store",
        "run one shard of a read-only phase, split by host: I/N, e.g. 3/8; all shards write one run",
        metavar="I/N",
    ),
    Flag(
        "--run-name",
        "store",
        f"name shared by all shards of one run; in a GitLab pipeline {PIPELINE} sets it",
        metavar="NAME",
    ),
    Flag(
        PROJECT,
        "store",
        (
            f"directory of your own files, also as {PROJECT_VARIABLE}; other paths are relative to it; default: "
            "the checkout"
        ),
        metavar="DIRECTORY",
    ),
    Flag(
        "--state",
        "store",
        f"the journal: postgresql://USER@HOST/DATABASE, also as {VARIABLE}; default: a SQLite file per environment",
        metavar="URL",
    ),
)


def add_flags(add: Callable[..., Any], *names: str) -> None:
    """Declare the flags (all of them, or those named) with argparse's or pytest's adding function."""
    for flag in FLAGS:
        if not names or flag.name in names:
            shown = f"{flag.help} (default: {flag.default})" if flag.default else flag.help
            value = {"metavar": flag.metavar} if flag.metavar else {}
            add(flag.name, action=flag.action, default=flag.default, help=shown, **value)


@dataclass(frozen=True)
class Options:
    """What a person asked for."""

    environment: str
    services: tuple[str, ...]
    waves: tuple[str, ...]
    apply: bool
    inventory: Path
    plan: Path
    ssh_config: Path | None
    argv: tuple[str, ...] = field(repr=False)
    retry: tuple[str, ...] = ()
    outside_window: str | None = None
    break_lock: str | None = None
    discard: str | None = None
    revert: bool = False
    target_lost: str | None = None
    lang: str = ORIGINAL
    state: Secret | None = None
    waivers: Path | None = None
    shard: Shard | None = None

    @property
    def place(self) -> JournalLocation:
        """Return where the environment's journal is kept; raises InputError for a URL that is none."""
        return place_of(self.environment, self.state)

    @property
    def environment_file(self) -> Path:
        """Return where the environment's identities are kept."""
        return environment_file(self.environment)


def read_options(get: Callable[[str], Any], argv: list[str]) -> Options:
    """Return the options behind parsed flags; `get` returns a flag's value by its name without dashes.

    Raises InputError when no environment, or two, are given.
    """
    environment, lab = get("environment"), get("lab")
    if lab and environment not in {None, LAB}:
        raise InputError(f"--lab and --environment {environment}: a run belongs to one environment. Give one of them")
    if not lab and not environment:
        raise InputError(say("no environment given: expected --lab for the rehearsal or --environment NAME"))
    ssh_config = get("ssh_config")
    state = get("state") or os.environ.get(VARIABLE)
    return Options(
        environment=LAB if lab else str(environment),
        services=tuple(get("service") or ()),
        waves=tuple(get("wave") or ()),
        apply=bool(get("apply")),
        inventory=Path(get("inventory")),
        plan=Path(get("plan")),
        ssh_config=Path(ssh_config) if ssh_config else None,
        argv=(*argv, *project_words()),
        retry=tuple(get("retry") or ()),
        outside_window=_reason("--outside-window", get("outside_window")),
        break_lock=_reason("--break-lock", get("break_lock")),
        discard=_reason("--discard-target-writes", get("discard_target_writes")),
        revert=bool(get("revert")),
        target_lost=_reason("--target-lost", get("target_lost")),
        lang=language_of(get("lang") or ORIGINAL).code,
        state=Secret(state) if state else None,
        waivers=Path(get("waivers")) if get("waivers") else None,
        shard=read_shard(get("shard"), get("run_name"), os.environ),
    )


def _reason(flag: str, text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise InputError(
            say('{flag}: empty. Expected: the reason in words, e.g. {flag} "agreed with the team by phone"', flag=flag)
        )
    return text.strip() if text else None
