"""What one run is about: the moves, services, hosts and links behind its plan, its environment and its selection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from engine.command_line import typed_command
from engine.config.environment import Environment, played
from engine.config.inventory import Inventory, Link, LinkKey, ServiceEntry, Thresholds
from engine.config.plan import AFTER_THE_MOVES, Plan, PlannedMove, Window
from engine.config.validation import Strict
from engine.errors import InputError
from engine.finding import joined, say

__all__ = ["PlannedMove", "Scope", "build_scope"]

COMMAND: Final = "command:"
SECRETS: Final = frozenset({"password", "token"})


@dataclass(frozen=True)
class Scope:
    """What one run is about; everything else in the files is none of its business."""

    environment: Environment
    inventory: Inventory
    plan: Plan
    moves: tuple[PlannedMove, ...]
    services: Mapping[str, ServiceEntry]
    links: tuple[Link, ...]
    hosts: tuple[str, ...]
    not_applicable: tuple[str, ...]
    repointed: frozenset[LinkKey] = frozenset()
    """Links whose dependant uses the new address itself, by the journal: no relay keeps their names."""
    dead: frozenset[str] = frozenset()
    """Hosts that a person declared lost: nothing is asked of them, no relay is wanted there."""

    def command(self, name: str, *words: str, service: str = "", apply: bool = False) -> str:
        """Return a phase or command as it is typed in this environment."""
        return typed_command(name, *words, environment=self.environment.environment, service=service, apply=apply)

    def dependants_of(self, service: str) -> tuple[Link, ...]:
        """Return the links whose dependant needs this service and exists here."""
        return tuple(link for link in self.links if link.to == service)

    def providers_of(self, service: str) -> tuple[Link, ...]:
        """Return the links whose provider this service needs."""
        return tuple(link for link in self.links if link.from_ == service)

    def thresholds(self, host: str) -> Thresholds:
        """Return a host's thresholds: its own, else the inventory's for all."""
        entry = self.inventory.hosts.get(host)
        return (entry.thresholds if entry else None) or self.inventory.thresholds

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """Return the hosts of this run, and the inventory's others that have an identity here: some questions are about
        all.
        """
        return tuple(
            dict.fromkeys((*self.hosts, *(host for host in self.inventory.hosts if host in self.environment.hosts)))
        )

    @property
    def window(self) -> Window:
        """Return when hosts may be changed: the environment's own window, else the plan's."""
        return self.environment.window or self.plan.window

    @property
    def part_texts(self) -> dict[str, str]:
        """Return each file's share in what people approve, as the text that is digested, by the file's name.

        Resolved: the moved services and those linked to them (the environment's own too), their links, the limits and
        identities of the hosts, the backup's place, who may approve. RFC 8785 JSON of the values: comments, order of
        keys, hosts of others and the selection of one run don't count. Nor does where a password is read from, unless a
        command gives it. Nor do the plan's keys about the time after the moves.
        """
        moves = [move for move in self.plan.moves if move.service in self.services]
        moved = {move.service for move in moves}
        links = [link for link in self.links if moved & {link.from_, link.to}]
        touched = moved | {end for link in links for end in (link.from_, link.to)}
        environment = self.environment
        rested_on = [
            self.services[name].host
            for name in sorted(touched)
            if name in self.services and self.services[name].host in environment.hosts
        ]
        hosts = tuple(
            dict.fromkeys((*_hosts(moves, environment), *rested_on))
        )  # relays stand where dependants and providers are, too
        contents: dict[str, Any] = {
            "migration_plan.json": {
                key: value for key, value in _data(self.plan).items() if key not in {"$schema", *AFTER_THE_MOVES}
            },
            "inventory.yaml": {
                "thresholds": {name: _data(self.thresholds(name)) for name in hosts},
                "services": {name: _data(entry) for name, entry in self.services.items() if name in touched},
                "links": sorted((_data(link) for link in links), key=rfc8785.dumps),
            },
            f"{environment.environment}.yaml": {
                "environment": environment.environment,
                "identities": {name: _data(identity) for name, identity in environment.hosts.items() if name in hosts},
                "backup": {key: value for key, value in _data(environment.backup).items() if key != "password"}
                if environment.backup
                else None,
                "window": _data(environment.window) if environment.window else None,
                "approvers": {person: _data(approver) for person, approver in environment.approvers.items()},
                "require_clean_checkout": environment.require_clean_checkout,
                "ssh_config": environment.ssh_config,
                "simulated": sorted(environment.simulated),
                "commands": commands_of(environment),
            },
        }
        return {name: rfc8785.dumps(content).decode() for name, content in contents.items()}

    @property
    def parts(self) -> dict[str, str]:
        """Return the SHA-256 of each file's share in what people approve, by the file's name."""
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in self.part_texts.items()}

    @property
    def digest(self) -> str:
        """Return the SHA-256 over all parts: what people approve."""
        return hashlib.sha256(rfc8785.dumps(dict(self.parts))).hexdigest()


def commands_of(environment: Environment) -> dict[str, str]:
    """Return the programs that an environment runs on the operator's machine for a secret, by what they are
    asked for.
    """
    places = {"backup": environment.backup, "prometheus": environment.prometheus}
    references = {
        f"{name}/{field}": str(value)
        for name, place in places.items()
        if place
        for field, value in place
        if field in SECRETS
    }
    return {name: reference for name, reference in references.items() if reference.startswith(COMMAND)}


def _data(model: Strict) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True)


def build_scope(
    inventory: Inventory,
    plan: Plan,
    environment: Environment,
    *,
    services: Iterable[str] = (),
    waves: Iterable[str] = (),
) -> Scope:
    """Return the scope of a run; raises InputError for selections that are not in the plan and hosts
    without identity.
    """
    chosen = _chosen(plan, tuple(services), tuple(waves))
    here = set(environment.services) if environment.services is not None else None
    moves = tuple(move for move in chosen if here is None or move.service in here)
    if not moves:
        raise InputError(_nothing_here(chosen, plan, environment))
    others = {
        name: played(inventory.services[name], given)
        for name, given in environment.overrides.items()
        if name in inventory.services
    }
    entries = {**inventory.services, **others, **environment.extra.services}
    present = {
        name: entry
        for name, entry in entries.items()
        if here is None or name in here or name in environment.extra.services
    }
    links = tuple(
        link for link in (*inventory.links, *environment.extra.links) if {link.from_, link.to} <= set(present)
    )
    hosts = _hosts(moves, environment)
    missing = [host for host in hosts if host not in environment.hosts]
    if missing:
        raise InputError(
            say(
                "environments/{environment}.yaml: no identity of {missing}. Try: {command}",
                environment=environment.environment,
                missing=joined(", ", missing),
                command=typed_command("pin", environment=environment.environment),
            )
        )
    return Scope(
        environment=environment,
        inventory=inventory,
        plan=plan,
        moves=moves,
        services=present,
        links=links,
        hosts=hosts,
        not_applicable=tuple(
            f"{m.service}: not in environment {environment.environment}" for m in chosen if m not in moves
        ),
    )


def _nothing_here(chosen: tuple[PlannedMove, ...], plan: Plan, environment: Environment) -> str:
    possible = [move.service for move in plan.moves if move.service in (environment.services or ())]
    advice = (
        say("Select of these with --service: {possible}", possible=", ".join(possible))
        if possible
        else say("Add services of the plan to its services")
    )
    seen = say(
        "none of {chosen} exists in environment {environment}",
        chosen=", ".join(move.service for move in chosen),
        environment=environment.environment,
    )
    return say(
        "environments/{environment}.yaml: nothing to do: {seen}; expected at least one. {advice}",
        environment=environment.environment,
        seen=seen,
        advice=advice,
    )


def _hosts(moves: Iterable[PlannedMove], environment: Environment) -> tuple[str, ...]:
    moves = tuple(moves)
    named = [*(move.source for move in moves), *(move.target for move in moves)]
    if environment.backup:
        named.append(environment.backup.host)
    return tuple(dict.fromkeys(named))


def _chosen(plan: Plan, services: tuple[str, ...], waves: tuple[str, ...]) -> tuple[PlannedMove, ...]:
    known_services = [move.service for move in plan.moves]
    known_waves = list(dict.fromkeys(move.wave for move in plan.moves))
    for flag, asked, known in (("--service", services, known_services), ("--wave", waves, known_waves)):
        wrong = [name for name in asked if name not in known]
        if wrong:
            raise InputError(
                say(
                    "{flag} {wrong}: not in the plan; known: {known}",
                    flag=flag,
                    wrong=joined(", ", wrong),
                    known=", ".join(known),
                )
            )
    chosen = tuple(
        move for move in plan.moves if (not services or move.service in services) and (not waves or move.wave in waves)
    )
    if not chosen:
        found = joined(
            ", ",
            (
                say("{service} in wave {wave}", service=move.service, wave=move.wave)
                for move in plan.moves
                if move.service in services
            ),
        )
        raise InputError(
            f"--service with --wave {', '.join(waves)}: nothing to do: the plan has {found}; expected a "
            "service of that wave. Leave out one flag"
        )
    return chosen
