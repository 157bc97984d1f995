"""The three files of a run, loaded together: what is wrong in any of them, or between them, is reported at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.config import environment as environments
from engine.config import inventory as inventories
from engine.config import plan as plans
from engine.config.environment import Environment
from engine.config.inventory import Inventory, Known, ServiceEntry
from engine.config.partial_model import PartialModel
from engine.config.plan import Plan
from engine.config.validation import Model, refusal_of
from engine.errors import InputError

NOTHING_KNOWN = Known(None, None)


@dataclass(frozen=True)
class Files:
    """The three files."""

    inventory: Inventory
    plan: Plan
    environment: Environment


@dataclass(frozen=True)
class _Drafts:
    inventory: PartialModel[Inventory] | None
    plan: PartialModel[Plan] | None
    environment: PartialModel[Environment] | None

    @property
    def known(self) -> Known:
        return inventories.known_in(self.inventory) if self.inventory else NOTHING_KNOWN

    @property
    def services(self) -> dict[str, ServiceEntry]:
        return dict(self.inventory.rough.services) if self.inventory and self.inventory.rough else {}


def load_files(inventory: Path, plan: Path, environment: Path, *, ports_taken: bool = True) -> Files:
    """Return the three files; raises InputError with all problems of all of them, each with its file and path.

    Without `ports_taken` a port that a moved service finds taken is no problem: who plans a remap reads such files.
    """
    refusals: list[str] = []
    drafts = _Drafts(
        _read(inventories.read_inventory, inventory, refusals),
        _read(plans.read_plan, plan, refusals),
        _read(environments.read_environment, environment, refusals),
    )
    _judge(drafts.inventory, inventories.problems_of, refusals)
    rough = drafts.inventory.rough if drafts.inventory else None
    _judge(drafts.plan, lambda draft: plans.problems_of(draft, rough, drafts.known, ports_taken=ports_taken), refusals)
    _judge(drafts.environment, lambda draft: _environment_problems(draft, drafts, ports_taken=ports_taken), refusals)
    if refusals:
        raise InputError("\n".join(refusals))
    return Files(_whole(drafts.inventory), _whole(drafts.plan), _whole(drafts.environment))


def _whole(draft: PartialModel[Model] | None) -> Model:
    assert draft is not None
    assert draft.whole is not None
    return draft.whole


def _read(read: Callable[[Path], PartialModel[Model]], path: Path, refusals: list[str]) -> PartialModel[Model] | None:
    try:
        return read(path)
    except InputError as error:
        refusals.append(str(error))
        return None


def _judge(
    draft: PartialModel[Model] | None, problems_of: Callable[[PartialModel[Model]], Iterator[str]], refusals: list[str]
) -> None:
    if draft and (problems := draft.problems(problems_of(draft))):
        refusals.append(refusal_of(draft.path, problems))


def _environment_problems(draft: PartialModel[Environment], drafts: _Drafts, *, ports_taken: bool) -> Iterator[str]:
    """Yield what is wrong with an environment, alone and together with the inventory and the plan."""
    yield from environments.problems_of(draft)
    environment = draft.rough
    if environment is None:
        return
    for host in environment.hosts:
        yield from drafts.known.unknown_host(f"hosts/{host}", host)
    yield from _service_problems(environment, drafts, draft.names("extra", "services") or ())
    yield from environments.override_problems(environment, drafts.services)
    plan = drafts.plan.rough if drafts.plan else None
    if plan:
        yield from _backup_problems(environment, plan)
        yield from _added_arrivals(environment, plan, drafts.services, ports_taken=ports_taken)


def _service_problems(environment: Environment, drafts: _Drafts, added: tuple[str, ...]) -> Iterator[str]:
    """Yield the services that the inventory does not know, those that it already has, and wrong ends of links."""
    services = drafts.known.services
    known = Known(drafts.known.hosts, None if services is None else (*services, *added))
    for position, service in enumerate(environment.services or ()):
        yield from known.unknown_service(f"services/{position}", service)
    for name, entry in environment.extra.services.items():
        if name in (services or ()):
            yield (
                f"extra/services/{name}: the inventory has it too; expected a name of its own, an environment "
                "changes no service of the inventory"
            )
        yield from inventories.service_problems(f"extra/services/{name}", entry, known)
    yield from inventories.link_problems("extra/links", environment.extra.links, known)
    for name, entry in environment.extra.services.items():
        for other, its in {**drafts.services, **environment.extra.services}.items():
            if other != name and its.host == entry.host and (other not in environment.extra.services or other < name):
                for taken in inventories.taken_by(its, entry):
                    yield f"extra/services/{name}: {taken} on {entry.host} belongs to {other}; expected it to be free"


def _backup_problems(environment: Environment, plan: Plan) -> Iterator[str]:
    """Yield why a backup must not lie where it does: the machine that is emptied, or a target without a reason."""
    backup = environment.backup
    if backup is None:
        return
    if backup.host in {move.source for move in plan.moves}:
        yield (
            f"backup/host: {backup.host} is a source of the plan; expected a host that outlives the migration, "
            "apart from the data that it saves"
        )
    elif backup.host in {move.target for move in plan.moves} and not backup.reason.strip():
        yield (
            f"backup/reason: missing; {backup.host} is a target of the plan; expected another host, or why the "
            "backup may lie next to the moved data"
        )


def _added_arrivals(
    environment: Environment, plan: Plan, services: dict[str, ServiceEntry], *, ports_taken: bool
) -> Iterator[str]:
    """Yield what a moved service finds taken by a service that only this environment has."""
    for position, move in enumerate(plan.moves):
        for name, entry in environment.extra.services.items():
            if name != move.service and entry.host == move.target and move.service in services:
                for taken in inventories.taken_by(
                    entry, plans.landed(services[move.service], move.ports), ports=ports_taken
                ):
                    place = f"(plan, moves/{position})"
                    yield (
                        f"extra/services/{name}: {taken} on {move.target} is in the way of {move.service} "
                        f"{place}; expected it free"
                    )
