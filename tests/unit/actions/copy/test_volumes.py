"""The copy while a service runs, the last copy and the proof, on ends that are made up: what they do and in which
order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from actions.copy.locations import DataPlace
from actions.copy.precopy import Precopy
from actions.copy.rsync import CopyPass
from actions.copy.safety_copy import copy_beside
from actions.copy.verification import Verifier, VerifyVolumes
from actions.copy.volumes import CopyVolumes, Limits
from actions.replication.steps import FinishReplica, StartReplica
from engine.contracts.action import Note
from engine.contracts.container import CommandResult
from engine.errors import ActionError, RefusedError
from engine.verdict import passed
from hosts.manifest.manifest import Drift
from tests.fakes.facts import LABEL

PLACES = (DataPlace("volume", "redis_data"),)
SAME = Drift((), 0, 1204, 5_000_000, 4096, 1200, 1201)
OTHER = Drift(("dump.rdb: content differs",), 1, 1204, 5_000_000, 4096, 1200, 1201, ("dump.rdb",))


@dataclass
class Ends:
    """Two ends that only remember what was asked of them."""

    places: tuple[DataPlace, ...] = PLACES
    asked: list[str] = field(default_factory=list)
    there: bool = False

    def open(self) -> bool:
        """Be there from now on; say whether they were."""
        self.asked.append("open")
        was, self.there = self.there, True
        return was

    def remove(self) -> None:
        """Be gone."""
        self.asked.append("remove")
        self.there = False

    def runs(self, host: str) -> bool:
        """Say whether they are there."""
        return self.there

    def renew(self) -> None:
        """Live on."""
        self.asked.append("renew")


@pytest.fixture(autouse=True)
def there(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the containers of the service's name on the target: none, until a test puts one there."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr("actions.common.route.inspect_container", lambda *_: found[0] if found else None)
    return found


def route() -> Any:
    """Return redis' way, whose audit log is forgotten."""
    return SimpleNamespace(
        fleet={},
        service="redis",
        container="redis",
        source="wf005",
        target="wf001",
        move_label=LABEL,
        audit=lambda *_: None,
    )


class Copy(CopyVolumes):
    """A copy whose passes take what the test says."""

    def begin(self, note: Note) -> None:
        """Measure nothing."""
        note["total_bytes"] = 5_000_000

    def undo(self, note: Note) -> None:
        """Only remember."""
        self.ends.asked.append("undo")


def copy_of(monkeypatch: pytest.MonkeyPatch, ends: Ends, seconds: list[float], size_bytes: int = 500_000_000) -> Copy:
    """Return a copy with these ends, whose passes take these seconds."""
    made = Copy(route(), PLACES, SimpleNamespace(), limits=Limits(outage_budget_s=10))  # type: ignore[arg-type]
    passes = iter(seconds)
    monkeypatch.setitem(made.__dict__, "ends", ends)
    run = SimpleNamespace(copy=lambda **_: CopyPass(next(passes), size_bytes, 1000, 1))
    monkeypatch.setattr(Copy, "copying", lambda _self, _doing: run)
    monkeypatch.setattr(Copy, "proving", lambda _self: SimpleNamespace(remember=lambda *, rest: 0.5 if rest else 0.4))
    monkeypatch.setattr("actions.copy.precopy.choose_algorithm", lambda _ends, _size: "sha256")
    return made


def test_passes_are_made_until_the_rest_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 s, 6 s, 1 s: the third is predicted to shrink again and fits 10 s less the 4 s of all else; both figures are
    kept.
    """
    ends = Ends()
    note: Note = {}
    live = Precopy(copy_of(monkeypatch, ends, [60.0, 8.0, 1.0, 1.0]), others_s=4.0)

    live.do(note)

    assert [one["seconds"] for one in note["passes"]] == [60.0, 8.0, 1.0]
    assert note["predicted_s"] == pytest.approx(4.0 + 1.5 * 1.5 / 8.5, abs=0.01)
    judgement = live.verify(note)
    assert judgement.passed
    assert "3 passes while it ran" in judgement.text
    assert judgement.measured["predicted_outage_s"] == note["predicted_s"]


def test_little_data_is_not_let_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again in the outage in less time than the rest would take before it."""
    note: Note = {}

    Precopy(copy_of(monkeypatch, Ends(), [1.0, 1.0, 1.0], size_bytes=5_000_000), others_s=4.0).do(note)

    assert {one["with_reading_s"] for one in note["passes"]} == {1.4}


def test_a_killed_runs_ends_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run's ends remember may be of a moment that nobody saw the end of."""
    ends = Ends(there=True)

    Precopy(copy_of(monkeypatch, ends, [1.0, 1.0, 1.0]), others_s=4.0).do({})

    assert ends.asked[:3] == ["open", "remove", "open"]
    assert ends.asked[-1] == "renew", "the last copy has their whole life"


