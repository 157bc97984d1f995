"""The YAML of a compose file as plain values that know where they are: anchors, merge keys and Compose's own tags
resolved.

libyaml parses (a file of a thousand characters in a third of a millisecond); scalars are resolved as Compose's own
parser does, so that `22:22` stays a text. What is not YAML, too deep or too large raises NotUnderstoodError with its
line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from engine.errors import UnsupportedSyntaxError
from engine.finding import say

MOST_VALUES: Final = 50_000
"""More, once its aliases are followed, is no compose file but an attack on who reads it."""
DEEPEST: Final = 64
RESET, OVERRIDE = "!reset", "!override"
MERGE: Final = "<<"
WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
NUMBER: Final = re.compile(r"[-+]?(?:0x[0-9a-fA-F]+|0o?[0-7]+|0b[01]+|[1-9][0-9_]{0,18}|0)")
FRACTION: Final = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]{1,3})?")
PLAIN: Final = frozenset({None, ""})
LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class SourceLine(NamedTuple):
    """Where something is: a file and a line of it, counted from 1."""

    file: str
    line: int

    def text(self) -> str:
        """Return it as messages have it."""
        return f"{self.file}:{self.line}"


class YamlMapping(dict[str, Any]):
    """A mapping, the place of each of its keys, and which keys carry `!reset` or `!override`."""

    __slots__ = ("place", "places", "tags")

    def __init__(self, place: SourceLine) -> None:
        """Start empty."""
        super().__init__()
        self.place, self.places = place, dict[str, SourceLine]()
        self.tags: dict[str, str] = {}

    def put(self, key: str, value: Any, place: SourceLine) -> None:
        """Set a key together with its place."""
        self[key], self.places[key] = value, place

    def copied(self) -> YamlMapping:
        """Return a copy with the same values."""
        copy = YamlMapping(self.place)
        copy.update(self)
        copy.places, copy.tags = dict(self.places), dict(self.tags)
        return copy


class YamlSequence(list[Any]):
    """A list and the place of each of its items."""

    __slots__ = ("place", "places")

    def __init__(self, place: SourceLine) -> None:
        """Start empty."""
        super().__init__()
        self.place, self.places = place, list[SourceLine]()

    def put(self, value: Any, place: SourceLine) -> None:
        """Append an item together with its place."""
        self.append(value)
        self.places.append(place)

    def placed(self) -> Iterator[tuple[Any, SourceLine]]:
        """Yield each item with its place."""
        return zip(self, self.places, strict=True)


def parse_documents(content: bytes | str, file: str) -> list[YamlMapping]:
    """Return the documents of a compose file; an empty one is left out. Raises NotUnderstoodError."""
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        nodes = [node for node in yaml.compose_all(text, Loader=LOADER) if node is not None]
        return [_document(_NodeBuilder(file).value(node), file) for node in nodes if not _is_empty(node)]
    except UnicodeDecodeError as error:
        raise UnsupportedSyntaxError(
            file, error.object.count(b"\n", 0, error.start) + 1, say("not UTF-8; expected a text file")
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # No cause: its text quotes the file, where a password may be.
        raise UnsupportedSyntaxError(
            file,
            mark.line + 1 if mark else 0,
            say("not YAML: {problem}", problem=error.problem or say("no reason given")),
        ) from None
    except (yaml.YAMLError, ValueError):
        raise UnsupportedSyntaxError(
            file, 0, say("not YAML: a character that no text file has; show it with: cat -A")
        ) from None
    except RecursionError:
        raise UnsupportedSyntaxError(
            file, 0, say("nested deeper than {deepest} levels; expected a compose file", deepest=DEEPEST)
        ) from None


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style in PLAIN and node.value in {"", "~", "null"}


def _document(value: Any, file: str) -> YamlMapping:
    if not isinstance(value, YamlMapping):
        raise UnsupportedSyntaxError(file, 1, say("expected a mapping at the top, with services in it"))
    return value


def scalar(text: str) -> str | int | float | bool | None:
    """Return what a plain scalar means in Compose's YAML 1.2: no sexagesimal numbers, no dates, no yes and no."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if NUMBER.fullmatch(text):
        return _integer(text)
    return float(text) if FRACTION.fullmatch(text) else text


def _integer(text: str) -> int:
    sign, digits = (-1 if text[0] == "-" else 1), text.lstrip("+-").replace("_", "")
    is_octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    return sign * (int(digits, 8) if is_octal else int(digits, 0))


class _NodeBuilder:
    """Values out of one document's nodes; an alias is followed each time it occurs, up to a limit."""

    def __init__(self, file: str) -> None:
        self.file, self.made = file, 0
        self.open: set[int] = set()

    def value(self, node: yaml.Node) -> Any:
        """Return a node's value."""
        self.made += 1
        if self.made > MOST_VALUES:
            raise self._wrong(
                node,
                say(
                    "more than {most_values:,} values once its aliases are followed; expected a compose file",
                    most_values=MOST_VALUES,
                ),
            )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self.open:
            raise self._wrong(node, say("an alias inside the value that it stands for; expected no circle"))
        if len(self.open) >= DEEPEST:
            raise self._wrong(
                node, say("nested deeper than {deepest} levels; expected a compose file", deepest=DEEPEST)
            )
        self.open.add(id(node))
        made = self._block(node) if isinstance(node, yaml.MappingNode) else self._series(node)
        self.open.discard(id(node))
        return made

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag.startswith("tag:yaml.org,2002:") and node.tag != "tag:yaml.org,2002:str":
            return scalar(node.value)
        return scalar(node.value) if node.style in PLAIN and node.tag != "!" else node.value

    def _series(self, node: yaml.Node) -> YamlSequence:
        made = YamlSequence(self._place(node))
        for item in node.value:
            made.put(self.value(item), self._place(item))
        return made

    def _block(self, node: yaml.MappingNode) -> YamlMapping:
        made, inherited = YamlMapping(self._place(node)), []
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, say("a list or mapping as a key; expected a name"))
            if key.value == MERGE and key.style in PLAIN:
                inherited += self._merged(item)
                continue
            if key.value in made:
                raise self._wrong(key, say("a key that occurs twice in one mapping; expected once"))
            made.put(key.value, self.value(item), self._place(key))
            if item.tag in {RESET, OVERRIDE}:
                made.tags[key.value] = item.tag
        for block in inherited:
            for key, value in block.items():
                if key not in made:
                    made.put(key, value, block.places[key])
        return made

    def _merged(self, node: yaml.Node) -> list[YamlMapping]:
        """Return the mappings of a merge key, the first one first: it wins."""
        value = self.value(node)
        blocks = list(value) if isinstance(value, YamlSequence) else [value]
        if not all(isinstance(block, YamlMapping) for block in blocks):
            raise self._wrong(
                node, say("a merge key (<<) of something that is no mapping; expected an alias of a mapping")
            )
        return blocks

    def _place(self, node: yaml.Node) -> SourceLine:
        return SourceLine(self.file, node.start_mark.line + 1)

    def _wrong(self, node: yaml.Node, reason: str) -> UnsupportedSyntaxError:
        return UnsupportedSyntaxError(self.file, node.start_mark.line + 1, reason)
