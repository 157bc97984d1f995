"""Who reaches a port that is remapped, by the links of the inventory and by the settings that are known, and what must
change there.

Only `name:port` is ever taken from a setting: the texts around it may be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from checks.ports.remap_solver import Remap
from engine.config.inventory import Link

PORT_NAME: Final = re.compile(r"(?i)^(?P<stem>.*?)_?PORT$")
HOST_NAMES: Final = ("HOST", "HOSTNAME", "ADDRESS", "ADDR", "SERVER")
FROM_INSIDE: Final = ("host.docker.internal", "host-gateway")
"""How a container calls the host that it runs on."""


@dataclass(frozen=True)
class Setting:
    """A text that may name a port: a file of a host, or one variable or argument of a container."""

    host: str
    place: str  # "/srv/caddy/Caddyfile", "container grafana, GF_DATABASE_HOST"
    text: str = field(repr=False)
    role_of_product: str = ""  # what its product calls such a text
    is_file: bool = True

    @property
    def role(self) -> str:
        """Return what such a text is called where it is used."""
        if self.role_of_product:
            return self.role_of_product
        return "webhook URL" if "WEBHOOK" in self.place.upper() else "setting"


@dataclass(frozen=True, order=True)
class Consumer:
    """One place that reaches a remapped port."""

    service: str
    port: str
    role: str
    place: str
    says: str
    becomes: str
    how: str


def list_consumers(
    remaps: Iterable[Remap],
    links: Iterable[Link],
    settings: Iterable[Setting],
    *,
    after: Mapping[str, str],
    addresses: Mapping[str, str],
) -> tuple[Consumer, ...]:
    """Return all consumers of remapped ports; `after` is where each service is in the end, `addresses` are
    the hosts'.
    """
    links, settings = tuple(links), tuple(settings)
    found: set[Consumer] = set()
    for remap in remaps:
        found.update(_by_links(remap, links, after))
        found.update(_by_settings(remap, settings, addresses))
    return tuple(sorted(found))


def _by_links(remap: Remap, links: Iterable[Link], after: Mapping[str, str]) -> Iterator[Consumer]:
    for link in links:
        if link.to != remap.service or link.port != remap.port.container or remap.port.protocol != "tcp":
            continue
        host, said = after.get(link.from_, ""), f"{link.name}:{link.port}"
        how = f"migrate sets the relay on {host}, which then leads to {remap.target}:{remap.to}"
        if host == remap.target:
            how = f"nothing: on {host} both are on one network, where the port stays {link.port}"
        yield Consumer(remap.service, remap.key, "link", f"{link.from_} on {host}", said, said, how)


def _by_settings(remap: Remap, settings: Iterable[Setting], addresses: Mapping[str, str]) -> Iterator[Consumer]:
    for setting in settings:
        names = {
            name: target
            for name, target in _names(remap, addresses).items()
            if name not in FROM_INSIDE or setting.host == remap.source
        }
        longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
        pattern = re.compile(rf"(?<![\w.-])(?P<name>{longest_first})[\"']?:{remap.port.port}(?!\d)")
        for number, line in enumerate(setting.text.splitlines(), start=1):
            for match in pattern.finditer(line):
                place = f"{setting.host}:{setting.place}" + (f":{number}" if setting.is_file else "")
                yield _consumer(remap, setting.role, place, match["name"], names[match["name"]])


def paired_variables(host: str, container: str, env: Mapping[str, str], role_of_product: str = "") -> Iterator[Setting]:
    """Yield each variable of a container as a setting; a pair as DB_HOST and DB_PORT is one that says `host:port`."""
    for name, value in env.items():
        yield Setting(host, f"container {container}, {name}", value, role_of_product, is_file=False)
        stem = PORT_NAME.match(name)
        if not stem or not value.isdigit():
            continue
        for word in HOST_NAMES:
            other = f"{stem['stem']}_{word}" if stem["stem"] else word
            if other in env:
                yield Setting(
                    host,
                    f"container {container}, {other} and {name}",
                    f"{env[other]}:{value}",
                    role_of_product,
                    is_file=False,
                )


def _names(remap: Remap, addresses: Mapping[str, str]) -> dict[str, str]:
    """Return how the service may be called by a published port, each with the name by which its target is
    called then.
    """
    names = {}
    for host in (remap.source, remap.target):
        names[host] = remap.target
        if host in addresses:
            names[addresses[host]] = addresses.get(remap.target, remap.target)
    return names | dict.fromkeys(FROM_INSIDE, remap.target)


def _consumer(remap: Remap, role: str, place: str, name: str, target: str) -> Consumer:
    how = f"by hand, before {remap.source} is switched off: until then a relay there keeps the old port"
    if target == name:
        how = "by hand, as soon as the service is moved"
    elif remap.port.protocol != "tcp":
        how = "by hand, as soon as the service is moved: only TCP can be relayed"
    return Consumer(remap.service, remap.key, role, place, f"{name}:{remap.port.port}", f"{target}:{remap.to}", how)