def test_a_copy_whose_ends_are_gone_is_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last pass needs them; a resumed run does it again."""
    ends = Ends()
    note: Note = {}
    live = Precopy(copy_of(monkeypatch, ends, [1.0, 1.0, 1.0]), others_s=4.0)
    live.do(note)
    ends.there = False

    assert not live.verify(note).passed
    assert not live.verify({}).passed


def test_the_last_copy_uses_what_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """No measuring in the outage when an earlier pass measured."""
    note: Note = {}
    copying = copy_of(monkeypatch, Ends(there=True), [2.0])

    copying.do(note)

    assert "total_bytes" not in note
    assert (note["size_bytes"], note["copied"]["sent_bytes"]) == (500_000_000, 1000)
    assert copying.verify(note).passed
    assert not copying.verify({}).passed


@dataclass
class Looks:
    """A proving that sees what the test says, one after the other."""

    drifts: list[Drift]
    ends: Any = field(default_factory=Ends)
    level: str = "full"
    disk: str = ""
    flushed: int = 0

    def flush(self) -> None:
        """Have all on the disk, or say why it is not there."""
        self.flushed += 1
        if self.disk:
            raise ActionError(self.disk)

    def compare(self) -> dict[int, Drift]:
        """Return the next."""
        return {0: self.drifts.pop(0)}


def prove(
    monkeypatch: pytest.MonkeyPatch, drifts: list[Drift], *, container: bool = False
) -> tuple[VerifyVolumes, list[list[bytes]]]:
    """Return a proof that sees these, and the list of what it copies once more."""
    repaired: list[list[bytes]] = []
    mending: Any = SimpleNamespace(repair=lambda _position, paths: repaired.append(paths))
    looks: Any = Looks(drifts)
    monkeypatch.setattr("actions.copy.verification.inspect_container", lambda *_: {} if container else None)
    return VerifyVolumes(route(), PLACES, None, looks, mending), repaired


def test_equal_sides_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the outage every reading counts; the text has its denominators."""
    proof, repaired = prove(monkeypatch, [SAME])
    note: Note = {}

    proof.do(note)
    judgement = proof.verify(note)

    assert judgement.passed
    assert not repaired
    assert "1,204 entries" in judgement.text
    assert "4,096 of 5,000,000 bytes read, 1,200 of 1,201 files proven unchanged" in judgement.text


def test_what_differs_is_copied_once_more_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that moved no time is no reason to give up a move: once."""
    proof, repaired = prove(monkeypatch, [OTHER, SAME])
    note: Note = {}

    proof.do(note)
    judgement = proof.verify(note)

    assert repaired == [[b"dump.rdb"]]
    assert judgement.passed
    assert "volume redis_data: dump.rdb: content differs" in judgement.details


def test_a_second_difference_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then somebody writes, or a disk lies."""
    proof, _ = prove(monkeypatch, [OTHER, OTHER])
    note: Note = {}

    proof.do(note)

    assert not proof.verify(note).passed
    assert "proven" not in note


def test_what_is_proven_is_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison reads what may only be in memory: after it the target's disks have everything, and the
    row says so.
    """
    proof, _ = prove(monkeypatch, [SAME])
    proof.do({})

    judgement = proof.verify({})

    looks: Any = proof.proving
    assert judgement.passed
    assert looks.flushed == 1
    assert "and on the disks of wf001" in judgement.text


@pytest.mark.parametrize(
    ("level", "says"),
    [("metadata", "have the same names, kinds, sizes"), ("sampled", "the same as far as they were read")],
)
def test_only_what_was_read_whole_is_called_identical(monkeypatch: pytest.MonkeyPatch, level: str, says: str) -> None:
    """A proof that reads less says less."""
    proof, _ = prove(monkeypatch, [SAME])
    looks: Any = proof.proving
    looks.level = level

    text = proof.verify({}).text

    assert says in text
    assert "identical" not in text


def test_a_disk_that_does_not_take_what_was_copied_fails_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides are equal in memory and the disk says EIO: nothing is proven, and nothing is started on it."""
    proof, _ = prove(monkeypatch, [SAME])
    looks: Any = proof.proving
    looks.disk = "wf001: run sync in longshore-copy failed (exit 1): sync: error syncing '/data/0': Input/output error"
    note: Note = {}

    judgement = proof.verify(note)

    assert not judgement.passed
    assert "Input/output error" in judgement.text
    assert "Look: ssh wf001 dmesg" in judgement.text
    assert "proven" not in note


def test_without_a_mount_the_proof_says_that_nothing_was_compared() -> None:
    """No place to copy: the row passes, for there is nothing to lose here, and calls nothing compared or identical."""
    judgement = VerifyVolumes(route(), (), 0, Looks([]), None).verify({})  # type: ignore[arg-type]

    assert judgement.passed
    assert judgement.text == "redis: no mount is copied, so no file was compared"


