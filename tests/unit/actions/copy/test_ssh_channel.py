"""The temporary key can do one thing, from one address, until one moment; leftovers can be found."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from actions.common.route import Route
from actions.common.toolbox import ToolboxMount, toolbox_argv
from actions.container.target import free_ipam
from actions.copy import endpoints
from actions.copy.endpoints import CONFINE, LIFE_S, RENEW_S, WRITES, CopyEndpoints, taking_end
from actions.copy.locations import DataPlace, check_depth, places_to_copy
from actions.copy.ssh_channel import (
    Peer,
    authorized_line,
    expiry_of,
    extend_channel,
    key_comment,
    key_directory,
    open_channel,
    shell_line,
)
from actions.copy.verification import choose_algorithm
from actions.images.ship import apply_tag, compressed, split_reference
from checks.containers.name_conflicts import PathFacts
from engine.contracts.container import CommandResult, MountFacts
from engine.errors import ActionError, LockLostError, RefusedError, UnreachableError
from hosts.coordination.fencing import FENCED, NOT_OURS
from hosts.coordination.lock import LOST
from tests.fakes.facts import LABEL
from tests.fakes.host import FakeHost

PEER = Peer("wf001", "192.0.2.1", "ssh-ed25519 AAAAhostkey comment")


def test_key_line_forbids_everything_but_one_command() -> None:
    """restrict, from, expiry and command, quotes of the command escaped."""
    line = authorized_line("ssh-ed25519 AAAA longshore:copy", 'docker run "a b"', "192.0.2.5", "20260102030405")
    assert line == (
        'restrict,from="192.0.2.5",expiry-time="20260102030405",command="docker run \\"a b\\"" ssh-ed25519 '
        "AAAA longshore:copy\n"
    )


def test_expiry_is_in_the_targets_own_time_zone() -> None:
    """Sshd reads a time without suffix in the system's zone; 3600 s after 1970-01-01 00:00 UTC, in +05:30."""
    assert expiry_of("0 +0000\n", 3600) == "19700101010000"
    assert expiry_of("0 +0530", 3600) == "19700101063000"
    assert expiry_of("86400 -0300", 0) == "19700101210000"


def test_host_key_is_pinned_with_its_port() -> None:
    """known_hosts in the form that ssh looks up."""
    assert PEER.known_hosts() == "192.0.2.1 ssh-ed25519 AAAAhostkey\n"
    assert Peer("h", "192.0.2.1", "ssh-ed25519 A", port=2222).known_hosts().startswith("[192.0.2.1]:2222 ")


class FakeFleet(dict[str, FakeHost]):
    """Hosts without a lock."""

    token: str | None = None


def make_fleet(source: FakeHost, target: FakeHost) -> Any:
    """Return a fleet of two."""
    return FakeFleet({"wf005": source, "wf001": target})


def open_fake(source: FakeHost, target: FakeHost) -> Any:
    """Open a channel for a copy."""
    return open_channel(
        make_fleet(source, target), "wf005", PEER, move_label=LABEL, purpose="copy", forced_command="rrsync", valid_s=60
    )


def answering() -> tuple[FakeHost, FakeHost]:
    """Return a source that makes a key and a target with a clock."""
    source = FakeHost("wf005", {"ssh-keygen": (0, f"ssh-ed25519 AAAA {key_comment(LABEL, 'copy')}\n", "")})
    return source, FakeHost("wf001", {"date": (0, "0 +0000\n", "")})


def test_key_is_removed_on_both_ends_also_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens inside: the last word to each end removes the key."""
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)
    source, target = answering()
    with pytest.raises(ZeroDivisionError), open_fake(source, target):
        _ = 1 / 0
    comment = key_comment(LABEL, "copy")
    assert target.asked[-1][0][-1] == comment
    assert target.asked[-1][1] == b""
    assert source.asked[-1][0][:3] == ["rm", "-rf", "--"]
    assert source.asked[-1][0][-1] == key_directory(LABEL, "copy")


def test_private_key_never_leaves_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the target gets on stdin is the public line only; the source gets the pinned host key."""
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)
    source, target = answering()
    with open_fake(source, target) as channel:
        assert "StrictHostKeyChecking=yes" in channel.ssh()
    written = [stdin for _, stdin in target.asked if stdin]
    assert len(written) == 1
    assert written[0].startswith(b'restrict,from="192.0.2.5"')
    assert PEER.known_hosts().encode() in [stdin for _, stdin in source.asked]


