"""The plan's text with remaps of ports written into it; everything else stays as its author has written it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ruamel.yaml import YAML

from engine.errors import InputError
from engine.finding import joined, say

TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+')
Remaps = Mapping[str, Mapping[str, int]]
"""By service: published port and protocol, and the port on the target."""


def with_remaps(text: str, remaps: Remaps, *, is_json: bool = True) -> str:
    """Return a plan's text in which the moves of these services have these remaps too; `text` is a plan that loads.

    Raises InputError for a service that has no move there.
    """
    changed = _in_json(text, remaps) if is_json else _in_yaml(text, remaps)
    moved = {move["service"]: move.get("ports") or {} for move in _data(changed, is_json=is_json)["moves"]}
    missing = [
        service for service, ports in remaps.items() if not ports.items() <= dict(moved.get(service, {})).items()
    ]
    if missing:
        raise InputError(
            say(
                "plan: no place for the remaps of {missing}. Expected: a move of each. Write its ports by hand",
                missing=joined(", ", missing),
            )
        )
    return changed


def _data(text: str, *, is_json: bool) -> Any:
    return json.loads(text) if is_json else YAML(typ="safe").load(text)


def _in_json(text: str, remaps: Remaps) -> str:
    spans = dict(_containers(text))
    edits = []
    for position, move in enumerate(json.loads(text)["moves"]):
        more = remaps.get(move["service"])
        if not more:
            continue
        written = json.dumps({**(move.get("ports") or {}), **more})
        here = spans.get(("moves", position, "ports"))
        edits.append((*here, written) if here else _insertion(text, *spans["moves", position], f'"ports": {written}'))
    for start, end, written in reversed(edits):
        text = text[:start] + written + text[end:]
    return text


def _insertion(text: str, start: int, end: int, member: str) -> tuple[int, int, str]:
    """Return where a new last member of an object goes, and its text: on a line of its own where the others
    have one.
    """
    inside = text[start + 1 : end - 1]
    after = start + 1 + len(inside.rstrip())
    indent = re.match(r"[ \t]*\n(?P<indent>[ \t]*)\S", inside)
    return after, after, f",\n{indent['indent']}{member}" if indent else f", {member}"


def _containers(text: str) -> Iterator[tuple[tuple[str | int, ...], tuple[int, int]]]:
    """Yield the path and the place of each object and list of a JSON text."""
    open_ones: list[tuple[int, bool]] = []
    path: list[str | int] = []
    key = ""
    for token in TOKEN.finditer(text):
        word = token[0]
        if word in {"{", "["}:
            if open_ones:
                path.append(key if open_ones[-1][1] else path.pop())
            open_ones.append((token.start(), word == "{"))
            if word == "[":
                path.append(0)
        elif word in {"}", "]"}:
            start, is_object = open_ones.pop()
            if not is_object:
                path.pop()
            yield tuple(path), (start, token.end())
            if open_ones and open_ones[-1][1]:
                path.pop()
        elif word == "," and not open_ones[-1][1]:
            path.append(int(path.pop()) + 1)
        elif word.startswith('"') and open_ones[-1][1] and text[token.end() :].lstrip()[:1] == ":":
            key = json.loads(word)


def _in_yaml(text: str, remaps: Remaps) -> str:
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    plan = yaml.load(text)
    for move in plan["moves"]:
        if more := remaps.get(move["service"]):
            move["ports"] = {**(move.get("ports") or {}), **more}
    with io.StringIO() as written:
        yaml.dump(plan, written)
        return written.getvalue()
