"""The demo rehearses all services where their images can be had, and says it when it can't."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from commands import demo


@pytest.mark.parametrize(
    ("argv", "images", "choice", "expected"),
    [
        ([], 0, "all", "all thirteen services"),
        ([], 1, "core", "not all images can be had here: rehearsing three services only"),
        (["--services", "core"], 0, "core", ""),
    ],
)
def test_the_demo_takes_what_can_be_had(  # noqa: PLR0917 a case and its tools
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    images: int,
    choice: str,
    expected: str,
) -> None:
    """All without a word; the core when an image can neither be pulled nor built, or when it is asked for."""
    asked: list[list[str]] = []
    phases: list[list[str]] = []
    monkeypatch.setattr(demo.lab, "main", lambda words: asked.append(words) or (images if words[0] == "images" else 0))
    monkeypatch.setattr(
        demo.subprocess, "run", lambda words, **_: phases.append(words[3:]) or SimpleNamespace(returncode=0)
    )
    monkeypatch.setattr(demo, "_outages", list)
    assert demo.main([*argv, "--lang", "pt-BR"]) == 0
    assert asked[-1] == ["reset", "--services", choice]
    assert phases[-1] == ["validate", "--lab", "--lang", "pt-BR"]
    assert expected in " ".join(capsys.readouterr().out.split())