def test_key_that_is_no_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error text must not land in authorized_keys."""
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)
    with pytest.raises(ActionError, match="ed25519"), open_fake(FakeHost("wf005"), FakeHost("wf001")):
        pass


def test_toolbox_is_named_labelled_and_without_network() -> None:
    """Nothing runs anonymously; a volume's image content is never copied into it."""
    argv = toolbox_argv(["ls"], move_label=LABEL, role="copy", name="n", mounts=[ToolboxMount("volume", "v", "/data")])
    assert argv[:3] == ["docker", "run", "--rm"]
    assert "longshore.move=lab/redis/1" in argv
    assert argv[argv.index("--network") + 1] == "none"
    assert "type=volume,source=v,target=/data,volume-nocopy" in argv


def test_path_that_breaks_the_mount_syntax_is_refused() -> None:
    """A comma would smuggle in another option."""
    with pytest.raises(RefusedError, match="comma"):
        ToolboxMount("bind", "/srv/a,readonly=false", "/data").flag()


@pytest.mark.parametrize("path", ["/", "/srv", "/srv/../etc/x"])
def test_path_near_the_root_is_never_copied_over(path: str) -> None:
    """--delete into /srv would be a disaster."""
    with pytest.raises(RefusedError, match="too near the root"):
        check_depth("wf001", path)
    check_depth("wf001", "/srv/data")


def test_only_mounts_with_rule_copy_are_copied_once() -> None:
    """same_on_target, drop and tmpfs stay; one volume at two paths is one place."""
    mounts = (
        MountFacts("volume", "v", "/a", read_only=False),
        MountFacts("volume", "v", "/b", read_only=True),
        MountFacts("bind", "/etc/localtime", "/etc/localtime", read_only=True),
        MountFacts("tmpfs", "", "/tmp", read_only=False),
    )
    rules = {"/a": "copy", "/b": "copy", "/etc/localtime": "same_on_target", "/tmp": "copy"}
    assert places_to_copy(mounts, rules) == (DataPlace("volume", "v"),)


def test_overlapping_subnet_is_left_to_docker() -> None:
    """Same subnet unless the target uses it."""
    ipam = {"Driver": "default", "Config": [{"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.1"}]}
    assert free_ipam(ipam, ["172.17.0.0/16"]) == ipam
    assert free_ipam(ipam, ["172.20.5.0/24"]) is None
    assert free_ipam({"Config": []}, []) is None


def test_tag_of_somebody_else_is_left_alone() -> None:
    """The container is created by id anyway."""
    tagged: list[tuple[str, str, str]] = []
    api = SimpleNamespace(
        images=lambda name: [{"Id": "sha256:other"}] if name == "taken:1" else [],
        tag=lambda image, repository, tag, force: tagged.append((image, repository, tag)),
    )
    note: dict[str, Any] = {}
    apply_tag(api, "taken:1", "sha256:mine", note)
    apply_tag(api, "registry:5000/a/b", "sha256:mine", note)
    apply_tag(api, "sha256:mine", "sha256:mine", note)
    assert tagged == [("sha256:mine", "registry:5000/a/b", "latest")]
    assert "taken:1" in note["tag_not_applied"]
    assert split_reference("a/b:2") == ("a/b", "2")


def test_toolbox_stream_is_gzip() -> None:
    """Docker load reads gzip as it is."""
    import gzip  # noqa: PLC0415

    assert gzip.decompress(b"".join(compressed([b"a" * 1000, b"b"]))) == b"a" * 1000 + b"b"


def test_places_have_an_order_of_their_own() -> None:
    """Docker lists mounts in any order, and each place has a number in the copy: two readings must number
    them alike.
    """
    mounts = tuple(
        MountFacts(kind, source, at, read_only=False)
        for kind, source, at in (("volume", "data", "/d"), ("bind", "/srv/c", "/c"))
    )
    rules = {"/d": "copy", "/c": "copy"}

    assert places_to_copy(mounts, rules) == places_to_copy(mounts[::-1], rules)


def test_ends_with_other_places_have_another_name() -> None:
    """Ends of a copy that number the places otherwise are never taken for these: one place would be copied over
    another.
    """
    here, there = DataPlace("volume", "data"), DataPlace("bind", "/srv/c")
    fleet: Any = SimpleNamespace()
    route, peer = (
        Route(fleet, "redis", "redis", "wf005", "wf001", LABEL),
        Peer("wf001", "192.0.2.11", "ssh-ed25519 AAAA"),
    )

    names = {
        CopyEndpoints(route, places, peer, lambda place, kinds: None).name for places in ((here, there), (there, here))
    }

    assert len(names) == 2


