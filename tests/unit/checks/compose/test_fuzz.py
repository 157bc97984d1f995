"""Whatever stands in a compose file, the reader answers: with services, or with what it did not understand. It never
breaks.
"""

from __future__ import annotations

from checks.compose.grouping import read_projects
from checks.compose.model import ComposeProject
from checks.compose.sources import FetchedSources
from checks.ports.conflicts import conflicts_among
from checks.ports.report import HERE, HostScan, report_of
from checks.ports.tables import tables_of
from tests.fakes.compose_garbage import garbage

CASES = 400


def projects_of(files: dict[str, bytes]) -> tuple[ComposeProject, ...]:
    """Return what is read of a project's files."""
    held = {f"/srv/p/{name}": content for name, content in files.items()}
    return read_projects(FetchedSources(held), [path for path in held if "compose" in path])


def assert_answers(seed: int, count: int) -> None:
    """Assert that garbage is answered, and that some of it is understood and some is not: else it would be no test."""
    understood = refused = 0
    for files in garbage(seed, count):
        projects = projects_of(files)
        refused += any(project.troubles for project in projects)
        understood += any(project.services and not project.troubles for project in projects)
        report = report_of([HostScan(HERE, None, projects)])
        assert conflicts_among(report.claims) == list(report.now)
        assert tables_of(report)
        for trouble in (trouble for project in projects for trouble in project.troubles):
            assert trouble.reason
            assert trouble.line >= 0
    assert refused > count / 10
    assert understood > count / 100


def test_garbage_is_answered() -> None:
    """Bytes, spliced files and wrong trees give projects and troubles, never an exception."""
    assert_answers(seed=6, count=CASES)


def test_a_bomb_of_aliases_is_refused() -> None:
    """Nine levels of ten aliases are a thousand million values: it says so at once."""
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
    )
    (project,) = projects_of({"compose.yml": bomb.encode()})

    assert "values once its aliases are followed" in project.troubles[0].reason


def test_deep_nesting_is_refused() -> None:
    """Brackets that nobody closed don't end in a recursion."""
    for text in ("a: " + "[" * 900 + "]" * 900, "- " * 3000, "".join(" " * level + "a:\n" for level in range(300))):
        (project,) = projects_of({"compose.yml": text.encode()})
        assert project.troubles


def test_a_trouble_quotes_no_value() -> None:
    """A password that breaks the YAML is not in the message about it."""
    (project,) = projects_of({"compose.yml": b'services:\n  a:\n    environment: {P: "hunter2hunter2}\n'})

    assert project.troubles
    assert "hunter2" not in project.troubles[0].text()
