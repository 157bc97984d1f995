"""What is wrong with the records that a page shows, and what a person does then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from jinja2 import UndefinedError

from engine.errors import InputError
from engine.evidence.facts.record_reader import Reader
from engine.finding import joined, say
from engine.i18n.language import term
from engine.journal.journal import chain_problems

BACKUP: Final = term(
    "keep the file as it is, and compare it with a copy taken earlier (a backup, or the journal.jsonl of that "
    "run's folder)"
)


def altered_in(journal: Reader, run_ids: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with the chains of other runs whose records a page shows."""
    for run_id in sorted(run_ids):
        yield from chain_problems(journal.records(run_id=run_id))


@contextmanager
def drawable(altered: Sequence[str]) -> Iterator[None]:
    """Turn what goes wrong while an altered run is drawn into one InputError; in a whole one it is a defect of ours."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, UndefinedError) as error:
        if not altered:
            raise
        raise InputError(
            say(
                "{altered}. Expected: what longshore wrote. No page can be drawn: {backup}",
                altered=joined("; ", altered),
                backup=BACKUP,
            )
        ) from error
