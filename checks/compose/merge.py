"""Merging two values as Compose merges an override file: mappings key by key, lists appended, some keys replaced.

https://github.com/compose-spec/compose-spec/blob/main/13-merge.md
"""

from __future__ import annotations

from typing import Any, Final

from checks.compose.yaml_nodes import OVERRIDE, RESET, SourceLine, YamlMapping, YamlSequence
from engine.errors import UnsupportedSyntaxError
from engine.finding import say

REPLACED: Final = frozenset({"command", "entrypoint", "test", "extends", "include"})
LISTS: Final = frozenset({"ports", "expose", "profiles"})
"""Whose type has to be the same on both sides, because what is made of them depends on it."""


def merge(base: YamlMapping, over: YamlMapping) -> YamlMapping:
    """Return `base` with `over` laid on it; neither is changed. Raises NotUnderstoodError where the types differ."""
    merged = base.copied()
    for key, value in over.items():
        place, tag = over.places[key], over.tags.get(key)
        if tag == RESET:
            merged.pop(key, None)
        elif tag == OVERRIDE or key not in merged or key in REPLACED:
            merged.put(key, _settled(value), place)
        else:
            merged.put(key, _merged(key, merged[key], value, place), place)
    return merged


def settle(block: YamlMapping) -> YamlMapping:
    """Return a block without what its own `!reset` tags take away, which Compose does for a single file too."""
    return merge(YamlMapping(block.place), block)


def _settled(value: Any) -> Any:
    return settle(value) if isinstance(value, YamlMapping) else value


def _merged(key: str, base: Any, over: Any, place: SourceLine) -> Any:
    if isinstance(base, YamlMapping) and isinstance(over, YamlMapping):
        return merge(base, over)
    if isinstance(base, YamlSequence) and isinstance(over, YamlSequence):
        return _appended(base, over)
    if over is None and isinstance(base, YamlMapping | YamlSequence):
        return base
    if key in LISTS and base is not None and isinstance(base, YamlSequence) is not isinstance(over, YamlSequence):
        raise UnsupportedSyntaxError(
            place.file,
            place.line,
            say("{key} overrides a value of another kind; expected a list on both sides", key=key),
        )
    return _settled(over)


def _appended(base: YamlSequence, over: YamlSequence) -> YamlSequence:
    joined = YamlSequence(base.place)
    for item, place in (*base.placed(), *over.placed()):
        joined.put(item, place)
    return joined