@pytest.mark.parametrize(
    ("code", "said", "asked"),
    [
        (
            126,
            (
                "OCI runtime exec failed: exec failed: waiting for init preliminary setup: read init-p: "
                "connection reset by peer"
            ),
            2,
        ),
        (126, 'OCI runtime exec failed: exec: "python3": executable file not found', 1),
        (1, "OCI runtime exec failed: init preliminary setup, said a program", 1),
    ],
)
def test_a_command_that_was_never_begun_is_begun_again(
    monkeypatch: pytest.MonkeyPatch, code: int, said: str, asked: int
) -> None:
    """A container that has only just started may refuse its first command; whatever ran is not run twice."""
    monkeypatch.setattr("hosts.docker.exec.NOT_BEGUN_S", 0.0)
    answers = [CommandResult(("sh",), code, said.encode(), b"", 0.1), CommandResult(("sh",), 0, b"done", b"", 0.1)]
    host = SimpleNamespace(run=lambda *_words, **_more: answers.pop(0))
    fleet: Any = {"wf005": host, "wf001": host}
    route, peer = (
        Route(fleet, "redis", "redis", "wf005", "wf001", LABEL),
        Peer("wf001", "192.0.2.11", "ssh-ed25519 AAAA"),
    )
    ends = CopyEndpoints(route, (DataPlace("volume", "data"),), peer, lambda place, kinds: None)

    if asked == 1:
        with pytest.raises(ActionError, match="OCI runtime exec failed"):
            ends.inside("wf001", ["sh"], stdin=b"x")
    else:
        assert ends.inside("wf001", ["sh"], stdin=b"x").text == "done"
    assert len(answers) == 2 - asked


