"""Removing a place: only what this attempt created, and with all the time that a million files take."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from actions.copy.locations import LONGEST_REMOVE_S, MAKE_PATH, REMOVE_PATH, DataPlace, remove_place
from engine.constants import LABEL_MOVE
from engine.contracts.container import CommandResult
from engine.errors import RefusedError
from tests.fakes.facts import LABEL
from tests.fakes.fleet import FakeFleet

VOLUME = DataPlace("volume", "redis_data")


class Host:
    """A host with one volume, or none; remembers what is run and for how long it may."""

    def __init__(self, label: str | None) -> None:
        """Take the volume's label, None when there is no volume."""
        self.label, self.asked = label, list[tuple[list[str], float]]()
        self.api = self

    def inspect_volume(self, name: str) -> dict[str, Any]:
        """Answer as Docker does."""
        if self.label is None:
            raise docker.errors.NotFound(name)
        return {"Name": name, "Labels": {LABEL_MOVE: self.label}}

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Remember it."""
        del stdin
        self.asked.append((argv, timeout_s))
        return CommandResult(tuple(argv), 0, b"", b"", 0.0)


def _removed(label: str | None, place: DataPlace) -> list[tuple[list[str], float]]:
    host = Host(label)
    route: Any = SimpleNamespace(
        fleet=FakeFleet({"wf001": host}, {"wf001": host}), move_label=LABEL, audit=lambda *_: None
    )
    remove_place(route, "wf001", place, "copy-volumes")
    return host.asked


def test_a_volume_of_this_attempt_is_removed_however_long_it_takes() -> None:
    """Docker answers only when all files are gone: its client's minute was too short for two million (seen on a lab
    host).
    """
    assert _removed(LABEL, VOLUME) == [(["docker", "volume", "rm", "redis_data"], LONGEST_REMOVE_S)]
    assert LONGEST_REMOVE_S > 600


@pytest.mark.parametrize("label", [None, "", "lab/redis/7"])
def test_a_volume_of_somebody_else_stays(label: str | None) -> None:
    """None, one without our label, one of another attempt."""
    assert _removed(label, VOLUME) == []


def test_a_path_is_removed_by_its_marker_and_never_near_the_root() -> None:
    """What removes it looks for the marker itself."""
    [(argv, patience_s)] = _removed(None, DataPlace("bind", "/srv/redis/data"))
    assert (argv[-2:], patience_s) == (["/srv/redis/data", LABEL], LONGEST_REMOVE_S)
    with pytest.raises(RefusedError, match="too near the root"):
        _removed(None, DataPlace("bind", "/srv"))


def test_a_single_file_is_made_before_it_is_copied_and_goes_with_its_folders(
    tmp_path: Path, local_program: None
) -> None:
    """The target's end gets the file alone, so it must be there; one that is there is left as it is, and what was made
    above it goes too.
    """
    place, kept = tmp_path / "new" / "etc" / "redis.conf", tmp_path / "redis.conf"
    kept.write_text("kept", encoding="utf-8")
    for path in (place, kept):
        subprocess.run(["sh", "-c", MAKE_PATH, "make", str(path), "file", LABEL], check=True)
    assert (place.read_text(encoding="utf-8"), kept.read_text(encoding="utf-8")) == ("", "kept")

    subprocess.run(["sh", "-c", REMOVE_PATH, "remove", str(place), LABEL], check=True)

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("place", [VOLUME, DataPlace("bind", "/srv/redis/data")])
def test_who_breaks_the_lock_waits_for_a_removal_however_long_it_takes(place: DataPlace) -> None:
    """The next run copies to the same place: a removal of the run before, still at work, would take its files away."""
    host = Host(LABEL)
    fleet = FakeFleet({"wf001": host}, {"wf001": host}, token="ana")
    route: Any = SimpleNamespace(fleet=fleet, move_label=LABEL, audit=lambda *_: None)
    remove_place(route, "wf001", place, "copy-volumes")
    [(argv, _)] = host.asked
    assert argv[3:6] == ["fenced", "ana", "yes"]
