"""Mark texts for translation where they are declared; imports nothing, so that tables of texts are cheap to read."""

from __future__ import annotations


def term(text: str) -> str:
    """Return a text unchanged: the catalogue collects it here, and the place that shows it translates it."""
    return text


def terms(one: str, many: str) -> tuple[str, str]:
    """Return the singular and the plural of a text, translated where they are shown."""
    return one, many


def summary_of(docstring: str | None) -> str:
    """Return the first paragraph of a docstring as one line, "" where there is none."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())
