"""The lab's faults: each is undone by its own way back, and one that can't be undone hides no other."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lab import faults
from lab.faults import Fault
from lab.settings import LabError


def _refuse(_client: Any) -> None:
    raise LabError("wf002: no")


def test_healing_continues_after_a_fault_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fault is tried, a stopped host first; the message names the one that stayed and the way out."""
    healed: list[str] = []
    known = {
        name: Fault(_refuse, _refuse if name == "disk-full" else lambda _, name=name: healed.append(name))  # type: ignore[misc]
        for name in faults.FAULTS
    }
    monkeypatch.setattr(faults, "FAULTS", known)
    with pytest.raises(LabError, match=r"^not undone: disk-full: wf002: no\. Try: python -m commands lab reset$"):
        faults.heal(None)
    assert healed[0] == "host-stopped"
    assert set(healed) == set(known) - {"disk-full"}


def test_no_script_kills_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way back matches a pattern against whole command lines: the shell that runs the script would be
    one of them.
    """
    scripts: list[str] = []
    monkeypatch.setattr(faults, "_inside", lambda _host, script: scripts.append(script))
    monkeypatch.setattr(faults.hosts, "find", lambda _client, _plan: None)
    faults.heal(None)
    assert len(scripts) >= 3
    assert not [script for script in scripts if re.search(r"pkill [^;|]*-f", script)]
