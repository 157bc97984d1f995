"""A host's recorded answer becomes facts; what was not answered is never taken for "nothing there"."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from engine.errors import NotObservedError
from hosts.facts.gather import SCRIPT, gather_facts
from hosts.facts.model import HostFacts, ListeningSocket
from hosts.facts.parse import parse_clock, parse_facts, parse_file_systems, parse_sections, parse_sockets
from tests.fakes.host import FakeHost

RECORDED: Final = (Path(__file__).parents[3] / "recorded" / "facts" / "wf005.txt").read_text(encoding="utf-8")
MARK: Final = "==recorded=="
CLOCK: Final = (1767225600.0, 1767225600.5)
ASKED: Final[dict[str, Callable[[HostFacts], object]]] = {
    "containers": lambda facts: facts.container("redis"),
    "images": lambda facts: facts.image_for("redis:8"),
    "volumes": lambda facts: facts.volume("redis_data"),
    "networks": lambda facts: facts.need_docker(),
}
DOCKERS: Final = ("info", "containers", "images", "volumes", "networks", "sizes")


def parsed(output: str = RECORDED, our_clock: tuple[float, float] = CLOCK) -> HostFacts:
    """Return the facts of an answer."""
    return parse_facts("wf005", output, MARK, gathered_at=datetime(2026, 1, 1, tzinfo=UTC), our_clock=our_clock)


def answered(name: str, text: str, status: int = 0, error: str = "") -> str:
    """Return the recorded answer with one section replaced."""
    section = f"{MARK} begin {name}\n{text}\n\n{MARK} end {name} {status} {error}"
    return re.sub(rf"{MARK} begin {name}\n.*?{MARK} end {name} [^\n]*", lambda _: section, RECORDED, flags=re.DOTALL)


def without(*names: str) -> str:
    """Return the recorded answer without some sections."""
    output = RECORDED
    for name in names:
        output = re.sub(rf"{MARK} begin {name}\n.*?{MARK} end {name} [^\n]*\n", "", output, flags=re.DOTALL)
    return output


def test_a_host_is_read_whole() -> None:
    """System, memory, clock and engine are those that the host reported."""
    facts = parsed()

    assert (facts.kernel, facts.architecture, facts.os_name) == (
        "Linux 6.1.0-38-amd64",
        "x86_64",
        "Debian GNU/Linux 12 (bookworm)",
    )
    assert (facts.machine_id, facts.lab, facts.cpus, facts.load_1m) == (
        "0123456789abcdef0123456789abcdef",
        False,
        2,
        0.2,
    )
    assert (facts.memory_total_bytes, facts.memory_available_bytes) == (24684084 * 1024, 23773760 * 1024)
    assert (facts.docker_version, facts.docker_error, facts.storage_driver) == ("26.1.5", "", "overlay2")
    assert facts.compose_projects == ("shop",)


def test_containers_are_read_whole() -> None:
    """State, mounts, networks, ports and environment, also of a container that has next to nothing."""
    redis, batch = parsed().containers

    assert (redis.name, redis.state, redis.health, redis.restart_policy, redis.running) == (
        "redis",
        "running",
        "healthy",
        "unless-stopped",
        True,
    )
    assert [(mount.kind, mount.source, mount.read_only) for mount in redis.mounts] == [
        ("volume", "redis_data", False), ("bind", "/srv/redis.conf", True), ("volume", "e" * 64, False),
    ]  # fmt: skip
    assert redis.networks["shop"][1:] == ("redis", "cache")
    assert redis.published == (("192.0.2.5", 6379, 6379, "tcp"),)
    assert redis.env == {"REDIS_PASSWORD": "made-up-password", "PATH": "/bin", "EMPTY": ""}
    assert (batch.exit_code, batch.restart_policy, batch.env, batch.mounts, batch.networks) == (
        137,
        "no",
        {},
        (),
        {"bridge": ()},
    )


def test_a_containers_environment_is_not_printed() -> None:
    """Facts stand in error messages and debuggers; the environment holds passwords."""
    assert "made-up-password" not in repr(parsed())
    assert "made-up-password" not in repr(parsed().containers[0])


def test_images_volumes_and_networks_are_read() -> None:
    """Missing tags, labels, options and subnets are empty, not an error."""
    facts = parsed()

    assert [image.tags for image in facts.images] == [("redis:8",), ()]
    assert facts.image_for("redis:8") is facts.images[0]
    assert facts.image_for("redis:7") is None
    assert [(volume.name, volume.size_bytes) for volume in facts.volumes] == [
        ("redis_data", 20480 * 1024),
        ("nfs", None),
    ]
    assert [network.subnets for network in facts.networks] == [("172.20.0.0/16", "fd00::/64"), ()]
    assert (facts.bind_size("/srv/with a space"), facts.bind_size("/srv/none")) == (8192, None)


def test_file_systems_with_spaces_and_without_figures() -> None:
    """A mount point may hold spaces; one without figures is left out; unknown inodes are 0."""
    facts = parsed()

    assert [fs.mount for fs in facts.file_systems] == ["/dev", "/", "/var/lib/docker", "/mnt/old backups"]
    old = facts.file_systems[3]
    assert (old.size_bytes, old.free_bytes, old.inodes, old.inodes_free) == (524288 * 1024, 262144 * 1024, 0, 0)


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/var/lib/docker/volumes/x", "/var/lib/docker"),
        ("/var/lib/dockerx", "/"),
        ("/mnt/old backups/a", "/mnt/old backups"),
        ("/", "/"),
    ],
)
def test_a_path_lies_on_the_nearest_mount(path: str, mount: str) -> None:
    """The longest mount point wins, at whole components only."""
    found = parsed().file_system_of(path)

    assert found is not None
    assert found.mount == mount


def test_file_systems_of_devices_with_spaces() -> None:
    """A share may be called "//nas/old things"; its size counts."""
    table = "Filesystem 1024-blocks Used Available Capacity Mounted on\n//nas/old things 1000 400 600 40% /mnt/nas\n"

    assert [fs.mount for fs in parse_file_systems(table, table)] == ["/mnt/nas"]


def test_what_holds_nothing_is_no_file_system_and_the_upper_mount_counts() -> None:
    """`df -a` lists /proc with 0 blocks, and both of two that are mounted on one point, the upper one last."""
    table = (
        "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        "proc 0 0 0 - /proc\n/dev/sda 1000 400 600 40% /data\n/dev/sdb 50 40 10 80% /data\n/dev/sda - - - - /data\n"
    )

    assert [(fs.mount, fs.device, fs.free_bytes) for fs in parse_file_systems(table, "")] == [
        ("/data", "/dev/sdb", 10 * 1024)
    ]


def test_sockets_of_both_families_are_read() -> None:
    """IPv6, wildcards, zones, UDP, processes with a space, and sockets of nobody known."""
    assert parsed().listening == (
        ListeningSocket("udp", "127.0.0.53", 53, "systemd-resolve"),
        ListeningSocket("udp", "fe80::5054:ff:fe12:3456", 546, "systemd-network"),
        ListeningSocket("tcp", "0.0.0.0", 6379, "docker-proxy"),  # noqa: S104 compared, never bound
        ListeningSocket("tcp", "::", 22, "sshd"),
        ListeningSocket("tcp", "*", 8080, "my app"),
        ListeningSocket("tcp", "127.0.0.1", 2024, ""),
    )
    assert parse_sockets("") == parse_sockets("Netid State\n") == ()


def test_sockets_that_were_not_read_are_not_known() -> None:
    """A host without `ss` has no free ports to report."""
    facts = parsed(answered("sockets", "", 127, "timeout: failed to run command ss"))

    with pytest.raises(
        NotObservedError, match=r"wf005: its listening sockets could not be read .* Try: ssh wf005 ss -Hltnup"
    ):
        facts.need_sockets()
    parsed().need_sockets()


@pytest.mark.parametrize(
    ("first", "last", "offset", "uncertainty"),
    [
        ("1767225600.1", "1767225600.4", 0.0, 0.1),  # both ends are 0.1 s away from ours
        ("1767225590.1", "1767225590.4", -10.0, 0.1),
        ("1767225603.1", "1767225603.4", 3.0, 0.1),
        ("1767225600.25", "1767225600.25", 0.0, 0.25),  # it printed both at once: anything within the trip is possible
        ("1767225600.25", "", 0.0, 0.25),
        ("", "1767225600.25", 0.0, 0.25),
        ("1767225600.%N", "1767225600.%N", 0.25, 0.75),  # busybox: whole seconds
        ("1767225600", "1767225600", 0.25, 0.75),
        ("", "", None, 0.0),
        ("date: invalid option", "date: invalid option", None, 0.0),
    ],
)
def test_the_clock_is_read_at_both_ends_of_the_trip(
    first: str, last: str, offset: float | None, uncertainty: float
) -> None:
    """The offset has its uncertainty; a clock that could not be read has none, not 0."""
    seen, give_or_take = parse_clock(first, last, CLOCK)

    assert seen == (None if offset is None else pytest.approx(offset, abs=1e-5))
    assert give_or_take == pytest.approx(uncertainty, abs=1e-5)


def test_the_script_asks_the_time_first_and_last() -> None:
    """Between them lies everything that takes long: only the ways there and back are uncertain."""
    sections = re.findall(r"^ *(?:section|quick|start) (\w+)", SCRIPT.decode(), flags=re.MULTILINE)

    assert (sections[0], sections[-1]) == ("clock_first", "clock_last")
    assert (parsed().clock_offset_s, parsed().clock_uncertainty_s) == (
        pytest.approx(0.0, abs=1e-5),
        pytest.approx(0.1, abs=1e-5),
    )


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (answered("docker", "", 127, "sh: docker: not found"), "sh: docker: not found"),
        (
            answered("docker", '{"Client":{}}', 1, "permission denied on /var/run/docker.sock"),
            "permission denied on /var/run/docker.sock",
        ),
        (answered("docker", "", 124), "no answer in time"),
        (answered("docker", "", 1), "exit status 1"),
    ],
)
def test_an_engine_that_does_not_answer_has_no_containers_to_list(output: str, reason: str) -> None:
    """No answer is not "no container": asking for one raises with the reason."""
    cut = output
    for name in DOCKERS:
        cut = re.sub(rf"{MARK} begin {name}\n.*?{MARK} end {name} [^\n]*\n", "", cut, flags=re.DOTALL)
    facts = parsed(cut)

    assert (facts.docker_version, facts.docker_error) == ("", reason)
    for ask in (facts.container, facts.volume, facts.image_for):
        with pytest.raises(
            NotObservedError,
            match=re.escape(f"wf005: its Docker Engine does not answer ({reason}). Try: ssh wf005 docker version"),
        ):
            ask("redis")


def test_an_engine_without_containers_says_so() -> None:
    """Nothing printed and status 0 is an answer: there is none."""
    facts = parsed(answered("containers", ""))

    assert facts.containers == ()
    assert facts.container("redis") is None


@pytest.mark.parametrize("name", list(ASKED))
def test_a_list_that_was_not_answered_is_not_an_empty_one(name: str) -> None:
    """Docker timed out on one list: names there are not free, containers not absent, we do not know."""
    with pytest.raises(NotObservedError):
        ASKED[name](parsed(answered(name, "", 124)))


def test_a_container_that_vanished_hides_no_other() -> None:
    """`docker inspect` answers status 1 and lists all that are there: a toolbox that just ended must not make redis
    absent.
    """
    others = parse_sections(RECORDED, MARK)["containers"].text
    facts = parsed(answered("containers", others, 1, "Error: No such object: 0123abcd"))

    assert [container.name for container in facts.containers] == ["redis", "batch"]


@pytest.mark.parametrize(
    "error",
    [
        "Error: No such object: 0123abcd Error: No such object: 4567",
        "error: no such object: 0123abcd",
        "Error response from daemon: get shop_tmp: no such volume: shop_tmp",
        "Error response from daemon: network shop_old not found",
        "Error response from daemon: No such image: sha256:0123",
    ],
)
def test_every_engines_words_for_vanished_are_known(error: str) -> None:
    """The command's words changed over the years; each still leaves a whole list of what is there."""
    assert parsed(answered("volumes", "[]", 1, error)).docker_error == ""


