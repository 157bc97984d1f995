"""What the plan says of relays is checked, signed and read by people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.plan import load_plan
from engine.config.scope import build_scope
from engine.errors import InputError
from phases.signoff.plan_text import render_plan
from tests.fakes.project_files import PLAN, make_environment, make_inventory, make_plan, spoiled, written


def loaded(folder: Path, relays: dict[str, Any]) -> None:
    """Load a plan that says this of relays."""
    load_plan(written(folder / "plan.json", spoiled(PLAN, ("relays", relays))), make_inventory())


def test_relays_in_clear_text_need_a_reason(tmp_path: Path) -> None:
    """Nobody switches encryption off without saying why."""
    with pytest.raises(InputError, match="relays/reason: empty, and encrypt is false"):
        loaded(tmp_path, {"encrypt": False, "reason": " "})
    loaded(tmp_path, {"encrypt": False, "reason": "all hosts share a WireGuard network"})
    loaded(tmp_path, {})


def test_ports_of_relays_end_where_ports_end(tmp_path: Path) -> None:
    """65535 is the last."""
    with pytest.raises(InputError, match="go beyond 65535"):
        loaded(tmp_path, {"first_port": 65000, "ports": 2000})


def test_people_read_and_sign_whether_relays_are_encrypted() -> None:
    """With the reason where they are not; it is part of what is approved."""
    reason = "all hosts share a WireGuard network"
    plain = build_scope(
        make_inventory(), make_plan(("relays", {"encrypt": False, "reason": reason})), make_environment()
    )
    usual = build_scope(make_inventory(), make_plan(), make_environment())
    assert f"NOT ENCRYPTED. The reason: {reason}" in render_plan(plain)
    assert "relays are encrypted" in render_plan(usual)
    assert plain.digest != usual.digest
