"""Add up the tests of several JUnit files and print the line that counts them."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def counts(path: Path) -> tuple[int, int, int]:
    """Return passed, failed and skipped of one file; a file that is not there counts as one failure."""
    if not path.exists():
        return 0, 1, 0
    suites = list(ET.parse(path).getroot().iter("testsuite"))  # noqa: S314 written by our own pytest
    total, failed, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites) for name in ("tests", "failures", "skipped")
    )
    failed += sum(int(suite.get("errors", "0")) for suite in suites)
    return total - failed - skipped, failed, skipped


def main(argv: list[str]) -> int:
    """Print the closing line and return 1 when anything failed or nothing ran."""
    found = [counts(Path(name)) for name in argv[1:]]
    passed, failed, skipped = (sum(column) for column in zip(*found, strict=True))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return int(argv[0] != "0" or failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
