"""`migration_plan.json`: the moves in order, the window, the approvals and the costs: what people sign."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, JsonValue, StringConstraints

from engine.command_line import ANY, typed_command
from engine.config.inventory import (
    KEYS,
    Inventory,
    KeyName,
    Known,
    Name,
    Port,
    PortEntry,
    ServiceEntry,
    Wave,
    names_of,
    taken_by,
)
from engine.config.partial_model import PartialModel, read_draft
from engine.config.validation import Strict
from engine.watch.causes import RESTARTS, Cause

Hours = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
Strategy = Literal["precopy", "stop_copy", "replicate"]
WAVES: Final = ("critical", "monitoring", "auxiliary")
PUBLISHED: Final = r"^[1-9][0-9]{0,4}/(tcp|udp)$"
LAST_PORT: Final = 65535
PUBLISHED_KEYS: Final[dict[str, JsonValue]] = {"propertyNames": {"pattern": PUBLISHED}}
PublishedPort = Annotated[str, StringConstraints(pattern=PUBLISHED)]

Role = Literal["technical", "business"]
Floor = Annotated[float, Field(gt=0)]
HOURS_WATCHED: Final = 72.0
AFTER_THE_MOVES: Final = frozenset({"stability"})
"""Keys of a plan that approvals of the moves do not cover."""


class Window(Strict):
    """When hosts may be changed."""

    starts_at: AwareDatetime = Field(description="with its UTC offset", examples=["2026-12-05T22:00:00-03:00"])
    ends_at: AwareDatetime = Field(description="with its UTC offset", examples=["2026-12-06T04:00:00-03:00"])
    time_zone: str = Field(description="the zone that people think in", examples=["America/Sao_Paulo"])
    status: Literal["proposed", "agreed"] = Field("proposed", description="agreed once the stakeholders said so")


class Approval(Strict):
    """How many people must approve in one role."""

    role: Role = Field(description="in which role")
    count: Annotated[int, Field(ge=1)] = Field(1, description="how many different people")


class PlannedMove(Strict):
    """One service goes from one host to another."""

    service: Name = Field(description="name in the inventory", examples=["postgres"])
    source: Name = Field(description="host that it leaves", examples=["wf005"])
    target: Name = Field(description="host that it goes to", examples=["wf002"])
    wave: Wave = Field(description="group of moves")
    strategy: Strategy = Field(
        "precopy",
        description="how its data travels: precopy (copied while it runs, finished once it is stopped), stop_copy "
        "(all once it is stopped), "
        "replicate (by the product's own replication: postgres, redis; where its conditions do not hold: precopy)",
    )
    verify: Literal["metadata", "sampled", "full"] = Field(
        "full", description="how the copy is proven: no content read, three parts of each file, or every byte"
    )
    outage_budget_s: Seconds | None = Field(
        None, description="how long this service may be out, in seconds, instead of the plan's own value"
    )
    ports: dict[PublishedPort, Port] = Field(
        default_factory=dict,
        description=(
            "published ports that become others on the target: port and protocol on the source, and the port on "
            "the target"
        ),
        examples=[{"5432/tcp": 15432}],
        json_schema_extra=PUBLISHED_KEYS,
    )
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
    mitigation: str = Field(description="what is done about it")


class Relays(Strict):
    """How relays cross from host to host."""

    encrypt: bool = Field(
        True,
        description="mutual TLS with keys that are made for each relay; false needs a reason, which approvers read",
    )
    reason: str = Field(
        "", description="why relays are not encrypted", examples=["all hosts share a WireGuard network"]
    )
    first_port: Port = Field(
        21000, description="first of the ports on private addresses at which the far ends of relays listen"
    )
    ports: Annotated[int, Field(ge=1, le=20000)] = Field(2000, description="how many ports there are for them")


class WatchComparison(Strict):
    """How the time after the moves is compared with the time before."""

    baseline_days: Annotated[int, Field(ge=2, le=35)] = Field(
        14, description="days before the first move that are the baseline"
    )
    points: Floor = Field(5, description="smallest change of a load that counts, in percent points")
    container_memory_mib: Floor = Field(64, description="smallest change of a container's memory that counts, in MiB")
    mb_s: Floor = Field(1, description="smallest change of traffic and disk IO that counts, in megabytes per second")


class StabilityRules(Strict):
    """When the time after the moves counts as stable; no part of what approvals of the moves cover."""

    hours: Hours = Field(HOURS_WATCHED, description="hours that must be watched without a disturbance")
    less_because: str = Field(
        "",
        description="why fewer than 72 hours are enough; on the first page of the evidence",
        examples=["no service of this plan has a weekly job"],
    )
    restarts: tuple[Cause, ...] = Field(
        RESTARTS, description="what makes the hours begin again; everything else is only noted"
    )
    comparison: WatchComparison = Field(
        default_factory=WatchComparison, description="how the time after is compared with the time before"
    )


class Plan(Strict):
    """What people sign."""

    schema_: str | None = Field(None, alias="$schema", description="lets an editor check the file")
    version: Literal[1] = Field(description="version of this format")
    title: str = Field(description="what the migration is for")
    window: Window = Field(description="when hosts may be changed")
    window_min_h: Hours = Field(4, description="a shorter window leaves no time to undo, in hours")
    window_max_h: Hours = Field(8, description="a longer window outlasts the people who watch, in hours")
    approvals: tuple[Approval, ...] = Field(description="who must approve")
    evidence_max_age_h: Hours = Field(24, description="how old preflight and backups may be, in hours")
    baseline_min_h: Hours = Field(
        24, description="hours of samples that the targets' capacity is judged by; with fewer, by the moment"
    )
    outage_budget_s: Seconds = Field(
        30, description="copying goes on while a service runs until stopping it costs less, in seconds"
    )
    bandwidth_limit_mb_s: Annotated[float, Field(gt=0)] | None = Field(
        None, description="how much a copy may send, in megabytes per second"
    )
    on_failure: Literal["stop", "continue_independent"] = Field(
        "stop", description="whether other moves go on when one fails"
    )
    relays: Relays = Field(default_factory=Relays, description="how relays cross from host to host")
    moves: tuple[PlannedMove, ...] = Field(description="in order, at least one", json_schema_extra={"minItems": 1})
    costs: dict[KeyName, HostCost] = Field(
        default_factory=dict, description="per host, for the savings", json_schema_extra=KEYS
    )
    risks: tuple[Risk, ...] = Field((), description="what approvers should weigh")
    external_dependencies: tuple[str, ...] = Field((), description="what depends on other people")
    stability: StabilityRules = Field(
        default_factory=StabilityRules,
        description="when the time after the moves counts as stable; a change voids no approval of the moves",
    )


def read_plan(path: Path) -> PartialModel[Plan]:
    """Return the plan of a file as far as it can be judged; raises InputError when it can't be read."""
    window = {"starts_at": "2000-01-01T00:00:00Z", "ends_at": "2000-01-01T06:00:00Z", "time_zone": "UTC"}
    return read_draft(Plan, path, {"version": 1, "title": "", "window": window, "approvals": [], "moves": []})


