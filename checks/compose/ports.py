"""Published ports in both syntaxes of the Compose specification, ranges kept as ranges.

https://github.com/compose-spec/compose-spec/blob/main/05-services.md#ports
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from engine.finding import say

PORT: Final = re.compile(r"[0-9]{1,5}")
PROTOCOLS: Final = frozenset({"tcp", "udp", "sctp"})
HIGHEST: Final = 65_535
SHORT: Final = "[HOST:]CONTAINER[/PROTOCOL]"
LONG_KEYS: Final = frozenset({"target", "published", "host_ip", "protocol", "mode", "app_protocol", "name"})
Span = tuple[int, int]


class PortError(ValueError):
    """What is there is no port; the message says what was seen and what was expected."""


@dataclass(frozen=True, order=True)
class Published:
    """Ports that a service publishes: `host` and `container` are first and last port, `host` (0, 0): any free one.

    A span of host ports for one container port is a choice: Docker takes the first that is free.
    """

    address: str  # "" every address
    host: Span
    container: Span
    protocol: str = "tcp"

    @property
    def is_fixed(self) -> bool:
        """Return whether the service can't start unless exactly these ports are free."""
        return self.host != (0, 0) and not self.is_choice

    @property
    def is_choice(self) -> bool:
        """Return whether one free port of several is enough."""
        return self.host[0] < self.host[1] and self.container[0] == self.container[1]

    def single(self) -> Iterator[tuple[str, str, int, str]]:
        """Yield (address, host port or span or "", container port, protocol) for each container port."""
        for offset in range(self.container[1] - self.container[0] + 1):
            first = self.host[0] + offset
            host = f"{self.host[0]}-{self.host[1]}" if self.is_choice else str(first) if self.host != (0, 0) else ""
            yield self.address, host, self.container[0] + offset, self.protocol

    def text(self) -> str:
        """Return it as the short syntax has it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        host = _span_text(self.host) if self.host != (0, 0) else ""
        head = f"{address}:{host}:" if address else f"{host}:" if host else ""
        return f"{head}{_span_text(self.container)}/{self.protocol}"


def parse_port(item: Any) -> Published:
    """Return what one item of `ports` publishes; raises PortError."""
    if isinstance(item, Mapping):
        return _long(item)
    if isinstance(item, str) or (isinstance(item, int) and not isinstance(item, bool)):
        return parse_short(str(item))
    raise PortError(
        say("a port that is {kind}; expected {short}, or a mapping with target", kind=_kind(item), short=SHORT)
    )


def parse_short(text: str) -> Published:
    """Return what a port in the short syntax publishes; raises PortError."""
    rest, _, protocol = text.partition("/")
    protocol = protocol.partition("/")[0].lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise PortError(say("protocol {protocol}; expected tcp, udp or sctp", protocol=_shown(protocol)))
    head, _, container = rest.rpartition(":")
    address, _, host = head.rpartition(":")
    inside = _span(container, say("container port"))
    if inside[0] == 0:
        raise PortError(say("container port 0; expected 1 to 65535"))
    return _matched(
        _address(address) if address else "", _span(host, say("host port")) if host else (0, 0), inside, protocol
    )


def _long(item: Mapping[str, Any]) -> Published:
    unknown = sorted(key for key in item if key not in LONG_KEYS and not key.startswith("x-"))
    if unknown:
        raise PortError(
            say(
                "unknown key {first_unknown} in a port; known: {long_keys}",
                first_unknown=_shown(unknown[0]),
                long_keys=", ".join(sorted(LONG_KEYS)),
            )
        )
    target = item.get("target")
    if target is None:
        raise PortError(say("a port without target; expected the port in the container"))
    inside = _number(target, "target")
    if not inside:
        raise PortError(say("target 0; expected 1 to 65535"))
    published = item.get("published")
    host = _span(str(published), "published") if published not in {None, ""} else (0, 0)
    protocol = str(item.get("protocol") or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise PortError(say("protocol {protocol}; expected tcp, udp or sctp", protocol=_shown(protocol)))
    address = item.get("host_ip")
    return Published(_address(str(address)) if address else "", host, (inside, inside), protocol)


def _matched(address: str, host: Span, container: Span, protocol: str) -> Published:
    lengths = host[1] - host[0], container[1] - container[0]
    if host != (0, 0) and lengths[0] != lengths[1] and lengths[1]:
        raise PortError(
            say(
                "{host_count} host ports for {container_count} container ports; expected as many, or one container "
                "port",
                host_count=lengths[0] + 1,
                container_count=lengths[1] + 1,
            )
        )
    return Published(address, host, container, protocol)


def _span(text: str, what: str) -> Span:
    first, dash, last = text.partition("-")
    numbers = _number(first, what), _number(last if dash else first, what)
    if numbers[1] < numbers[0]:
        raise PortError(say("{what} {text} ends before it begins; expected FIRST-LAST", what=what, text=_shown(text)))
    return numbers


def _number(value: Any, what: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not PORT.fullmatch(text) or int(text) > HIGHEST:
        raise PortError(
            say("{what} {text}; expected a number up to {highest}", what=what, text=_shown(text), highest=HIGHEST)
        )
    return int(text)


def _address(text: str) -> str:
    """Return an address in its shortest form; raises PortError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        raise PortError(say("host address {text}; expected an IPv4 or IPv6 address", text=_shown(text))) from None


def _span_text(span: Span) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"


def _shown(text: str) -> str:
    shown = text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 a line's worth
    return repr(shown)


def _kind(item: Any) -> str:
    kinds = {bool: say("true or false"), type(None): "empty", float: say("a fraction")}
    return kinds.get(type(item), say("a list"))
