"""The flags that every command about hosts understands, declared once for argparse and for pytest."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.errors import InputError
from engine.i18n.language import ORIGINAL, language_of
from engine.journal.location import VARIABLE, JournalLocation, place_of
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


FLAGS: Final = (
    Flag("--environment", "store", "environment of this run, e.g. production"),
    Flag("--lab", "store_true", "the rehearsal: the same as --environment lab", default=False),
    Flag("--service", "append", "only this service; repeatable"),
    Flag("--wave", "append", "only this wave (critical, monitoring or auxiliary); repeatable"),
    Flag("--apply", "store_true", "change hosts; without it, a phase only prints what it would do", default=False),
    Flag("--again", "append", "move this service again after a rollback, or after its problem was fixed by hand; repeatable"),
    Flag(
        "--discard-target-writes",
        "store",
        "roll back to the source's old data and leave what was written on the target there; REASON is recorded",
    ),
    Flag("--undo", "store_true", "restore the old references and the relays that they need", default=False),
    Flag(
        "--target-is-dead",
        "store",
        "declare the target host lost and start the source without confirming that the target is stopped; REASON is recorded",
    ),
    Flag("--outside-window", "store", "change hosts outside the window; REASON is recorded"),
    Flag("--break-lock", "store", "take over the lock of another run; REASON is recorded"),
    Flag("--inventory", "store", "hosts and services as they are", default="inventory.yaml"),
    Flag("--plan", "store", "the moves in order", default="migration_plan.json"),
    Flag("--ssh-config", "store", "ssh_config file to use instead of your own"),
    Flag("--lang", "store", "language of console and page: en or pt-BR"),
    Flag("--waivers", "store", "signed waivers; default: waivers.yaml if it exists"),
    Flag("--shard", "store", "run one shard of a read-only phase, split by host: I/N, e.g. 3/8; all shards write one run"),
    Flag("--run-name", "store", f"name shared by all shards of one run; in a GitLab pipeline {PIPELINE} sets it"),
    Flag("--state", "store", f"the journal: postgresql://USER@HOST/DATABASE, also as {VARIABLE}; default: a SQLite file per environment"),
)


def add_flags(add: Callable[..., Any], *names: str) -> None:
    """Declare the flags (all of them, or those named) with argparse's or pytest's adding function."""
    for flag in FLAGS:
        if not names or flag.name in names:
            add(flag.name, action=flag.action, default=flag.default, help=flag.help)


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
    again: tuple[str, ...] = ()
    outside_window: str | None = None
    break_lock: str | None = None
    discard: str | None = None
    undo: bool = False
    target_is_dead: str | None = None
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
        return Path("environments") / f"{self.environment}.yaml"


def read_options(get: Callable[[str], Any], argv: list[str]) -> Options:
    """Return the options behind parsed flags; `get` returns a flag's value by its name without dashes.

    Raises InputError when no environment, or two, are given.
    """
    environment, lab = get("environment"), get("lab")
    if lab and environment not in {None, LAB}:
        raise InputError(f"--lab and --environment {environment}: a run belongs to one environment. Give one of them")
    if not lab and not environment:
        raise InputError("no environment given: expected --lab for the rehearsal or --environment NAME")
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
        argv=tuple(argv),
        again=tuple(get("again") or ()),
        outside_window=_reason("--outside-window", get("outside_window")),
        break_lock=_reason("--break-lock", get("break_lock")),
        discard=_reason("--discard-target-writes", get("discard_target_writes")),
        undo=bool(get("undo")),
        target_is_dead=_reason("--target-is-dead", get("target_is_dead")),
        lang=language_of(get("lang") or ORIGINAL).code,
        state=Secret(state) if state else None,
        waivers=Path(get("waivers")) if get("waivers") else None,
        shard=read_shard(get("shard"), get("run_name"), os.environ),
    )


def _reason(flag: str, text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise InputError(f'{flag}: empty. Expected: the reason in words, e.g. {flag} "agreed with the team by phone"')
    return text.strip() if text else None
