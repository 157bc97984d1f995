"""Text in which one reference is replaced, and put back, without touching anything else. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from engine.errors import ActionError
from engine.finding import say


class ReferenceState(str, Enum):
    """What a place that is to be rewritten says now."""

    OLD = "old"
    NEW = "new"
    TORN = "half written"
    OTHER = "neither"


@dataclass(frozen=True)
class Replaced:
    """A text with one group replaced: what the pattern fitted, before and after, and in which line that begins."""

    text: str
    before: str
    after: str
    line: int

    def lines(self, path: str) -> tuple[str, ...]:
        """Return the difference: only what the pattern fitted, so that nothing else of the file is shown."""
        return (
            f"{path}:{self.line}",
            *(f"- {line}" for line in self.before.splitlines()),
            *(f"+ {line}" for line in self.after.splitlines()),
        )


def replace_group(text: str, pattern: str, value: str) -> Replaced:
    """Return a text with the one group of the pattern's one fit replaced; raises ActionError when it does not fit
    exactly once.
    """
    fits = list(re.finditer(pattern, text, re.MULTILINE))
    if len(fits) != 1 or fits[0][1] is None:
        raise ActionError(
            say(
                "the pattern {pattern} fits {count} times. Expected: exactly once, with its group. Make it more "
                "precise",
                pattern=repr(pattern),
                count=len(fits),
            )
        )
    fit = fits[0]
    whole, (start, end) = fit.group(), fit.span(1)
    after = f"{text[fit.start() : start]}{value}{text[end : fit.end()]}"
    return Replaced(
        f"{text[: fit.start()]}{after}{text[fit.end() :]}", whole, after, text.count("\n", 0, fit.start()) + 1
    )


def standing_of(current: str, kept: str, replaced: Replaced, *, writing: bool = False) -> ReferenceState:
    """Return what a file says now, given the text that was kept and what it became; other edits of it in between do not
    matter.

    `writing`: a write was begun and its end was not seen, so that a beginning of either text is half of it.
    """
    if current in {kept, replaced.text}:
        return ReferenceState.OLD if current == kept else ReferenceState.NEW
    if writing and (replaced.text.startswith(current) or kept.startswith(current)):
        return ReferenceState.TORN
    old, new = (_count(current, fragment) for fragment in (replaced.before, replaced.after))
    if (old, new) in {(0, 1), (1, 0)}:
        return ReferenceState.NEW if new else ReferenceState.OLD
    return ReferenceState.OTHER


def put_back(current: str, kept: str, replaced: Replaced, *, writing: bool = False) -> str:
    """Return the current text with the reference as it was; raises ActionError when what was written is there not
    exactly once.
    """
    standing = standing_of(current, kept, replaced, writing=writing)
    if standing is ReferenceState.OLD:
        return current
    if standing is ReferenceState.TORN or current == replaced.text:
        return kept
    if standing is ReferenceState.OTHER:
        raise ActionError(
            say(
                "{after} is there {count} times. Expected: once; somebody edited it since",
                after=repr(replaced.after),
                count=_count(current, replaced.after),
            )
        )
    return current.replace(replaced.after, replaced.before, 1)


def _count(text: str, fragment: str) -> int:
    """Count a fragment where it is not part of a longer word: `db:5432` is not in `db:54321`."""
    return len(
        re.findall(
            rf"(?<!\w){re.escape(fragment)}(?!\w)" if fragment[:1].isalnum() else rf"{re.escape(fragment)}(?!\w)", text
        )
    )


def with_variables(env: Iterable[str], wanted: Mapping[str, str | None]) -> list[str]:
    """Return a container's environment with some variables set in their places, added at the end, or (None)
    left out.
    """
    kept, seen = [], set()
    for item in env:
        name = item.partition("=")[0]
        seen.add(name)
        value = wanted.get(name, item.partition("=")[2])
        if value is not None:
            kept.append(f"{name}={value}" if name in wanted else item)
    return [*kept, *(f"{name}={value}" for name, value in wanted.items() if name not in seen and value is not None)]


def variables_of(env: Iterable[str], names: Iterable[str]) -> dict[str, str | None]:
    """Return some variables of a container's environment, None for those that are not set."""
    found = dict(item.partition("=")[::2] for item in env)
    return {name: found.get(name) for name in names}