def test_another_error_next_to_a_vanished_one_is_no_whole_list() -> None:
    """Who knows what the engine did not list: the text gives the reason."""
    facts = parsed(
        answered("volumes", "[]", 1, "Error: No such object: 0123abcd Error response from daemon: i/o timeout")
    )

    with pytest.raises(
        NotObservedError, match="its volumes: Error: No such object: 0123abcd Error response from daemon: i/o timeout"
    ):
        facts.volume("redis_data")


def test_a_section_that_never_came_is_no_answer() -> None:
    """An answer that was cut off before its networks says nothing about them."""
    with pytest.raises(NotObservedError, match="its networks: not asked"):
        parsed(without("networks")).need_docker()


def test_the_script_hands_on_the_failure_of_a_list() -> None:
    """`ids=$(docker ps) ; [ -z "$ids" ]` would take a list that failed for an empty one."""
    lines = [
        line for line in SCRIPT.decode().splitlines() if re.search(r"start (containers|images|volumes|networks) ", line)
    ]

    assert [line.split()[1] for line in lines] == ["containers", "images", "volumes", "networks"]
    assert all(") || exit; [ -z" in line for line in lines)


def test_an_answer_that_is_no_json_could_not_be_read() -> None:
    """A broken answer names the host and a command to look with."""
    with pytest.raises(NotObservedError, match=r"wf005: Docker's answer is not JSON .* Try: ssh wf005 docker info"):
        parsed(answered("containers", "[{"))


def test_a_section_that_holds_another_marks_words_is_not_cut() -> None:
    """The mark is random per trip, so what a host prints can't end a section."""
    sections = parse_sections(f"{MARK} begin os\n==other== end os 0\n\n{MARK} end os 0 warned\n", MARK)

    assert (sections["os"].text, sections["os"].status, sections["os"].error) == ("==other== end os 0\n", 0, "warned")


def test_a_trip_without_an_answer_is_reported_with_a_command() -> None:
    """A shell that fails, or prints something else (a banner), is no facts."""
    for host in (
        FakeHost("wf005", {"sh": (1, "", "sh: mktemp: not found")}),
        FakeHost("wf005", {"sh": (0, "Welcome!", "")}),
    ):
        with pytest.raises(NotObservedError, match=r"wf005: facts could not be gathered: .* Try: ssh wf005 docker ps"):
            gather_facts(host)
