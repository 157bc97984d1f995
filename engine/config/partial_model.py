"""A file as far as it can be judged: its shape's problems, and a model of what is left when the wrong parts are cut
out.

A person repairs all problems at once, so a wrong type must not hide an unknown name elsewhere in the file.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic

from pydantic import ValidationError

from engine.config.plain_data import read_data
from engine.config.validation import Model, parse_shape, refuse

Place = tuple[str | int, ...]
MOST_ROUNDS: Final = 100


@dataclass(frozen=True)
class PartialModel(Generic[Model]):
    """One file: `whole` when its shape is right; `rough` is what is left of it otherwise, None when nothing is."""

    path: Path
    data: Any
    whole: Model | None
    rough: Model | None
    shape: tuple[str, ...]
    kept: Mapping[Place, list[int]] = field(default_factory=dict)

    def names(self, *place: str) -> tuple[str, ...] | None:
        """Return the keys written at a place, right or wrong; None when no mapping is there, so nothing is known
        about names.
        """
        here = self.data
        for part in place:
            here = here.get(part, {}) if isinstance(here, Mapping) else None
        return tuple(here) if isinstance(here, Mapping) else None

    def is_sound(self, place: str) -> bool:
        """Return whether the shape is right at and below a place, so that what is there is the file's own."""
        return not any(_is_in(_path_of(problem), place) for problem in self.shape)

    def problems(self, logical: Iterable[str]) -> list[str]:
        """Return the problems of shape and those logical ones that are not their mere consequence."""
        wrong = [_path_of(problem) for problem in self.shape]
        numbered = [self._numbered(problem) for problem in logical]
        return [
            *self.shape,
            *(problem for problem in numbered if not any(_is_in(_path_of(problem), path) for path in wrong)),
        ]

    def _numbered(self, problem: str) -> str:
        """Return a problem with the positions that its list has in the file: wrong items were cut out before it was
        judged.
        """
        path, colon, text = problem.partition(":")
        for place, numbers in self.kept.items():
            prefix = "/".join(map(str, place)) + "/"
            if found := re.match(rf"{re.escape(prefix)}(\d+)", path):
                path = f"{prefix}{numbers[int(found[1])]}{path[found.end() :]}"
        return path + colon + text

    def judged(self, logical: Iterable[str]) -> Model:
        """Return the model; raises InputError with all problems when there are any."""
        refuse(self.path, self.problems(logical))
        assert self.whole is not None
        return self.whole


def read_draft(model: type[Model], path: Path, fillers: Mapping[str, Any]) -> PartialModel[Model]:
    """Return a file as far as it can be judged; `fillers` stand in for top keys that are missing or wrong.

    Raises InputError when it can't be read at all.
    """
    data, wrong = read_data(path)
    whole, shape = parse_shape(model, data)
    shape = [*wrong, *(problem for problem in shape if _path_of(problem) not in {_path_of(known) for known in wrong})]
    if whole is not None or not isinstance(data, Mapping):
        return PartialModel(path, data, whole, whole, tuple(shape))
    rest, kept = {**fillers, **copy.deepcopy(dict(data))}, dict[Place, list[int]]()
    for _ in range(MOST_ROUNDS):
        try:
            return PartialModel(path, data, None, model.model_validate(rest), tuple(shape), kept)
        except ValidationError as error:
            cuts = {_cut_of(rest, problem) for problem in error.errors()}
        if cuts == {()}:
            break
        for cut in sorted(cuts, key=lambda place: [str(part).zfill(9) for part in place], reverse=True):
            _cut_out(rest, cut, kept)
        rest = {**fillers, **rest}
    return PartialModel(path, data, None, None, tuple(shape))


def _cut_of(data: Any, problem: Any) -> Place:
    """Return the smallest part that is there and must go: the wrong value, or what misses a required key."""
    place: list[str | int] = []
    for part in problem["loc"]:
        there = (
            part in data
            if isinstance(data, Mapping)
            else isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if not there:
            break
        data = data[part]
        place.append(part)
    return tuple(place)


def _cut_out(data: Any, place: Place, kept: dict[Place, list[int]]) -> None:
    if not place:
        return
    for part in place[:-1]:
        data = data[part]
    if isinstance(data, list):
        del kept.setdefault(place[:-1], list(range(len(data))))[int(place[-1])]
    del data[place[-1]]


def _path_of(problem: str) -> str:
    return problem.partition(":")[0]


def _is_in(path: str, other: str) -> bool:
    return f"{path}/".startswith(f"{other}/")