def load_plan(path: Path, inventory: Inventory) -> Plan:
    """Return the plan of a file; raises InputError with all its problems."""
    draft = read_plan(path)
    return draft.judged(problems_of(draft, inventory, names_of(inventory)))


def problems_of(
    draft: PartialModel[Plan], inventory: Inventory | None, known: Known, *, ports_taken: bool = True
) -> Iterator[str]:
    """Yield what is wrong although the shape is right; without an inventory only what the plan says by itself.

    Without `ports_taken` a port that is taken on a target is no problem: who plans a remap has to read such a plan.
    """
    plan = draft.rough
    if plan is None:
        return
    if draft.whole and not plan.moves:
        yield "moves: none; expected at least one"
    if draft.is_sound("window"):
        yield from window_problems("window", plan.window) or _length_problems(plan)
    yield from _relay_problems(plan.relays)
    yield from _stability_problems(plan.stability)
    yield from _order_problems(plan)
    for host in plan.costs:
        yield from known.unknown_host(f"costs/{host}", host)
    for position, move in enumerate(plan.moves):
        path = f"moves/{position}"
        yield from known.unknown_service(f"{path}/service", move.service)
        yield from known.unknown_host(f"{path}/source", move.source)
        yield from known.unknown_host(f"{path}/target", move.target)
        if inventory and move.service in inventory.services:
            yield from _differences(path, move, inventory.services[move.service])
            yield from _remap_problems(path, move, inventory.services[move.service])
    if inventory:
        yield from arrival_problems(plan, inventory.services, ports_taken=ports_taken)


def window_problems(path: str, window: Window) -> list[str]:
    """Return what is wrong with a window of any length."""
    if window.ends_at > window.starts_at:
        return []
    return [
        (
            f"{path}: ends ({window.ends_at.isoformat()}) before it starts ({window.starts_at.isoformat()}); "
            "expected the end after the start"
        )
    ]