def test_what_was_set_aside_or_put_back_is_on_the_disk() -> None:
    """A rollback writes over its other copy next: the copy on one host ends with a flush of what was written, and fails
    with it.
    """
    asked: list[list[str]] = []
    fleet: Any = {
        "wf005": SimpleNamespace(
            run=lambda argv, **_: (
                asked.append(argv),
                CommandResult(tuple(argv), int(argv[1] == "run"), b"", b"EIO", 0.1),
            )[1]
        )
    }
    way = SimpleNamespace(fleet=fleet, move_label=LABEL, slug=lambda step: step, audit=lambda *_: None)

    with pytest.raises(ActionError, match="EIO"):
        copy_beside(way, "wf005", "set-aside-0", place=PLACES[0], to=DataPlace("volume", "aside"))  # type: ignore[arg-type]

    assert asked[0][:3] == ["docker", "rm", "--force"], "what a killed run left may still write"
    words = asked[1][asked[1].index("sh") :]
    assert words[:2] == ["sh", "-c"]
    assert "&& exec sync --file-system" in words[2]
    assert words[3:5] == ["rsync", "/to"]


def test_nothing_is_copied_under_a_container(monkeypatch: pytest.MonkeyPatch, there: list[dict[str, Any]]) -> None:
    """A resumed move whose target exists keeps the proof that was made before it, and never writes there: no pass, no
    last copy either.
    """
    proof, repaired = prove(monkeypatch, [OTHER], container=True)
    there.append({"State": {"Running": True}})
    ends = Ends(there=True)
    copying = copy_of(monkeypatch, ends, [])
    for action in (Precopy(copying, others_s=4.0), copying):
        with pytest.raises(RefusedError, match="exists already"):
            action.do({})
    assert ends.asked == []

    with pytest.raises(RefusedError, match="exists already"):
        proof.do({})
    assert proof.verify({"proven": "all identical"}).passed
    assert not repaired
    assert not proof.verify({}).passed


def test_a_proof_without_mending_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back only looks."""
    proof, _ = prove(monkeypatch, [OTHER])
    only_looks = VerifyVolumes(proof.route, PLACES, None, proof.proving)

    only_looks.do({})

    assert only_looks.effect.value == "read_only"
    assert not only_looks.verify({}).passed


def test_a_level_without_full_content_reads_nothing_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a full proof has something to save."""
    ends: Any = Ends()
    assert Verifier(ends, "metadata").remember() == 0.0


def replica_of(reason: str, *, fails: bool = False) -> Any:
    """Return a replica that is possible or not, and that can be started or not."""

    def start() -> None:
        if fails:
            raise ActionError("wf001: no tunnel")

    kind = SimpleNamespace(why_not_following=lambda _status: "")
    return SimpleNamespace(
        route=route(),
        why_not=lambda: reason,
        start=start,
        remove=lambda: None,
        runs=lambda: True,
        status=lambda: "up",
        kind=kind,
        take_over=lambda: "0/7004810",
    )


def carrying() -> Any:
    """Return an action that only remembers that it was done."""
    made = SimpleNamespace(done=[], others_s=4.0, estimate_s=lambda: None, undo=lambda _note: made.done.append("undo"))
    made.do = lambda note: (made.done.append("do"), note.update(predicted_s=1.0))
    made.verify = lambda _note: passed("copied")
    made.last = SimpleNamespace(places=PLACES, undo=made.undo)
    return made


@pytest.mark.parametrize(("reason", "fails"), [("the user has no replication permission", False), ("", True)])
def test_what_can_not_replicate_is_copied_and_says_why(reason: str, fails: bool) -> None:
    """Conditions that do not hold, or a start that fails: precopy, in the same step."""
    others, instead = carrying(), carrying()
    start = StartReplica(replica_of(reason, fails=fails), others, instead)
    note: Note = {}

    start.do(note)

    assert instead.done == ["undo", "do"]
    assert f"replicate was not possible: {reason or 'wf001: no tunnel'}" in start.verify(note).text
    assert not note.get("replica")


def test_what_can_replicate_is_not_copied() -> None:
    """Only the places apart from its data are copied."""
    others, instead = carrying(), carrying()
    note: Note = {}
    start = StartReplica(replica_of(""), others, instead)

    start.do(note)

    assert (others.done, instead.done) == (["do"], [])
    assert start.verify(note).passed


@pytest.mark.parametrize("replicates", [True, False])
def test_the_end_is_that_of_what_was_begun(replicates: bool) -> None:
    """A replica takes over; a fallback copies its rest."""
    others, instead = carrying(), carrying()
    finish = FinishReplica(replica_of(""), others, instead, lambda: replicates)
    note: Note = {}

    finish.do(note)

    assert note.get("end") == ("0/7004810" if replicates else None)
    assert instead.done == ([] if replicates else ["do"])
    assert finish.verify(note).passed


@pytest.mark.parametrize(
    ("sampled", "cap", "seconds"), [(None, None, 103), (1e9, None, 103), (10e6, None, 503), (10e6, 5.0, 1003)]
)
def test_a_slow_path_or_a_cap_makes_a_copy_longer(sampled: float | None, cap: float | None, seconds: int) -> None:
    """What prepare sampled counts where it is less than a plain link; so does the plan's limit."""
    nobody: Any = None
    copying = CopyVolumes(nobody, (), nobody, 5_000_000_000, Limits(cap, sampled_bytes_per_s=sampled))

    assert copying.estimate_s() == seconds
