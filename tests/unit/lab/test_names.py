"""Two labs on one machine: nothing that one makes carries a name of the other's, except the images that both use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lab import __main__ as lab_main
from lab import hosts
from lab.settings import NAMES, TAKEN_NAMES, LabError, LabNames, local_name


def test_a_lab_without_a_name_has_the_plain_names() -> None:
    """What stands in documents and in older labs holds."""
    plain = LabNames("")
    assert (plain.problem, plain.prefix, plain.golden_label) == ("", "longshore-lab", "longshore.lab.golden")
    assert plain.subnets[0] == "172.31.250.0/24"


def test_two_names_share_nothing() -> None:
    """Prefix, label, folder and subnets differ; the images' names do not."""
    one, two, plain = LabNames("d"), LabNames("e2"), LabNames("")
    for what in ("prefix", "golden_label", "kept"):
        assert len({getattr(names, what) for names in (one, two, plain)}) == 3
    assert not set(one.subnets) & (set(two.subnets) | set(plain.subnets))
    assert one.subnets == LabNames("d").subnets
    assert local_name("redis:8") == "longshore-lab/redis:8"


@pytest.mark.parametrize("name", ["D", "a-b", "1a", "a" * 13, *sorted(TAKEN_NAMES)])
def test_a_name_that_can_not_be_one_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would make the default lab's own names, or none that Docker takes, is wrong input."""
    monkeypatch.setattr(lab_main, "NAMES", LabNames(name))
    assert lab_main.main(["status"]) == 4
    assert f"LONGSHORE_LAB: {name!r} can't be the name of a lab" in capsys.readouterr().err


def test_a_folder_keeps_the_name_of_its_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgetting the name does not make the lab's hosts look gone."""
    monkeypatch.setattr(lab_main, "NAMES", LabNames(""))
    monkeypatch.setattr(lab_main, "known_lab", lambda: {"name": "d"})
    with pytest.raises(LabError, match=r"its lab was raised LONGSHORE_LAB=d\. Expected: the same now"):
        lab_main._need_own_name()
    monkeypatch.setattr(lab_main, "NAMES", LabNames("d"))
    lab_main._need_own_name()


def test_images_that_another_lab_may_use_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """`down --all` removes no image while hosts of another lab are there."""
    others = [
        SimpleNamespace(name="longshore-lab-x-wf005", labels={hosts.NAME_LABEL: "x"}),
        SimpleNamespace(name="own", labels={hosts.NAME_LABEL: NAMES.name}),
    ]
    client: Any = SimpleNamespace(containers=SimpleNamespace(list=lambda **_: others))
    monkeypatch.setattr(lab_main, "_remove_hosts", lambda _client: None)
    monkeypatch.setattr(hosts, "remove_network", lambda _client: None)
    monkeypatch.setattr(lab_main.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(lab_main.snapshots, "forget", lambda _client: None)
    monkeypatch.setattr(lab_main.pristine_disks, "remove_all", lambda _client: None)
    monkeypatch.setattr(lab_main.images, "remove_images", lambda _client: pytest.fail("images were removed"))
    said: list[str] = []
    lab_main.down(client, said.append, everything=True)
    assert said == ["removed, with all kept disks; the images stay: longshore-lab-x-wf005 may use them"]
