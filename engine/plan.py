"""`migration_plan.json`: the moves in order, the window, the approvals and the costs: what people sign."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from engine.inventory import Inventory, Wave, port_clashes
from engine.problems import Strict, parse_shape, read_data, refuse, unknown_name

SHORTEST_WINDOW: Final = timedelta(hours=1)
LONGEST_WINDOW: Final = timedelta(hours=24)
WAVES: Final = ("critical", "monitoring", "auxiliary")


class Window(Strict):
    """When hosts may be changed."""

    starts_at: AwareDatetime = Field(description="with its UTC offset", examples=["2026-12-05T22:00:00-03:00"])
    ends_at: AwareDatetime = Field(description="with its UTC offset", examples=["2026-12-06T04:00:00-03:00"])
    time_zone: str = Field(description="the zone that people think in", examples=["America/Sao_Paulo"])
    status: Literal["proposed", "agreed"] = Field("proposed", description="agreed once the stakeholders said so")


class Approval(Strict):
    """How many people must approve in one role."""

    role: Literal["technical", "business"] = Field(description="in which role")
    count: Annotated[int, Field(ge=1)] = Field(1, description="how many different people")


class PlannedMove(Strict):
    """One service goes from one host to another."""

    service: str = Field(description="name in the inventory", examples=["postgres"])
    source: str = Field(description="host that it leaves", examples=["wf005"])
    target: str = Field(description="host that it goes to", examples=["wf002"])
    wave: Wave = Field(description="group of moves")
    strategy: Literal["stop_copy"] = Field("stop_copy", description="how its data travels")
    hold: Literal["none"] = Field("none", description="what keeps its writers from failing badly: none = they see the outage and reconnect")
    notes: str = Field("", description="what a person should know")


class HostCost(Strict):
    """What a host costs."""

    monthly: Annotated[float, Field(ge=0)] = Field(description="per month", examples=[890.0])
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217", examples=["BRL"])
    estimated: bool = Field(True, description="false once it is taken from an invoice")


class Risk(Strict):
    """One risk that is watched."""

    level: Literal["high", "medium", "low"] = Field(description="how bad and how likely together")
    risk: str = Field(description="what could go wrong")
    answer: str = Field(description="what is done about it")


class Plan(Strict):
    """What people sign."""

    schema_: str | None = Field(None, alias="$schema", description="lets an editor check the file")
    version: Literal[1] = Field(description="version of this format")
    title: str = Field(description="what the migration is for")
    window: Window = Field(description="when hosts may be changed")
    approvals: tuple[Approval, ...] = Field(description="who must approve")
    evidence_max_age_h: Annotated[float, Field(gt=0)] = Field(24, description="how old preflight and backups may be, in hours")
    on_failure: Literal["stop", "continue_independent"] = Field("stop", description="whether other moves go on when one fails")
    moves: Annotated[tuple[PlannedMove, ...], Field(min_length=1)] = Field(description="in order")
    costs: dict[str, HostCost] = Field(default_factory=dict, description="per host, for the savings")
    risks: tuple[Risk, ...] = Field((), description="what approvers should weigh")
    external: tuple[str, ...] = Field((), description="what depends on other people")


def load_plan(path: Path, inventory: Inventory) -> Plan:
    """Return the plan of a file; raises InputError with all its problems."""
    plan, problems = parse_shape(Plan, read_data(path))
    refuse(path, problems + (list(problems_of(plan, inventory)) if plan else []))
    assert plan is not None
    return plan


def problems_of(plan: Plan, inventory: Inventory) -> Iterator[str]:
    """Yield what is wrong although the shape is right."""
    yield from _window_problems(plan.window)
    yield from _move_problems(plan, inventory)
    for host in plan.costs:
        if host not in inventory.hosts:
            yield unknown_name(f"costs/{host}", "host", host, list(inventory.hosts))
    where = {name: entry.host for name, entry in inventory.services.items()}
    where |= {move.service: move.target for move in plan.moves if move.service in where}
    yield from port_clashes(inventory.services, where, "moves: once all are done, services")


def _window_problems(window: Window) -> Iterator[str]:
    length = window.ends_at - window.starts_at
    if length <= timedelta(0):
        yield f"window: ends ({window.ends_at.isoformat()}) before it starts ({window.starts_at.isoformat()})"
    elif not SHORTEST_WINDOW <= length <= LONGEST_WINDOW:
        yield f"window: is {length} long; expected between {SHORTEST_WINDOW} and {LONGEST_WINDOW}"


def _move_problems(plan: Plan, inventory: Inventory) -> Iterator[str]:
    seen: set[str] = set()
    latest = 0
    for position, move in enumerate(plan.moves):
        path = f"moves/{position}"
        entry = inventory.services.get(move.service)
        if entry is None:
            yield unknown_name(f"{path}/service", "service", move.service, list(inventory.services))
        elif entry.host != move.source:
            yield f"{path}/source: {move.service} is on {entry.host} in the inventory; seen {move.source}"
        for end, host in (("source", move.source), ("target", move.target)):
            if host not in inventory.hosts:
                yield unknown_name(f"{path}/{end}", "host", host, list(inventory.hosts))
        if move.source == move.target:
            yield f"{path}/target: {move.target} is also the source; expected another host"
        if move.service in seen:
            yield f"{path}/service: {move.service} moves twice; expected once"
        seen.add(move.service)
        if WAVES.index(move.wave) < latest:
            yield f"{path}/wave: {move.wave} after {WAVES[latest]}; expected the order {', '.join(WAVES)}"
        latest = max(latest, WAVES.index(move.wave))
