"""Environment links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.contracts.container import ContainerFacts


def draft_links(containers: Iterable[ContainerFacts], services: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a link for each `name:port`, and each pair of …HOST and …PORT, in a container's environment that names
    another's.
    """
    by_name = {entry["container"]: name for name, entry in services.items()}
    seen: set[tuple[str, str, int]] = set()
    for container in containers:
        here = by_name.get(container.name, container.name)
        for name, port in sorted(set(_named_in(container.env, by_name))):
            found = (here, by_name[name], port)
            if by_name[name] != here and found not in seen:
                seen.add(found)
                yield {"from": here, "to": by_name[name], "name": name, "port": port}


def _named_in(env: Mapping[str, str], names: Iterable[str]) -> Iterator[tuple[str, int]]:
    known = tuple(names)
    pattern = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, known))}):(\d{{2,5}})(?!\d)") if known else None
    for key, value in env.items():
        for name, port in pattern.findall(value) if pattern else ():
            yield name, int(port)
        port = env.get(re.sub(r"(HOST|ADDR|SERVER)(NAME)?$", "PORT", key), "")
        if value in known and port.isdigit():
            yield value, int(port)
