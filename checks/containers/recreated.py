"""Is the recreated container faithful: every field of `docker inspect` is compared, and only a written list
may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from checks.containers.allowed_differences import ALLOWED_DIFFERENCES, Pair
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown

SHOWN_LENGTH: Final = 120
SHORT_ID: Final = 12


@dataclass(frozen=True)
class Difference:
    """One field that differs, by its path in `docker inspect`; values of the environment are never shown."""

    path: str
    source: str
    target: str

    def text(self) -> str:
        """Return the difference as one line."""
        return say(
            "{path}: {source} on the source, {target} on the target",
            path=self.path,
            source=self.source,
            target=self.target,
        )


def compare_containers(
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    *,
    committed: bool = False,
    dropped: Iterable[str] = (),
    ports: Mapping[str, int] | None = None,
) -> list[Difference]:
    """Return every field that differs and may not; `source` is the inspect answer recorded before its stop.

    After commit the restart policy must be equal too. `dropped` are the destinations of mounts with rule `drop`;
    `ports` are the plan's remaps of published ports ("5432/tcp": 15432), which the target must have then.
    """
    gone = frozenset(dropped)
    source = with_remaps(source, ports or {})
    here, there = dict(_flatten(_normal(source, gone))), dict(_flatten(_normal(target, gone)))
    found = []
    for path in sorted(here.keys() | there.keys()):
        one, other = here.get(path), there.get(path)
        if _equal(one, other, both=path in here and path in there):
            continue
        if not _allowed(path, Pair(source, target, one, other), committed=committed):
            found.append(Difference(path, _shown(path, one), _shown(path, other)))
    return found


def judge_fidelity(
    where: str,
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    *,
    committed: bool = False,
    dropped: Iterable[str] = (),
    ports: Mapping[str, int] | None = None,
) -> Judgement:
    """Judge whether the container `where` ("redis on wf001") equals its source but for the written list and the plan's
    remaps.
    """
    if not source.get("Config") or not target.get("Config"):
        return unknown(
            say(
                "{where}: no configuration to compare. Expected: docker inspect of both. Record the source again",
                where=where,
            )
        )
    differences = compare_containers(source, target, committed=committed, dropped=dropped, ports=ports)
    compared = len(dict(_flatten(_normal(source, frozenset(dropped)))))
    if differences:
        return failed(
            say(
                "{where}: {differences_count} of {compared} fields differ from its source: {difference}. Expected: "
                "only the {ALLOWED_DIFFERENCES_count} written differences. Remove the container there and run the "
                "move again",
                where=where,
                differences_count=len(differences),
                compared=compared,
                difference=differences[0].text(),
                ALLOWED_DIFFERENCES_count=len(ALLOWED_DIFFERENCES),
            ),
            tuple(difference.text() for difference in differences[:20]),
            fields_different=len(differences),
            fields_compared=compared,
        )
    remaps = joined(
        "",
        (
            say("; {port} published as {number}, as the plan says", port=port, number=number)
            for port, number in sorted((ports or {}).items())
        ),
    )
    return passed(
        say("{where}: {compared} fields equal to its source's{remaps}", where=where, compared=compared, remaps=remaps),
        fields_compared=compared,
    )


def with_remaps(inspect: Mapping[str, Any], ports: Mapping[str, int]) -> Mapping[str, Any]:
    """Return an inspect answer as it would be with the plan's remaps of published ports."""
    host_config = inspect.get("HostConfig")
    if not ports or not host_config:
        return inspect
    return {
        **inspect,
        "HostConfig": {**host_config, "PortBindings": remapped_bindings(host_config.get("PortBindings"), ports)},
    }


def remapped_bindings(bindings: Mapping[str, Any] | None, ports: Mapping[str, int]) -> Mapping[str, Any] | None:
    """Return Docker's port bindings with each published port that the plan remaps under its new number."""
    if not bindings or not ports:
        return bindings
    return {inside: [_remapped(item, inside, ports) for item in items or []] for inside, items in bindings.items()}


def _remapped(item: Mapping[str, Any], inside: str, ports: Mapping[str, int]) -> dict[str, Any]:
    published = f"{item.get('HostPort', '')}/{inside.partition('/')[2] or 'tcp'}"
    return {**item, "HostPort": str(ports[published])} if published in ports else dict(item)


def _normal(raw: Mapping[str, Any], dropped: frozenset[str]) -> dict[str, Any]:
    """Return an inspect answer with lists that have no order keyed by what names their items, and without
    its own id.
    """
    identity = str(raw.get("Id") or "")[:SHORT_ID]
    normal = dict(raw)
    config = dict(raw.get("Config") or {})
    config["Env"] = dict(item.partition("=")[::2] for item in config.get("Env") or [])
    for name in ("ExposedPorts", "Volumes"):
        config[name] = dict.fromkeys(config.get(name) or {}, True)
    if config.get("Hostname") == identity:
        config["Hostname"] = "(its own id)"
    host_config = dict(raw.get("HostConfig") or {})
    host_config["Mounts"] = {m["Target"]: m for m in host_config.get("Mounts") or [] if m.get("Target") not in dropped}
    host_config["Binds"] = {bind: True for bind in host_config.get("Binds") or [] if not dropped & set(bind.split(":"))}
    host_config["ExtraHosts"] = dict.fromkeys(host_config.get("ExtraHosts") or [], True)
    normal["Mounts"] = {m["Destination"]: m for m in raw.get("Mounts") or [] if m.get("Destination") not in dropped}
    settings = dict(raw.get("NetworkSettings") or {})
    settings["Networks"] = {
        name: _endpoint(value, identity) for name, value in (settings.get("Networks") or {}).items()
    }
    return {**normal, "Config": config, "HostConfig": host_config, "NetworkSettings": settings}


def _endpoint(endpoint: Mapping[str, Any] | None, identity: str) -> dict[str, Any]:
    """Return a network endpoint with its aliases as names, without the alias that Docker makes of the short id."""
    plain = dict(endpoint or {})
    aliases = {alias: True for alias in plain.get("Aliases") or [] if alias != identity}
    return {**plain, "Aliases": aliases, "DNSNames": None, "Connected": True}


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    whole = path.startswith("HostConfig.Mounts.") and path.count(".") >= 2  # noqa: PLR2004 one mount is one value
    if isinstance(value, Mapping) and value and not whole:
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for position, item in enumerate(value):
            yield from _flatten(item, f"{path}.{position}")
    else:
        yield path, value


def _equal(one: Any, other: Any, *, both: bool) -> bool:
    """Compare two values; not set, empty and absent are one thing, and a zero that only one engine shows is its
    default.
    """
    unset: tuple[Any, ...] = (None, "", [], {})
    if one == other and type(one) is type(other):
        return True
    if any(one is value or one == value for value in unset) and any(
        other is value or other == value for value in unset
    ):
        return True
    return not both and not one and not other


def _allowed(path: str, pair: Pair, *, committed: bool) -> bool:
    for allowed in ALLOWED_DIFFERENCES:
        if not fnmatchcase(path, allowed.path):
            continue
        if committed and path.startswith("HostConfig.RestartPolicy"):
            return False
        return allowed.only_if is None or allowed.only_if(pair)
    return False


def _shown(path: str, value: Any) -> str:
    if path.startswith("Config.Env"):
        return "not set" if value is None else "(a value that is not shown)"
    text = "not set" if value is None else repr(value)
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
