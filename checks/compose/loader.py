"""From the files of a project to one merged tree: interpolation, extends, include and overrides, in Compose's order."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from checks.compose.dotenv import parse_dotenv
from checks.compose.interpolation import Interpolation, interpolate
from checks.compose.merge import merge, settle
from checks.compose.sources import Sources
from checks.compose.yaml_nodes import SourceLine, YamlMapping, YamlSequence, parse_documents
from engine.errors import UnsupportedSyntaxError
from engine.finding import say

ELSEWHERE: Final = re.compile(r"^(?:oci:|git@|git:|ssh:|https?:|github\.com/)")
DEEPEST_INCLUDE: Final = 10


@dataclass
class Loading:
    """The reading of one project: its folder, its variables, and every file that was read on the way."""

    sources: Sources
    folder: str
    filling: Interpolation
    read: list[str] = field(default_factory=list)
    depth: int = 0
    _documents: dict[str, list[YamlMapping]] = field(default_factory=dict)

    def model(self, files: Iterable[str], asked: SourceLine | None = None) -> YamlMapping:
        """Return the merged tree of some files, the later over the earlier; raises NotUnderstoodError.

        `asked` is where the files are named, when a file names them.
        """
        merged: YamlMapping | None = None
        for file in files:
            for document in self.documents(file, asked or SourceLine(file, 0)):
                whole = self._whole(document, file)
                merged = settle(whole) if merged is None else merge(merged, whole)
        return YamlMapping(SourceLine("", 0)) if merged is None else merged

    def documents(self, file: str, asked: SourceLine) -> list[YamlMapping]:
        """Return a file's documents with their variables filled in; `asked` is where the file is named."""
        if file not in self._documents:
            content = self.content(file)
            if content is None:
                raise UnsupportedSyntaxError(
                    asked.file,
                    asked.line,
                    say("is not there") if asked.file == file else say("names {file}, which is not there", file=file),
                )
            found = parse_documents(content, file)
            if b"$" in content:
                for document in found:
                    interpolate(document, self.filling, document.place)
            self._documents[file] = found
        return self._documents[file]

    def content(self, file: str) -> bytes | None:
        """Return a file's content and remember that it was read."""
        content = self.sources.read(file)
        if content is not None and file not in self.read:
            self.read.append(file)
        return content

    def _whole(self, document: YamlMapping, file: str) -> YamlMapping:
        """Return a document with what its services extend and what it includes."""
        services = block_at(document, "services")
        if services is not None:
            extended = services.copied()
            for name in services:
                extended[name] = self._extended(services, file, name, ())
            document = document.copied()
            document["services"] = extended
        return self._with_included(document) if "include" in document else document

    def _extended(self, services: YamlMapping, file: str, name: str, way: tuple[tuple[str, str], ...]) -> Any:
        """Return a service laid over what it extends; `way` are the files and services that led to it."""
        service = services[name]
        if not isinstance(service, YamlMapping) or service.get("extends") is None:
            return service
        place = service.places["extends"]
        base, other = _extends(service["extends"], place)
        there = self._path(other, posixpath.dirname(file), place) if other else file
        if (there, base) in way or (there, base) == (file, name):
            raise UnsupportedSyntaxError(
                place.file, place.line, say("extends {base}, which in the end extends itself", base=base)
            )
        below = self._extended(
            self._services_with(base, there, services if there == file else None, place),
            there,
            base,
            (*way, (file, name)),
        )
        laid = merge(below, service) if isinstance(below, YamlMapping) else service.copied()
        laid.pop("extends", None)
        return laid

    def _services_with(self, base: str, file: str, here: YamlMapping | None, place: SourceLine) -> YamlMapping:
        """Return the services of a file that have one of that name."""
        blocks = (
            [block_at(document, "services") for document in self.documents(file, place)] if here is None else [here]
        )
        for block in blocks:
            if block is not None and base in block:
                return block
        raise UnsupportedSyntaxError(
            place.file, place.line, say("extends {base}, which {file} does not have", base=base, file=file)
        )

    def _with_included(self, document: YamlMapping) -> YamlMapping:
        """Return a document with the services of the files that it includes; two of one name must be the same."""
        joined = document.copied()
        services = block_at(document, "services") or YamlMapping(document.places["include"])
        together = services.copied()
        for paths, folder, environment, place in self._includes(document):
            included = self._included(folder, environment).model(paths, place)
            for name, service in (block_at(included, "services") or {}).items():
                if name in together and together[name] != service:
                    raise UnsupportedSyntaxError(
                        place.file,
                        place.line,
                        say("includes a service {name}, which is there already; expected another name", name=name),
                    )
                together.put(name, service, included["services"].places[name])
        joined.put("services", together, services.place)
        return joined

    def _included(self, folder: str, environment: list[str]) -> Loading:
        """Return the reading of an included project: its own variables count where this one has none of that name."""
        values: dict[str, str] = {}
        for file in environment:
            values |= parse_dotenv(self.content(file) or b"", file, self.filling.values)
        below = Loading(
            self.sources,
            folder,
            Interpolation({**values, **self.filling.values}, self.filling.unset),
            self.read,
            self.depth + 1,
        )
        if below.depth > DEEPEST_INCLUDE:
            raise UnsupportedSyntaxError(
                folder,
                0,
                say(
                    "included more than {deepest_include} levels deep; expected no circle",
                    deepest_include=DEEPEST_INCLUDE,
                ),
            )
        return below

    def _includes(self, document: YamlMapping) -> Iterator[tuple[list[str], str, list[str], SourceLine]]:
        """Yield for each include its files, its project's folder, its files of variables, and its place."""
        includes, whole = document["include"], document.places["include"]
        if includes is None:
            return
        if not isinstance(includes, YamlSequence):
            raise UnsupportedSyntaxError(whole.file, whole.line, say("include is no list; expected a list of files"))
        for item, place in includes.placed():
            given = item if isinstance(item, YamlMapping) else YamlMapping(place)
            paths = [
                self._path(path, self.folder, place)
                for path in texts(given.get("path") if isinstance(item, YamlMapping) else item, "path", place)
            ]
            if not paths:
                raise UnsupportedSyntaxError(
                    place.file, place.line, say("an include without path; expected the file to include")
                )
            named = given.get("project_directory")
            folder = self._path(str(named), self.folder, place) if named else posixpath.dirname(paths[0])
            asked = texts(given.get("env_file"), "env_file", place)
            yield (
                paths,
                folder,
                [self._path(file, self.folder, place) for file in asked] or [posixpath.join(folder, ".env")],
                place,
            )

    def _path(self, path: str, folder: str, place: SourceLine) -> str:
        if ELSEWHERE.match(path):
            raise UnsupportedSyntaxError(
                place.file, place.line, say("names a file on another machine, which is not fetched; expected a path")
            )
        return posixpath.normpath(posixpath.join(folder, path))