def test_ends_are_looked_at_again_only_when_something_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process opened itself holds nothing of a killed run: asking both hosts in the outage would only cost
    time.
    """
    looked: list[str] = []
    monkeypatch.setattr(CopyEndpoints, "_strays", lambda _self, host: looked.append(host))
    monkeypatch.setattr(CopyEndpoints, "_adopted", lambda self: self._strays("both") is None)
    answers = [CommandResult(("sh",), code, b"", b"", 0.1) for code in (0, 1)]
    fleet: Any = {"wf005": SimpleNamespace(run=lambda *_words, **_more: answers.pop(0))}
    route, peer = (
        Route(fleet, "redis", "redis", "wf005", "wf001", LABEL),
        Peer("wf001", "192.0.2.11", "ssh-ed25519 AAAA"),
    )
    ends = CopyEndpoints(route, (DataPlace("volume", "data"),), peer, lambda place, kinds: None)

    monkeypatch.setattr(CopyEndpoints, "renew", lambda _self, **_more: None)
    assert [ends.open(), ends.open()] == [True, True]
    ends.inside("wf005", ["sh"], stdin=b"x")
    assert (ends.open(), looked) == (True, ["both"])
    with pytest.raises(ActionError):
        ends.inside("wf005", ["sh"], stdin=b"x")
    assert (ends.open(), looked) == (True, ["both", "both"])


def test_a_run_that_lost_its_lock_ends_nothing_in_the_ends_of_a_copy() -> None:
    """The next run of the move has the same ends: what ends strays there, prolongs or sets up an end is refused by the
    host.
    """

    def refuse(argv: list[str], **_more: Any) -> CommandResult:
        asked.append(argv)
        return CommandResult(tuple(argv), LOST, b"", f"{NOT_OURS} \n".encode(), 0.1)

    class Hosts(dict[str, Any]):
        token = "ana"

    asked: list[list[str]] = []
    fleet: Any = Hosts({name: SimpleNamespace(run=refuse) for name in ("wf005", "wf001")})
    route, peer = (
        Route(fleet, "redis", "redis", "wf005", "wf001", LABEL),
        Peer("wf001", "192.0.2.11", "ssh-ed25519 AAAA"),
    )
    ends = CopyEndpoints(route, (DataPlace("volume", "data"),), peer, lambda place, kinds: None)

    for changing in (ends.open, ends.renew, lambda: choose_algorithm(ends, None)):
        with pytest.raises(LockLostError):
            changing()
    assert all(argv[:3] == ["sh", "-c", FENCED] and "ana" in argv for argv in asked)


def test_a_command_of_several_lines_never_reaches_authorized_keys() -> None:
    """What the ends of a copy are given has one line; anything else is refused before it is written."""
    assert "from=" in authorized_line(
        "ssh-ed25519 AAAA", shell_line(taking_end("longshore-copy")), "192.0.2.15", "20260101000000"
    )
    with pytest.raises(ActionError, match="several lines"):
        authorized_line("ssh-ed25519 AAAA", "true\nssh-ed25519 BBBB", "192.0.2.15", "20260101000000")


def test_what_a_copy_sends_is_taken_without_any_right_that_a_copy_does_not_need() -> None:
    """All but the places is read-only, nothing below them runs or is a device, and the other rights are gone before a
    byte is read.
    """
    script = taking_end("longshore-copy")[2]
    command = shell_line(taking_end("longshore-copy"))

    assert "\n" not in command
    assert "unshare --mount" in script
    assert CONFINE.index("nodev,nosuid,noexec") < CONFINE.index("setpriv --no-new-privs") < CONFINE.index("rrsync -wo")
    assert "+chown,+dac_override,+fowner,+fsetid,+mknod,+setfcap" in script
    assert "sys_admin" not in script
    assert "sys_admin" in taking_end("longshore-copy", own_attributes=True)[2]
    assert "SYS_ADMIN" not in WRITES


def _ends(source: FakeHost, target: FakeHost) -> CopyEndpoints:
    route = Route(make_fleet(source, target), "redis", "redis", "wf005", "wf001", LABEL)
    return CopyEndpoints(route, (DataPlace("volume", "data"),), PEER, lambda place, kinds: None)


def test_both_ends_are_closed_containers() -> None:
    """Nobody writes to their root, they have the rights that they need and no others, and their places are read-only on
    the source.
    """
    source, target = FakeHost("wf005"), FakeHost("wf001")
    ends = _ends(source, target)
    for host in ("wf005", "wf001"):
        ends._start(host)

    for host, writes in ((source, False), (target, True)):
        argv = host.asked[-1][0]
        assert {"--read-only", "no-new-privileges", "--cap-drop"} <= set(argv)
        rights = {word for before, word in itertools.pairwise(argv) if before == "--cap-add"}
        assert rights == {"DAC_OVERRIDE", "SYS_ADMIN", "KILL", "SETPCAP", *(WRITES if writes else ())}
        mounts = [word for word in argv if "target=/data/" in word]
        assert [("readonly" in mount) for mount in mounts] == [not writes]


def test_of_a_single_file_the_target_gives_that_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory may be /etc: a key that can write next to the file could write what the whole host reads."""
    kinds = {"/etc/redis.conf": PathFacts("/etc/redis.conf", "file", occupied=True, marker="")}
    monkeypatch.setattr(CopyEndpoints, "kinds", kinds)
    source, target = FakeHost("wf005"), FakeHost("wf001")
    route = Route(make_fleet(source, target), "redis", "redis", "wf005", "wf001", LABEL)
    ends = CopyEndpoints(route, (DataPlace("bind", "/etc/redis.conf"),), PEER, lambda place, kinds: None)
    for host in ("wf005", "wf001"):
        ends._start(host)

    assert "type=bind,source=/etc,target=/data/0,readonly" in source.asked[-1][0]
    assert "type=bind,source=/etc/redis.conf,target=/data/0/redis.conf" in target.asked[-1][0]
    assert not [word for word in target.asked[-1][0] if word.startswith("type=bind,source=/etc,")]


