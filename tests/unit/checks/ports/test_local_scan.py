"""Compose files are found and fetched: the shell script on a small tree, its answer as typed values, local paths, and
what belongs together.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from checks.compose.grouping import Launch, is_compose_name, read_projects
from checks.compose.sources import LARGEST_BYTES, FetchedSources, LocalSources
from checks.ports.local_scan import list_compose_files, scan_paths
from commands.ports import main
from engine.errors import InputError, NotObservedError, UnsupportedSyntaxError
from hosts.facts.compose_files import (
    SCRIPT,
    USUAL_EPHEMERAL,
    FoundFiles,
    fetch_files,
    parse_found,
    search_compose_files,
)
from tests.fakes.host import FakeHost

SERVICE = "services:\n  a:\n    image: x\n    ports: ['{port}:80']\n"


def tree(root: Path, **files: str) -> Path:
    """Write files below a folder, `__` for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def asked(root: Path, *paths: Path, depth: int = 7) -> tuple[FoundFiles, int | None]:
    """Run the script as a host would, searching below `root` only."""
    argv = ["sh", "-s", "--", "30", str(root), str(depth), "1000", str(root / "docker"), *map(str, paths)]
    answer = subprocess.run(argv, input=SCRIPT, capture_output=True, check=True)
    return parse_found("wf001", answer.stdout)


@pytest.mark.usefixtures("local_program")
def test_script_finds_compose_files_and_their_neighbours(tmp_path: Path) -> None:
    """By name, through links, with spaces; not in Docker's root, not in node_modules, and no folder of that name."""
    tree(
        tmp_path,
        srv__shopDOTone__composeDOTyml="a: 1",
        srv__shopDOTone__DOTenv="A=1",
        srv__prodDOTComposeDOTYAML="b: 2",
        home__notcomposeDOTtxt="",
    )
    tree(
        tmp_path,
        docker__volumes__composeDOTyml="no",
        app__node_modules__x__composeDOTyml="no",
        my__docker_composeDOTyml="c: 3",
    )
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "docker-compose.yml").symlink_to(tmp_path / "my" / "docker_compose.yml")
    (tmp_path / "compose.yml").mkdir()
    (tmp_path / "big-compose.yml").write_bytes(b"#" * 2000)

    found, status = asked(tmp_path)

    names = {str(Path(path).relative_to(tmp_path)) for path in found.compose}
    assert names == {
        "srv/shop.one/compose.yml",
        "srv/prod.Compose.YAML",
        "my/docker_compose.yml",
        "a b/docker-compose.yml",
        "big-compose.yml",
    }
    assert status == 0
    assert found.contents[str(tmp_path / "srv/shop.one/.env")] == b"A=1"
    assert found.contents[str(tmp_path / "my/.env")] is None
    assert found.contents[str(tmp_path / "a b/docker-compose.yml")] == b"c: 3"
    assert "larger than" in found.unreadable[str(tmp_path / "big-compose.yml")]
    assert found.ephemeral[0] < found.ephemeral[1]


@pytest.mark.usefixtures("local_program")
def test_a_file_under_two_paths_is_one(tmp_path: Path) -> None:
    """A folder that is mounted twice shows the very same file again; a link is somebody's intention, and stays."""
    tree(tmp_path, srv__composeDOTyml="a: 1", disk__srv__otherDOTtxt="")
    (tmp_path / "disk/srv/compose.yml").hardlink_to(tmp_path / "srv/compose.yml")
    (tmp_path / "compose.yml").symlink_to(tmp_path / "srv/compose.yml")

    found, _ = asked(tmp_path)

    assert found.compose == (str(tmp_path / "compose.yml"), str(tmp_path / "srv/compose.yml"))
    assert str(tmp_path / "disk/srv/compose.yml") not in found.contents


@pytest.mark.usefixtures("local_program")
def test_script_fetches_paths_as_they_are(tmp_path: Path) -> None:
    """Any bytes, what is not there as such, and of a folder the settings in it."""
    tree(tmp_path, conf__aDOTyml="x", conf__b__CaddyfileDOTprod="y", conf__b__c__deepDOTyml="no", conf__dataDOTdb="no")
    (tmp_path / "bytes").write_bytes(bytes(range(256)))

    found, status = asked(tmp_path, tmp_path / "bytes", tmp_path / "conf", tmp_path / "gone", depth=0)

    assert status is None
    assert found.contents == {
        str(tmp_path / "bytes"): bytes(range(256)),
        str(tmp_path / "conf/a.yml"): b"x",
        str(tmp_path / "conf/b/Caddyfile.prod"): b"y",
        str(tmp_path / "gone"): None,
    }


def test_an_answer_that_is_cut_off_is_no_answer() -> None:
    """Nor is a search that did not end, or a host whose shell failed."""
    cut = FakeHost("wf001", {"sh -s": (0, "compose\0/a/compose.yml\0YTog", "")})
    slow = FakeHost("wf001", {"sh -s": (0, "compose\0/a/compose.yml\0YTog\0searched\0/\0MTI0\0", "")})
    broken = FakeHost("wf001", {"sh -s": (2, "", "sh: no base64")})

    for host, reason in (
        (cut, "cut off"),
        (slow, r"did not end within 30 s \(1 seen by then\)"),
        (broken, "no base64"),
    ):
        with pytest.raises(NotObservedError, match=reason):
            search_compose_files(host, "/var/lib/docker")  # type: ignore[arg-type]
    assert fetch_files(FakeHost("wf001"), ["/a"]).contents == {}  # type: ignore[arg-type]


