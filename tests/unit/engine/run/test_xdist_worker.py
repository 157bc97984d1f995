"""A worker of a run that is spread over processes looks with the same tools as the run itself."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor
from phases.session import worker
from tests.fakes.two_hosts import SCOPE


def test_a_worker_runs_the_toolbox_that_prepare_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its id, as the process that started the worker does: the tag may name another image by now."""
    used: dict[str, str] = {}
    fleet = SimpleNamespace(names=("wf001", "wf005"), cut=lambda *_: None, use_toolbox=used.__setitem__)
    journal = Journal.open(tmp_path / "state" / "p.sqlite", redactor=Redactor())
    monkeypatch.setattr(worker, "read_commit", lambda **_: "0" * 40)
    monkeypatch.setattr(worker, "load_scope", lambda _options: SCOPE)
    monkeypatch.setattr(worker, "open_journal", lambda *_: journal)
    monkeypatch.setattr(worker, "open_hosts", lambda *_: nullcontext(fleet))
    monkeypatch.setattr("phases.prepare.toolbox.recorded_toolboxes", lambda _journal: {"wf005": "sha256:c0ffee"})
    options: Any = SimpleNamespace(
        environment="production",
        ssh_config=None,
        shard=None,
        outside_window="a test",
        retry=(),
        discard=None,
        revert=False,
        apply=False,
        argv=(),
    )

    with worker.open_worker(options, "validate", "a-run", tmp_path):
        assert used == {"wf005": "sha256:c0ffee"}
