"""Every gate refuses for its reason, and the hosts are as they were: nothing is touched before all of them are open."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from tests.lab import at_hand
from tests.lab.at_hand import HOSTS, ROOT, Ran

pytestmark = pytest.mark.lab
ONLY: Final = ("--service", "redis")
APPROVALS: Final = ROOT / "approvals" / "lab"
ENVIRONMENT: Final = ROOT / "environments" / "lab.yaml"
PLAN: Final = ROOT / "migration_plan.json"


def _written_on_hosts() -> dict[str, str]:
    """Return what a run leaves on the hosts except containers: audit logs and locks."""
    look = "ls -AR /var/lib/longshore; sha256sum /var/lib/longshore/audit.jsonl"
    return {host: at_hand.on_host(host, "sh", "-c", f"{look} 2>&1 || true") for host in HOSTS}


def _state() -> dict[str, Any]:
    return {"hosts": at_hand.snapshot(*HOSTS), "written": _written_on_hosts()}


def _plan(folder: Path, **changes: Any) -> str:
    """Write a plan that differs from the real one and return its file."""
    file = folder / "migration_plan.json"
    folder.mkdir(exist_ok=True)
    file.write_text(json.dumps({**json.loads(PLAN.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    return str(file)


@contextmanager
def _put_back(place: Path, kept: Path) -> Iterator[None]:
    """Give a file or folder back as it was, whatever a test did to it."""
    (shutil.copytree if place.is_dir() else shutil.copy2)(place, kept)
    try:
        yield
    finally:
        if kept.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        shutil.move(kept, place)


def _migrate(*flags: str) -> Ran:
    return at_hand.run_phase("migrate", *ONLY, "--apply", *flags)


def _signed_by_somebody_else(folder: Path) -> None:
    """Put a good signature by a key that nobody listed next to the business approval."""
    text = next(APPROVALS.glob("business-*.txt"))
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "eve")],
        check=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
    )
    text.with_name(text.name + ".sig").unlink()
    sign = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(folder / "eve"), "-n", "longshore-approval", str(text)]
    subprocess.run(sign, check=True, timeout=20, stdin=subprocess.DEVNULL)


def _close_window() -> None:
    yaml = YAML()
    content = yaml.load(ENVIRONMENT)
    content["window"]["ends_at"] = "2001-01-01T00:00:00Z"
    yaml.dump(content, ENVIRONMENT)


def _refusals(folder: Path, others: Path) -> dict[str, Ran]:
    """Spoil one thing after the other, try to migrate each time, and put it right again."""
    seen = {"plan edited": _migrate("--plan", _plan(folder / "edited", title="Another title"))}
    with _put_back(ENVIRONMENT, folder / "lab.yaml"):
        _close_window()
        seen["window over"] = _migrate()
    with _put_back(APPROVALS, folder / "approvals"):
        next(APPROVALS.glob("business-*.txt")).unlink()
        seen["business missing"] = _migrate()
    with _put_back(APPROVALS, folder / "approvals"):
        _signed_by_somebody_else(folder)
        seen["unlisted key"] = _migrate()
    with _put_back(APPROVALS, folder / "approvals"):
        shutil.rmtree(APPROVALS)
        shutil.copytree(others, APPROVALS)
        seen["replayed"] = _migrate()
    return seen


REASONS: Final = {
    "plan edited": ("is void: migration_plan.json changed since", "preflight of"),
    "window over": ("is over; it is",),
    "business missing": ("business approval: 0 of 1 people signed this plan",),
    "unlisted key": ("its signature is not that of bea@lab.invalid",),
    "replayed": ("technical approval by tess@lab.invalid", "is void: migration_plan.json changed since"),
    "preflight too old": ("h old. Expected: at most 0.0003 h",),
}


def test_each_gate_refuses_for_its_reason_and_nothing_is_touched(kept_prepared_lab: None, tmp_path: Path) -> None:
    """Plan edited, window over, an approval missing, by an unlisted key or replayed, preflight too old: exit 3, hosts
    as before.
    """
    other = _plan(tmp_path / "other", title="Another migration")
    at_hand.preflight_and_approve(*ONLY, "--plan", other)
    shutil.copytree(APPROVALS, tmp_path / "others")
    old = _plan(tmp_path / "old", evidence_max_age_h=0.0003)
    at_hand.run_phase("preflight", *ONLY, "--plan", old)
    before = _state()
    seen = {"preflight too old": _migrate("--plan", old)}
    at_hand.preflight_and_approve(*ONLY)
    open_before = at_hand.run_phase("migrate", *ONLY)

    seen |= _refusals(tmp_path, tmp_path / "others")

    open_after = at_hand.run_phase("migrate", *ONLY)
    assert _state() == before
    for name, ran in seen.items():
        assert (ran.code, ran.folder) == (3, None), f"{name}: {ran.output[-2000:]}"
        assert "refused, nothing was done" in ran.output
        for words in REASONS[name]:
            assert words in ran.output, f"{name}: {ran.output[-2000:]}"
    for dry_run in (open_before, open_after):
        verdicts = {
            row["key"]: row["body"]["verdict"] for row in at_hand.rows_of(dry_run) if row["key"].startswith("gate-")
        }
        assert set(verdicts.values()) == {"PASSED"}, "all gates are open when nothing is spoiled"
