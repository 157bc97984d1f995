"""How a reference to a moved service is rewritten for good, as the inventory says it of a link; and what is wrong with
such an entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field

from engine.config.validation import Strict
from engine.finding import say

PLACE: Final = re.compile(r"\{([^{}]*)\}")
BEFORE_PORT: Final = re.compile(r"\{host\}:")
PLACES: Final = frozenset({"host", "port"})
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
BELONGS: Final = {"environment": ("variable",), "file": ("path", "pattern", "reload", "on"), "api": ("object",)}
"""The keys of each kind."""
NEEDED: Final = {"environment": ("variable",), "file": ("path", "pattern"), "api": ("object",)}

Kind = Literal["environment", "file", "api"]


class Reload(Strict):
    """How a dependant comes to read its file again: exactly one of three."""

    argv: tuple[str, ...] = Field(
        (), description="program and arguments, run in its container", examples=[["nginx", "-s", "reload"]]
    )
    signal: Literal["", "HUP", "USR1", "USR2"] = Field("", description="sent to its main process", examples=["HUP"])
    restart: bool = Field(False, description="its container is stopped and started, which is an outage of it")

    def text(self) -> str:
        """Return it in words."""
        return (
            say("run {argv}", argv=" ".join(self.argv))
            if self.argv
            else say("send SIG{signal}", signal=self.signal)
            if self.signal
            else say("restart it")
        )


class Rewrite(Strict):
    """One place where the dependant of a link says where the other end is."""

    kind: Kind = Field(
        description="environment: a variable of its container, which is made anew; file: text in a file; "
        "api: through the product's own API, where its file in services/ knows how"
    )
    value: str = Field(
        description="what is there afterwards; {host} and {port} are the new address", examples=["{host}:{port}"]
    )
    object: str = Field(
        "",
        description="what of the product holds the address, by name or uid: a data source of grafana",
        examples=["prom"],
    )
    variable: str = Field("", description="name of the variable", examples=["DB_POSTGRESDB_HOST"])
    path: str = Field("", description="the file, as a whole path", examples=["/etc/prometheus/prometheus.yml"])
    on: Literal["container", "host"] = Field(
        "container", description="whose path it is: on a mount of its container, or the host's own (a compose file)"
    )
    pattern: str = Field(
        "",
        description="regular expression that fits exactly once; its one group is replaced",
        examples=['targets: \\["(orders:8080)"\\]'],
    )
    reload: Reload | None = Field(None, description="how the file is read again; may be missing for a file of the host")

    def text(self) -> str:
        """Return where the reference is, in words."""
        if self.kind == "api":
            return self.object
        return (
            say("variable {variable}", variable=self.variable)
            if self.kind == "environment"
            else f"{self.path} ({self.on})"
        )


def rewrite_problems(path: str, rewrite: Rewrite) -> Iterator[str]:
    """Yield what is wrong with an entry although its shape is right."""
    for key in sorted({key for keys in BELONGS.values() for key in keys} - set(BELONGS[rewrite.kind])):
        if key in rewrite.model_fields_set:
            yield f"{path}/{key}: does not belong to kind {rewrite.kind}; expected {', '.join(BELONGS[rewrite.kind])}"
    for key in NEEDED[rewrite.kind]:
        if not getattr(rewrite, key):
            yield f"{path}/{key}: missing; expected for kind {rewrite.kind}"
    for name in PLACE.findall(rewrite.value):
        if name not in PLACES:
            yield f'{path}/value: "{{{name}}}" is not known; known: {{host}}, {{port}}'
    if not PLACES & set(PLACE.findall(rewrite.value)):
        yield f"{path}/value: neither {{host}} nor {{port}} in it; expected the new address"
    if rewrite.kind == "environment" and rewrite.variable and not VARIABLE.fullmatch(rewrite.variable):
        yield f"{path}/variable: expected letters, digits and underscores"
    if rewrite.kind == "file":
        yield from _file_problems(path, rewrite)


def _file_problems(path: str, rewrite: Rewrite) -> Iterator[str]:
    if rewrite.path and (not rewrite.path.startswith("/") or ".." in rewrite.path.split("/")):
        yield f"{path}/path: {rewrite.path}; expected a whole path without .."
    reload = rewrite.reload
    if reload is None and rewrite.on == "container":
        yield f"{path}/reload: missing; expected how the container comes to read the file again"
    if reload and sum(map(bool, (reload.argv, reload.signal, reload.restart))) != 1:
        yield f"{path}/reload: expected exactly one of argv, signal, restart"
    try:
        groups = re.compile(rewrite.pattern).groups
    except re.error as error:
        yield f"{path}/pattern: is no regular expression: {error}"
        return
    if rewrite.pattern and groups != 1:
        yield f"{path}/pattern: has {groups} groups; expected one, which is replaced"


def filled(value: str, host: str, port: int) -> str:
    """Return a value with the new address in it; an IPv6 address before a port has its brackets."""
    shown = f"[{host}]" if ":" in host and BEFORE_PORT.search(value) else host
    return PLACE.sub(lambda place: {"host": shown, "port": str(port)}.get(place[1], place[0]), value)