def block_at(block: YamlMapping, key: str) -> YamlMapping | None:
    """Return the mapping at a key, None when the key is absent or empty; raises NotUnderstoodError for
    anything else.
    """
    value = block.get(key)
    if value is None or isinstance(value, YamlMapping):
        return value
    place = block.places[key]
    raise UnsupportedSyntaxError(
        place.file, place.line, say("{key} is no mapping; expected names and what they stand for", key=key)
    )


def texts(value: Any, what: str, place: SourceLine) -> list[str]:
    """Return one text or a list of them as a list; raises NotUnderstoodError."""
    found = [] if value is None else list(value) if isinstance(value, YamlSequence) else [value]
    if not all(isinstance(item, str) for item in found):
        raise UnsupportedSyntaxError(
            place.file, place.line, say("{what} is no text; expected one, or a list of them", what=what)
        )
    return found


def _extends(value: Any, place: SourceLine) -> tuple[str, str]:
    """Return the service and the file ("" for the same one) that `extends` names."""
    if isinstance(value, str):
        return value, ""
    if (
        isinstance(value, YamlMapping)
        and isinstance(value.get("service"), str)
        and isinstance(value.get("file", ""), str)
    ):
        return value["service"], value.get("file", "")
    raise UnsupportedSyntaxError(
        place.file,
        place.line,
        say("extends names no service; expected a name, or a mapping with service and perhaps file"),
    )
