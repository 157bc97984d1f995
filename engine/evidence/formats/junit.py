"""JUnit XML, in the form that Jenkins, GitLab and Ant's own schema agree on (schemas/junit.xsd): for CI and test
managers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final
from xml.etree import ElementTree as ET

from engine.constants import NAME
from engine.evidence.formatting import visible
from engine.evidence.page.page import Page
from engine.verdict import Verdict

TAGS: Final = {Verdict.PASSED.value: "", Verdict.FAILED.value: "failure", Verdict.UNKNOWN.value: "error"}
SKIPPED: Final = "skipped"
MESSAGE: Final = 500
TOTALS: Final = {"failures": "failure", "errors": "error", "skipped": SKIPPED}
"""The suite's totals, and which cases each counts."""


@dataclass(frozen=True)
class Case:
    """One row as JUnit knows it; `tag` is empty for a pass."""

    classname: str
    name: str
    tag: str
    verdict: str
    text: str
    details: tuple[str, ...]
    duration_s: float


def cases_of(command: str, rows: Sequence[Mapping[str, Any]]) -> list[Case]:
    """Return rows as cases, those of one subject together."""
    subjects = dict.fromkeys(row["subject"] for row in rows)
    return [_case(command, row) for subject in subjects for row in rows if row["subject"] == subject]


def _case(command: str, row: Mapping[str, Any]) -> Case:
    details = tuple(visible(line) for line in row["details"])
    name, verdict = visible(f"{command}.{row['subject']}"), str(row["verdict"])
    return Case(
        name,
        visible(row["key"]),
        TAGS.get(verdict, SKIPPED),
        verdict,
        visible(row["text"]),
        details,
        float(row["duration_s"]),
    )


def _altered(command: str, text: str) -> Case:
    return Case(f"{command}.journal", "altered", "error", "ALTERED", visible(text), (), 0.0)


def totals_of(tags: Iterable[str]) -> dict[str, int]:
    """Return the numbers of a suite whose cases have these tags."""
    counted = Counter(tags)
    return {"tests": counted.total()} | {name: counted[tag] for name, tag in TOTALS.items()}


def junit(page: Page) -> str:
    """Return JUnit XML: FAILED is a failure, UNKNOWN an error, what did not run is skipped with its word."""
    cases = cases_of(page.command, [row for group in page.groups for row in group.rows])
    cases += [_altered(page.command, text) for text in page.altered]
    numbers = {name: str(count) for name, count in totals_of(case.tag for case in cases).items()}
    moment = page.started_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")  # the schema has no UTC offset
    machine = visible(str(page.about.get("operator", "")).rpartition("@")[2]) or "localhost"
    suite = ET.Element(
        "testsuite",
        {
            "name": f"{NAME}.{page.command}", "package": NAME, "id": "0", "hostname": machine,
            **numbers, "time": f"{page.duration_s:.3f}", "timestamp": moment,
        },
    )  # fmt: skip
    properties = ET.SubElement(suite, "properties")
    for name in ("environment", "plan_digest", "operator", "version", "commit"):
        ET.SubElement(properties, "property", name=name, value=visible(page.about.get(name)))
    ET.SubElement(properties, "property", name="run", value=page.run_id)
    for case in cases:
        _add(suite, case)
    ET.SubElement(suite, "system-out").text = visible(page.sentence)
    ET.SubElement(suite, "system-err")
    suites = ET.Element("testsuites")
    suites.append(suite)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(suite, "testcase", classname=case.classname, name=case.name, time=f"{case.duration_s:.3f}")
    if case.tag:
        about = {"message": f"{case.verdict}: {case.text}"[:MESSAGE]} | (
            {} if case.tag == SKIPPED else {"type": case.verdict}
        )
        answer = ET.SubElement(element, case.tag, about)
        answer.text = "\n".join([case.text, *case.details])