def test_a_key_lives_on_without_another_one_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same public key with a later end replaces its own line; the lock is tested before, and a run that lost it
    extends nothing.
    """
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)
    comment = key_comment(LABEL, "copy")
    source = FakeHost("wf005", {"id.pub": (0, f"ssh-ed25519 AAAA {comment}\n", "")})
    target = FakeHost("wf001", {"date": (0, "0 +0000\n", "")})

    extend_channel(
        make_fleet(source, target),
        "wf005",
        PEER,
        move_label=LABEL,
        purpose="copy",
        forced_command="rrsync",
        valid_s=3600,
    )

    argv, stdin = target.asked[-1]
    assert argv[-1] == comment
    assert b'expiry-time="19700101010000"' in stdin
    assert not any("ssh-keygen" in " ".join(argv) for argv, _ in source.asked)

    def lost(*_: Any, **__: Any) -> None:
        raise LockLostError("wf001: the lock of this run is gone")

    monkeypatch.setattr("actions.common.route.append_audit", lost)
    asked = len(target.asked)
    with pytest.raises(LockLostError):
        extend_channel(
            make_fleet(source, target),
            "wf005",
            PEER,
            move_label=LABEL,
            purpose="copy",
            forced_command="rrsync",
            valid_s=3600,
        )
    assert len(target.asked) == asked


def test_ends_that_are_there_get_their_whole_life_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the last copy, in the outage, a copy that took six hours has ends and a key that live for six more; asked
    once, not each time.
    """
    now = [100.0]
    monkeypatch.setattr(endpoints.time, "monotonic", lambda: now[0])
    extended: list[dict[str, Any]] = []
    monkeypatch.setattr(endpoints, "extend_channel", lambda *_, **more: extended.append(more))
    monkeypatch.setattr(CopyEndpoints, "_adopted", lambda _self: True)
    monkeypatch.setattr(
        CopyEndpoints, "inside", lambda _self, host, argv, **_: CommandResult(tuple(argv), 0, b"no", b"", 0.1)
    )
    ends = _ends(FakeHost("wf005"), FakeHost("wf001"))

    assert [ends.open(), ends.open()] == [True, True]
    assert [more["valid_s"] for more in extended] == [LIFE_S]
    now[0] += RENEW_S + 1
    ends.open()
    assert len(extended) == 2


@pytest.mark.parametrize("lives", [True, False])
def test_ends_that_died_of_age_are_made_anew(monkeypatch: pytest.MonkeyPatch, lives: bool) -> None:
    """Nobody renewed them for six hours: the last copy finds none and makes them, which costs time but no move; another
    failure stays one.
    """
    asked: list[str] = []

    def renew(_self: CopyEndpoints, **_: Any) -> None:
        if not asked:
            raise ActionError("wf005: no such container")

    monkeypatch.setattr(CopyEndpoints, "renew", renew)
    monkeypatch.setattr(CopyEndpoints, "runs", lambda _self, _host: lives)
    monkeypatch.setattr(CopyEndpoints, "remove", lambda _self: asked.append("remove"))
    monkeypatch.setattr(CopyEndpoints, "_start", lambda _self, host: asked.append(host))
    monkeypatch.setattr(CopyEndpoints, "_needs_own_attributes", lambda _self: False)
    monkeypatch.setattr(endpoints, "make_channel", lambda *_, **__: asked.append("key"))
    ends = _ends(FakeHost("wf005"), FakeHost("wf001"))
    ends._ours.add("wf005")

    if lives:
        with pytest.raises(ActionError, match="no such container"):
            ends.open()
    else:
        assert not ends.open()
        assert asked[:2] == ["remove", "key"]
        assert sorted(asked[2:]) == ["wf001", "wf005"]


def test_a_long_copy_renews_its_ends_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a pass takes, its key and its containers outlive it; a host that does not answer once does not end
    it, a lost lock does.
    """
    renewed: list[str] = []
    answers: list[Exception | None] = [None, UnreachableError("wf001: no answer"), None, LockLostError("wf001: gone")]
    left = [{"pass"}, {"pass"}, {"pass"}, {"pass"}]

    def renew(_self: CopyEndpoints, **_: Any) -> None:
        renewed.append("renewed")
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(CopyEndpoints, "renew", renew)
    monkeypatch.setattr(endpoints, "wait", lambda _jobs, timeout: (set(), left.pop(0)))
    jobs: Any = ["pass"]
    with pytest.raises(LockLostError):
        _ends(FakeHost("wf005"), FakeHost("wf001")).outlive(jobs)
    assert len(renewed) == 4


def test_everything_written_is_flushed_by_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncfs of every written place on the target, and its refusal is an error."""
    asked: list[tuple[str, tuple[str, ...]]] = []

    def inside(_self: CopyEndpoints, host: str, argv: list[str], **_: Any) -> None:
        asked.append((host, tuple(argv)))
        raise ActionError("wf001: run sync failed: Input/output error")

    monkeypatch.setattr(CopyEndpoints, "inside", inside)
    with pytest.raises(ActionError, match="Input/output error"):
        _ends(FakeHost("wf005"), FakeHost("wf001")).flush()
    assert asked == [("wf001", ("sync", "--file-system", "--", "/data/0"))]
