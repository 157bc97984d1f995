"""Reads a compose project as `docker compose` would: what it publishes, where that is, and what was not
understood.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from checks.compose.dotenv import parse_dotenv
from checks.compose.interpolation import Interpolation
from checks.compose.loader import Loading, block_at, texts
from checks.compose.model import ComposeProblem, ComposeProject, ComposeService, DeclaredPort
from checks.compose.ports import PortError, Published, parse_port, parse_short
from checks.compose.sources import Sources
from checks.compose.yaml_nodes import SourceLine, YamlMapping, YamlSequence
from engine.errors import UnsupportedSyntaxError
from engine.finding import say

NOT_IN_NAME: Final = re.compile(r"[^a-z0-9_-]")
ALL_PROFILES: Final = "*"


def read_project(
    sources: Sources, folder: str, files: Iterable[str], *, is_default: bool = True, name: str = ""
) -> ComposeProject:
    """Return a project of some files; nothing in them raises: what is not understood is among its troubles.

    Variables come from the folder's .env alone: the shell that starts the project on its host is not known here.
    """
    files = tuple(files)
    troubles: list[ComposeProblem] = []
    loading = Loading(sources, folder, Interpolation({}))
    model = YamlMapping(SourceLine("", 0))
    try:
        loading.filling = Interpolation(_variables(loading, troubles))
        model = loading.model(files)
        services = tuple(_services(model, loading.filling.values, troubles))
    except UnsupportedSyntaxError as error:
        troubles.append(_trouble(error))
        services = ()
    except RecursionError:
        troubles.append(
            ComposeProblem(files[0] if files else folder, 0, say("nested too deep; expected a compose file"))
        )
        services = ()
    called = (
        name
        or str(model.get("name") or "")
        or loading.filling.values.get("COMPOSE_PROJECT_NAME")
        or posixpath.basename(folder)
    )
    return ComposeProject(
        folder=folder,
        name=NOT_IN_NAME.sub("", called.lower()).lstrip("_-"),
        files=files,
        read=tuple(loading.read),
        services=services,
        troubles=tuple(dict.fromkeys(troubles)),
        is_default=is_default,
        unset=tuple(sorted(loading.filling.unset)),
    )


def read_variables(sources: Sources, folder: str) -> Mapping[str, str]:
    """Return the variables of a folder's .env, none when there is none or it can't be understood."""
    return _variables(Loading(sources, folder, Interpolation({})), [])


def _variables(loading: Loading, troubles: list[ComposeProblem]) -> dict[str, str]:
    file = posixpath.join(loading.folder, ".env")
    try:
        content = loading.content(file)
        return {} if content is None else parse_dotenv(content, file)
    except UnsupportedSyntaxError as error:
        troubles.append(_trouble(error))
        return {}


def _trouble(error: UnsupportedSyntaxError) -> ComposeProblem:
    return ComposeProblem(error.file, error.line, error.reason)


def _services(
    model: YamlMapping, values: Mapping[str, str], troubles: list[ComposeProblem]
) -> Iterator[ComposeService]:
    active = frozenset(name for name in values.get("COMPOSE_PROFILES", "").split(",") if name)
    services = block_at(model, "services")
    for name, service in (services or {}).items():
        place = services.places[name] if services is not None else model.place
        if not isinstance(service, YamlMapping):
            troubles.append(
                ComposeProblem(place.file, place.line, say("a service that is no mapping; expected its settings"))
            )
            continue
        try:
            yield _service(name, service, place, active, troubles)
        except UnsupportedSyntaxError as error:
            troubles.append(_trouble(error))


def _service(
    name: str, service: YamlMapping, place: SourceLine, active: frozenset[str], troubles: list[ComposeProblem]
) -> ComposeService:
    profiles = tuple(texts(service.get("profiles"), "profiles", service.places.get("profiles", place)))
    return ComposeService(
        name=name,
        place=place,
        ports=tuple(dict.fromkeys(_declared(service, "ports", parse_port, troubles))),
        exposed=tuple(dict.fromkeys(_declared(service, "expose", _exposed, troubles))),
        network_mode=str(service.get("network_mode") or ""),
        profiles=profiles,
        is_active=not profiles or bool(active & {*profiles, ALL_PROFILES}),
        replicas=_replicas(service),
        container_name=str(service.get("container_name") or ""),
    )


def _declared(service: YamlMapping, key: str, parse: Any, troubles: list[ComposeProblem]) -> Iterator[DeclaredPort]:
    """Yield the ports of a list, each once; what is no port is a trouble of its own, and the others count."""
    items = service.get(key)
    if items is None:
        return
    if not isinstance(items, YamlSequence):
        place = service.places[key]
        raise UnsupportedSyntaxError(place.file, place.line, say("{key} is no list; expected a list of ports", key=key))
    seen: set[Published] = set()
    for item, place in items.placed():
        try:
            published = parse(item)
        except PortError as error:
            troubles.append(ComposeProblem(place.file, place.line, str(error)))
            continue
        if published not in seen:
            seen.add(published)
            yield DeclaredPort(published, place)


def _exposed(item: Any) -> Published:
    """Return an exposed port as the host port that it is for a service on the host's network."""
    if isinstance(item, bool) or not isinstance(item, str | int) or ":" in str(item):
        raise PortError(say("an exposed port that is none; expected a number or FIRST-LAST"))
    port = parse_short(str(item))
    return Published("", port.container, port.container, port.protocol)


def _replicas(service: YamlMapping) -> int:
    deploy = service.get("deploy")
    asked = deploy.get("replicas") if isinstance(deploy, YamlMapping) else None
    asked = service.get("scale") if asked is None else asked
    text = str(asked)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1  # noqa: PLR2004 nobody starts 100,000
