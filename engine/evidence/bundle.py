from dataclasses import dataclass
from pathlib import Path
@dataclass(frozen=True)
class Paths:
    report: Path
def write_evidence(journal, run_id, folder):
    return Paths(folder / "report.html")