def _length_problems(plan: Plan) -> Iterator[str]:
    """Yield a window that is too short or too long for what the plan itself allows."""
    length_h = (plan.window.ends_at - plan.window.starts_at) / timedelta(hours=1)
    shortest, longest = plan.window_min_h, plan.window_max_h
    if shortest > longest:
        yield f"window_min_h: {shortest:g} is more than window_max_h, {longest:g}; expected it not to be"
    elif not shortest <= length_h <= longest:
        yield (
            f"window: is {length_h:g} h long; expected {shortest:g} to {longest:g} h. "
            "Change starts_at or ends_at, or the plan's window_min_h and window_max_h, which are signed too"
        )


def _relay_problems(relays: Relays) -> Iterator[str]:
    if not relays.encrypt and not relays.reason.strip():
        yield (
            "relays/reason: empty, and encrypt is false; expected why passwords and data may cross between hosts "
            "in clear text"
        )
    if relays.first_port + relays.ports - 1 > LAST_PORT:
        yield (
            f"relays/ports: {relays.ports} from {relays.first_port} on go beyond {LAST_PORT}; expected fewer, or "
            "a lower first_port"
        )


def _stability_problems(rules: StabilityRules) -> Iterator[str]:
    if rules.hours < HOURS_WATCHED and not rules.less_because.strip():
        yield (
            f"stability/less_because: empty, and hours is {rules.hours:g}; expected why fewer than "
            f"{HOURS_WATCHED:g} hours are enough"
        )
    for position, cause in enumerate(rules.restarts):
        if cause in rules.restarts[:position]:
            yield f"stability/restarts/{position}: {cause} is listed twice; expected once"


def _order_problems(plan: Plan) -> Iterator[str]:
    seen: set[str] = set()
    latest = 0
    for position, move in enumerate(plan.moves):
        path = f"moves/{position}"
        if move.source == move.target:
            yield f"{path}/target: {move.target} is also the source; expected another host"
        if move.service in seen:
            yield f"{path}/service: {move.service} moves twice; expected once"
        seen.add(move.service)
        if WAVES.index(move.wave) < latest:
            yield f"{path}/wave: {move.wave} after {WAVES[latest]}; expected the order {', '.join(WAVES)}"
        latest = max(latest, WAVES.index(move.wave))


def _differences(path: str, move: PlannedMove, entry: ServiceEntry) -> Iterator[str]:
    if entry.host != move.source:
        yield f"{path}/source: {move.service} is on {entry.host} in the inventory; seen {move.source}"
    if entry.wave not in {None, move.wave}:
        yield f"{path}/wave: {move.wave}; the inventory has {entry.wave} for {move.service}; expected the same in both"


def _remap_problems(path: str, move: PlannedMove, entry: ServiceEntry) -> Iterator[str]:
    """Yield remaps of ports that the service does not publish, and ports of it that would become the same one."""
    published = [f"{port.host}/{port.protocol}" for port in entry.ports]
    for port in move.ports:
        if port not in published:
            yield f"{path}/ports/{port}: {move.service} publishes no such port; known: {', '.join(published) or 'none'}"
    seen: dict[tuple[str, int, str], int] = {}
    for one in entry.ports:
        number = landed_port(one, move.ports)
        before = seen.setdefault((one.address, number, one.protocol), one.host)
        if before != one.host:
            yield (
                f"{path}/ports: {before} and {one.host} both become {number}/{one.protocol} on {move.target}; "
                "expected two ports"
            )


def landed_port(port: PortEntry, remaps: Mapping[str, int]) -> int:
    """Return the host port under which a published port is reached on the target."""
    return remaps.get(f"{port.host}/{port.protocol}", port.host)


def landed(entry: ServiceEntry, remaps: Mapping[str, int]) -> ServiceEntry:
    """Return a service as it is on its target: published under the ports that its move says."""
    ports = tuple(port.model_copy(update={"host": landed_port(port, remaps)}) for port in entry.ports)
    return entry.model_copy(update={"ports": ports})


def arrival_problems(plan: Plan, services: Mapping[str, ServiceEntry], *, ports_taken: bool = True) -> Iterator[str]:
    """Yield each port and container name that a service finds taken when it arrives, the moves before it being done."""
    where = {name: entry.host for name, entry in services.items()}
    there = dict(services)
    for position, move in enumerate(plan.moves):
        if move.service not in services:
            continue
        where[move.service], there[move.service] = move.target, landed(services[move.service], move.ports)
        for other, entry in there.items():
            if other != move.service and where[other] == move.target:
                for taken in taken_by(entry, there[move.service], ports=ports_taken):
                    way_out = (
                        f". Remap it: {typed_command('ports', '--write', environment=ANY)}"
                        if taken.startswith("port ")
                        else ""
                    )
                    told = f"{taken} on {move.target} belongs to {other} when {move.service} arrives"
                    yield f"moves/{position}/target: {told}; expected it to be free{way_out}"
