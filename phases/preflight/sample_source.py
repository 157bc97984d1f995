"""Where the samples of a run's capacity come from: the environment's Prometheus when it names one that answers, else
our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from checks.capacity.prometheus_samples import (
    DISKS_OF_CONTAINERS,
    DISKS_OF_HOSTS,
    OF_CONTAINERS,
    OF_HOSTS,
    STEP_S,
    Key,
    Metric,
    poorest,
    query_of,
    samples_of,
)
from checks.capacity.sample_source import OWN, SampleSource
from engine.config.environment import PrometheusPlace
from engine.errors import InputError, NotObservedError
from engine.finding import say
from engine.journal.journal import Journal
from engine.journal.samples import HOST, Sample, read_samples
from engine.redaction.redactor import Redactor
from hosts.local.prometheus import Prometheus, Series, basic, bearer
from hosts.local.secret_references import resolve_secret

AT_ONCE: Final = 3
"""Queries over days are heavy: a Prometheus that serves others too is not asked all of them at once."""


@dataclass(frozen=True)
class Baselines:
    """Samples, and where they are from."""

    samples: tuple[Sample, ...] = ()
    origin: SampleSource = OWN
    looks: Mapping[Key, str] = field(default_factory=dict)
    """The query to look at when there is not enough of a host or container."""
    disk_looks: Mapping[Key, str] = field(default_factory=dict)


def read_baselines(
    journal: Journal,
    place: PrometheusPlace | None,
    redactor: Redactor,
    wanted: Iterable[Key],
    between: tuple[datetime, datetime],
) -> Baselines:
    """Return the samples of these hosts and containers; raises what reading the journal raises.

    A Prometheus that does not answer, or not to all that is asked, is replaced by our own samples as a whole, and the
    origin says so.
    """
    if place is None:
        return Baselines(read_samples(journal, between[0]))
    try:
        return _recorded(open_prometheus(place, redactor), place, tuple(wanted), between)
    except (NotObservedError, InputError) as error:
        return Baselines(
            read_samples(journal, between[0]),
            SampleSource(trouble=say("not from the Prometheus that is named: {error}", error=error)),
        )


def open_prometheus(place: PrometheusPlace, redactor: Redactor) -> Prometheus:
    """Return the server with what it lets us in with, known to the redactor; raises InputError when a reference leads
    nowhere.
    """
    if place.token is not None:
        return Prometheus(place.url, redactor.register(bearer(redactor.register(resolve_secret(place.token)))))
    if place.password is not None:
        return Prometheus(
            place.url, redactor.register(basic(place.user, redactor.register(resolve_secret(place.password))))
        )
    return Prometheus(place.url)


def _recorded(
    server: Prometheus, place: PrometheusPlace, wanted: tuple[Key, ...], between: tuple[datetime, datetime]
) -> Baselines:
    hosts = {
        instance: host
        for host in dict.fromkeys(host for host, _ in wanted)
        for instance in place.instances.get(host, ())
    }
    containers = tuple(dict.fromkeys(name for _, name in wanted if name != HOST))
    metrics = (
        [*OF_HOSTS, *DISKS_OF_HOSTS, *((*OF_CONTAINERS, *DISKS_OF_CONTAINERS) if containers else ())] if hosts else []
    )

    def ask(metric: Metric) -> tuple[Series, ...]:
        return server.ask_range(query_of(metric, hosts, containers), *between, STEP_S)

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = dict(zip(metrics, pool.map(ask, metrics), strict=True))

    def looks(of_host: tuple[Metric, ...], of_container: tuple[Metric, ...]) -> dict[Key, str]:
        found = {}
        for host, name in wanted:
            worst = poorest(answers, hosts, of_host if name == HOST else of_container, (host, name))
            mine = place.instances.get(host)
            found[host, name] = (
                query_of(worst, mine, (name,))
                if mine
                else f"prometheus/instances/{host} of the environment's file: none"
            )
        return found

    return Baselines(
        samples_of(answers, hosts),
        SampleSource(f"Prometheus {place.url}"),
        looks(OF_HOSTS, OF_CONTAINERS),
        looks(DISKS_OF_HOSTS, DISKS_OF_CONTAINERS),
    )
