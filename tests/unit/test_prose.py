"""What people read: pages that fit a terminal, links that lead somewhere, and sentences that stay replaced."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    *(
        ROOT / name
        for name in (
            "README.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "CHANGELOG.md",
            "reports/README.md",
            "lab/README.md",
        )
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
)
WIDTH: Final = 120
LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#:]*)(?:#([^)]*))?\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
READ_BY_PEOPLE: Final = ("*.py", "*.j2", "*.po", "*.md", "*.sh", "*.yaml", "*.json")
RETIRED: Final = (
    "copies the data host to host while the service runs",
    "What fails before the commit is undone in reverse",
    "each restored once for trial; for seconds a listener",
    "people's word (`nox -s attest`)",
    "a later change of what matters voids it",
    "by itself before the commit of a move",
    "repair what did not answer",
    "moves stand where they stood",
    "the old service is not started while the new one was not seen stopped",
    "Ctrl-C in an action",
    "What a path carries is sampled by",
    "who holds the hosts, and giving them free",
    "take the risk of a step that fails, for a while",
    "sign that a step which only a person can do was done",
    "collect the texts of page, screen and steps that wait",
    "the reason why the new host counts as dead",
    "the name by which the shards of a run find each other",
    "the begin of an id or folder",
    "look again and again for so long",
    "all that was asked holds",
    "Fix what is named above, then",
    "is half-way, and not undone",
    "is on its way back, and not there yet",
    "s ago: at work, or killed",
    "; to let it go: ",
    "not on the hosts, so gone",
    "found wrong: do not rely on it",
    "It is not done again: later actions rest on it",
    "and it has served its purpose",
    "and gates guard the way in only",
    "goes on as it began, although the plan has changed since",
    "was said to be dead and answers again",
    "It is the time that was agreed",
    "Preflight of this very plan passed, and lately",
    "What runs is what was committed",
    "The users that own its files are nobody else",
    "The names that the service uses lead, on its new host",
    "are forgotten within minutes, so that they can follow it",
    "and it is said what becomes of it",
    "the sums over those actions that could tell beforehand",
    "files are somebody else there",
    "it does not let us in",
    " is not let in: ",
    "stands there twice; expected once",
    "the process that looked died before it had an answer",
    "the ends of the copy do not run any more",
    "carries after the moves is judged by this moment alone",
    "nothing is uncertain about the moves",
    "rewritten, and then {dependant.service} was not ready",
    "The hosts stand in a row",
    "Nothing commits: any failure puts all back",
)
"""The sentences of the review of the prose, or enough of each to know it by."""


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the repository that match, apart from this one."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [
        file
        for name in listed.split("\0")
        if name and (file := ROOT / name) != Path(__file__).resolve() and file.is_file()
    ]


def anchors(page: Path) -> set[str]:
    """Return the names by which the headings of a page are linked."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in HEADING.findall(page.read_text(encoding="utf-8"))
    }


def test_no_retired_sentence_comes_back(local_program: None) -> None:
    """In code, templates, translations or pages; a sentence that is wrapped over two lines is found too."""
    files = tracked(*READ_BY_PEOPLE)
    texts = {file: " ".join(file.read_text(encoding="utf-8").split()) for file in files}

    assert len(files) > 500
    assert [
        f"{file.relative_to(ROOT)}: {old}" for file, text in texts.items() for old in RETIRED if old.strip() in text
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_two_pages_fit_side_by_side(page: Path) -> None:
    """No line is wider than 120 columns, tables and code included."""
    lines = page.read_text(encoding="utf-8").splitlines()

    assert [f"{number}: {len(line)}" for number, line in enumerate(lines, 1) if len(line) > WIDTH] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """Also where the other page was split or renamed."""
    broken = []
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")

    assert broken == []


def test_the_readme_is_short() -> None:
    """What it is and both commands on the first screen, all of it in 120 lines."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first_screen = "\n".join(lines[:25])

    assert len(lines) <= 120
    assert "./bootstrap.sh demo" in first_screen
    assert "./bootstrap.sh test" in first_screen
    assert "reports/lab/latest-migrate/report.html" in first_screen


def test_the_map_of_the_tree_is_whole() -> None:
    """Every folder with code is on the README's map, and nothing else is."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").rpartition("## Map of the tree")[2]
    shown = set(re.findall(r"(?:^|\s{2})([a-z]+)/ ", text, re.MULTILINE))
    rooms = {file.parent.name for file in ROOT.glob("*/__init__.py")}

    assert shown == rooms | {"schemas", "tests"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "design").glob("*.md")), ids=lambda page: page.name)
def test_a_page_of_the_design_has_one_subject(page: Path) -> None:
    """It is short and listed in design.md."""
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 200
    assert f"(design/{page.name})" in (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_files_that_the_design_names_exist() -> None:
    """A page that names a module of yesterday sends people astray."""
    pages = [
        ROOT / "docs" / "design.md",
        *(ROOT / "docs" / "design").glob("*.md"),
        ROOT / "CONTRIBUTING.md",
        ROOT / "README.md",
    ]
    named = {
        name
        for page in pages
        for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|sh|po|yaml|toml))`", page.read_text(encoding="utf-8"))
    }

    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