def test_broken_base64_is_unreadable_not_empty() -> None:
    """A file that came damaged is reported; the range of ports stays the usual one when the answer has none."""
    found, _ = parse_found("wf001", b"compose\0/a/compose.yml\0YTo\0ports\0/p\0\0")

    assert found.unreadable == {"/a/compose.yml": "its content was cut off on the way; expected the whole of it"}
    assert found.compose == ("/a/compose.yml",)
    assert found.ephemeral == USUAL_EPHEMERAL


@pytest.mark.parametrize(
    "name",
    [
        "compose.yml",
        "docker-compose.yaml",
        "docker-compose.prod.yml",
        "prod.compose.yml",
        "Compose.YML",
        "x_compose.yml",
    ],
)
def test_names_like_compose_files(name: str) -> None:
    """Whatever people call them; a composer is something else."""
    assert is_compose_name(f"/srv/{name}")
    assert not is_compose_name(f"/srv/{name}".replace("ompose", "omposer"))
    assert not is_compose_name(f"/srv/{name}.txt")


def test_files_that_compose_would_not_read_are_projects_of_their_own() -> None:
    """docker-compose.prod.yml publishes only when somebody names it; what a project extends or was started from belongs
    to it.
    """
    files = {
        f"/srv/{name}": SERVICE.format(port=port).encode()
        for name, port in (("compose.yml", 80), ("docker-compose.prod.yml", 81), ("live-compose.yml", 82))
    }
    launch = Launch("/srv", ("/srv/live-compose.yml",), "live")

    found = {
        project.files: (project.name, project.is_default)
        for project in read_projects(FetchedSources(files), files, [launch])
    }

    assert found == {
        ("/srv/compose.yml",): ("srv", True),
        ("/srv/docker-compose.prod.yml",): ("srv", False),
        ("/srv/live-compose.yml",): ("live", True),
    }


def test_files_that_are_named_and_not_held_are_asked_for() -> None:
    """So that they can be fetched in another trip."""
    sources = FetchedSources({"/srv/compose.yml": b"include: [../common/base.yml]\nservices: {}\n", "/srv/.env": None})
    (project,) = read_projects(sources, ["/srv/compose.yml"])

    assert sources.missing == {"/common/base.yml", "/common/.env"}
    assert project.troubles[0].text() == "/srv/compose.yml:1: names /common/base.yml, which is not there"


def test_the_scan_continues_after_a_bad_file(tmp_path: Path) -> None:
    """A file that is no YAML, one with a bad port and a right one: two troubles with their lines, three ports."""
    tree(
        tmp_path,
        a__composeDOTyml="services: [\n",
        b__composeDOTyml="services:\n  a:\n    ports: ['81:81', 'http:80', '82:82']\n",
    )
    tree(tmp_path, c__composeDOTyml=SERVICE.format(port=80))
    scan = scan_paths([tmp_path])

    troubles = [
        trouble.text().removeprefix(f"{tmp_path}/") for project in scan.projects for trouble in project.troubles
    ]
    assert [text.partition(": ")[0] for text in troubles] == ["a/compose.yml:2", "b/compose.yml:3"]
    assert sum(len(service.ports) for project in scan.projects for service in project.services) == 3


def test_local_files_that_can_not_be_read_are_reported(tmp_path: Path) -> None:
    """Too large, a folder, and a path that is none."""
    (tmp_path / "large").write_bytes(b"x" * (LARGEST_BYTES + 1))
    sources = LocalSources()

    assert sources.read(str(tmp_path / "none")) is None
    for path in (tmp_path / "large", tmp_path):
        with pytest.raises(UnsupportedSyntaxError):
            sources.read(str(path))
    with pytest.raises(UnsupportedSyntaxError, match="no file's name"):
        sources.read("/a\0b")


def test_search_leaves_out_what_is_nobodys_project(tmp_path: Path) -> None:
    """Installed packages and repositories' own folders."""
    tree(tmp_path, composeDOTyml="", node_modules__composeDOTyml="", DOTgit__composeDOTyml="", a__composeDOTyml="")

    assert [str(Path(path).relative_to(tmp_path)) for path in list_compose_files(tmp_path)] == [
        "compose.yml",
        "a/compose.yml",
    ]
    with pytest.raises(InputError, match="not there"):
        scan_paths([tmp_path / "none"])


def test_command_line_of_local_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 when all is well, 1 for two that want one port, an input error for a path that is not there; JSON
    for programs.
    """
    tree(tmp_path, a__composeDOTyml=SERVICE.format(port=80), b__composeDOTyml=SERVICE.format(port="127.0.0.1:80"))

    assert main([str(tmp_path / "a")]) == 0
    assert main([str(tmp_path), "--json"]) == 1
    assert '"who": [\n    "a/a' in capsys.readouterr().out.replace("     ", "   ")
    with pytest.raises(InputError, match="Expected: files or folders"):
        main([str(tmp_path / "none")])
