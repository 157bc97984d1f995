"""What the targets will carry once all moves are done, from the samples on record and from the facts of this moment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from checks.capacity.baseline import Load, container_load_now, load_now, load_of
from checks.capacity.prometheus_samples import Key
from checks.capacity.target_load import (
    IncomingService,
    TargetUsage,
    chosen_load,
    judge_baseline,
    judge_disk_after_all,
    judge_disks_busy_after,
    judge_memory_after,
    judge_processors_after,
)
from engine.config.scope import PlannedMove, Scope
from engine.errors import NotObservedError
from engine.finding import say
from engine.i18n.language import term
from engine.journal.samples import HOST
from engine.report_sections import Table
from engine.verdict import Judgement
from phases.context.run_context import RunContext
from phases.context.service_move import service_move
from phases.preflight.sample_source import Baselines, read_baselines

LOOK_BACK: Final = timedelta(days=14)


@dataclass(frozen=True)
class Capacity:
    """Targets of a run, with all samples of the last two weeks, and where they are from."""

    context: RunContext
    baselines: Baselines
    targets: tuple[str, ...]
    _loads: dict[tuple[str, str], Load] = field(default_factory=dict, init=False, repr=False, compare=False)

    def judge_baseline(self, host: str) -> Judgement:
        """Judge whether there are enough samples of a target and of what comes to it."""
        loads = {host: self._sampled_load(host), **self._sampled(host)}
        found = self.baselines
        return judge_baseline(
            host, loads, self.context.scope.plan.baseline_min_h, found.origin, self._named(host, found.looks)
        )

    def judge_memory(self, host: str) -> Judgement:
        """Judge a target's memory after all moves."""
        return judge_memory_after(self.load(host), self.context.scope.thresholds(host).memory_percent)

    def judge_processors(self, host: str) -> Judgement:
        """Judge a target's processors after all moves."""
        return judge_processors_after(self.load(host), self.context.scope.thresholds(host).cpu_percent)

    def judge_disk(self, host: str) -> Judgement:
        """Judge a target's disks after all moves."""
        arriving = [service_move(self.context, move.service) for move in self._arriving(host)]
        needs = [need for move in arriving for need in move.space_needs()]
        return judge_disk_after_all(self.context.facts(host), needs, self.context.scope.thresholds(host).disk_percent)

    def judge_disks_busy(self, host: str) -> Judgement:
        """Judge how busy a target's disks are after all moves."""
        return judge_disks_busy_after(
            self._sampled_target(host),
            self.context.scope.thresholds(host).io_percent,
            self.context.scope.plan.baseline_min_h,
        )

    def load(self, host: str) -> TargetUsage:
        """Return what a target needs now, and what comes to it."""
        sampled = self._sampled_load(host), self._sampled(host)
        now = load_now(self.context.facts(host)), {move.service: self._now(move) for move in self._arriving(host)}
        chosen = chosen_load(self.context.facts(host), sampled, now, self.context.scope.plan.baseline_min_h)
        return self._with_origin(chosen)

    def table(self) -> Table:
        """Return one row per target: what it carries now, and after all moves."""
        rows = [row for host in self.targets for row in self._rows_or_unknown(host)]
        return Table(
            term("Capacity of the targets"),
            ("host", "what", "now", "after all moves", "at most", "drawn from"),
            tuple(rows),
        )

    def _rows_or_unknown(self, host: str) -> list[tuple[str, ...]]:
        """Return a target's rows; one that does not answer has one row that says so."""
        try:
            return list(self._rows(host))
        except NotObservedError as error:
            return [(host, "–", "–", "–", "–", say("UNKNOWN: {error}", error=error))]

    def _rows(self, host: str) -> Iterator[tuple[str, ...]]:
        load, thresholds = self.load(host), self.context.scope.thresholds(host)
        for what, now, after, limit in (
            (
                "memory",
                _share(load.host.memory_bytes, load.facts.memory_total_bytes),
                self.judge_memory(host),
                thresholds.memory_percent,
            ),
            (
                "processors",
                _share(load.host.processors, load.facts.cpus),
                self.judge_processors(host),
                thresholds.cpu_percent,
            ),
            (
                say("busiest disk"),
                _share(self._sampled_load(host).disk.busy_percent, 100.0),
                self.judge_disks_busy(host),
                thresholds.io_percent,
            ),
        ):
            percent = after.measured.get("used_percent")
            yield (
                host,
                what,
                now,
                f"{percent} %" if percent is not None else say("not enough data"),
                say("{limit:g} %", limit=limit),
                load.text,
            )

    def _arriving(self, host: str) -> list[PlannedMove]:
        where = self.context.where()
        return [move for move in self.context.scope.moves if move.target == host and where[move.service] != host]

    def _sampled(self, host: str) -> Mapping[str, Load]:
        return {move.service: self._sampled_load(*_key(self.context.scope, move)) for move in self._arriving(host)}

    def _sampled_load(self, host: str, container: str = HOST) -> Load:
        """Return the load that the samples show, counted once: a fleet has hundreds of thousands of them."""
        if (host, container) not in self._loads:
            self._loads[host, container] = load_of(self.baselines.samples, host, container)
        return self._loads[host, container]

    def _sampled_target(self, host: str) -> TargetUsage:
        """Return the load of a target and of what comes to it by its samples, however few they are."""
        arriving = tuple(IncomingService(name, load) for name, load in self._sampled(host).items())
        return self._with_origin(TargetUsage(self.context.facts(host), self._sampled_load(host), arriving))

    def _with_origin(self, load: TargetUsage) -> TargetUsage:
        found, host = self.baselines, load.facts.host
        return replace(
            load,
            origin=found.origin,
            looks=self._named(host, found.looks),
            disk_looks=self._named(host, found.disk_looks),
        )

    def _named(self, host: str, looks: Mapping[Key, str]) -> dict[str, str]:
        """Return what to look at by the names that messages use: the target's, and those of the services that come to
        it.
        """
        keys = {host: (host, HOST), **{move.service: _key(self.context.scope, move) for move in self._arriving(host)}}
        return {name: looks[key] for name, key in keys.items() if key in looks}

    def _now(self, move: PlannedMove) -> Load:
        return container_load_now(self.context.facts(move.source), self.context.entry(move.service).container)


def read_capacity(context: RunContext, hosts: Collection[str]) -> Capacity:
    """Return the capacity of the run's targets among these hosts; raises what reading the journal raises."""
    targets, now = tuple(host for host in targets_of(context.scope) if host in hosts), datetime.now(UTC)
    wanted = [*((host, HOST) for host in targets)]
    for move in context.scope.moves:
        if move.target in targets:
            wanted += [(move.source, HOST), _key(context.scope, move)]
    place = context.scope.environment.prometheus
    return Capacity(
        context,
        read_baselines(context.journal, place, context.redactor, dict.fromkeys(wanted), (now - LOOK_BACK, now)),
        targets,
    )


def _key(scope: Scope, move: PlannedMove) -> Key:
    """Return where what a service needs was measured: its container, where it comes from."""
    return move.source, scope.services[move.service].container


def targets_of(scope: Scope) -> tuple[str, ...]:
    """Return the hosts that services go to, in the plan's order."""
    return tuple(dict.fromkeys(move.target for move in scope.moves))


def _share(part: float | None, whole: float) -> str:
    return say("not known") if part is None or not whole else say("{part:.0f} %", part=100.0 * part / whole)
