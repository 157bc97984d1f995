"""The container that reads a volume: named, labelled, and not left behind."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contracts.container import CommandResult
from engine.errors import DeadlineError, NotObservedError
from hosts.manifest.reader import manifest_argv, read_manifest
from tests.fakes.host import FakeHost


class SlowHost(FakeHost):
    """A host on which `docker run` does not end in time."""

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Remember what was asked; end only what is quick."""
        answer = super().run(argv, stdin=stdin, timeout_s=timeout_s)
        if argv[1] == "run":
            raise DeadlineError("wf005: docker run did not end within 14400 s")
        return answer


def asked(host: FakeHost, **given: Any) -> list[list[str]]:
    """Return the commands of one reading."""
    read_manifest({host.name: host}, host.name, "redis_data", **given)  # type: ignore[arg-type]
    return [argv for argv, _ in host.asked]


def test_the_container_says_whose_it_is() -> None:
    """Who finds it with `docker ps` sees the product's name, its role and the move; two at once don't collide."""
    (one,), (other,) = asked(FakeHost("wf005"), move_label="lab/redis/1"), asked(FakeHost("wf005"))
    name, others = one[one.index("--name") + 1], other[other.index("--name") + 1]

    assert name.startswith("longshore-manifest-")
    assert name != others
    assert "longshore.move=lab/redis/1" in one
    assert "longshore.role=manifest" in one
    assert not any(word.startswith("longshore.move") for word in other)


def test_it_only_reads() -> None:
    """A volume is mounted read-only and not filled from the image; a path as it is; no network."""
    volume, bind = manifest_argv("n", "redis_data", ""), manifest_argv("n", "/srv/redis", "")

    assert "type=volume,source=redis_data,target=/data,readonly,volume-nocopy" in volume
    assert "type=bind,source=/srv/redis,target=/data,readonly" in bind
    assert volume[volume.index("--network") + 1] == "none"


def test_one_that_does_not_end_is_removed() -> None:
    """It would keep reading the disk of a service that people wait for."""
    host = SlowHost("wf005")

    with pytest.raises(DeadlineError, match="did not end within"):
        asked(host)

    run, remove = (argv for argv, _ in host.asked)
    assert remove == ["docker", "rm", "--force", run[run.index("--name") + 1]]


def test_a_failure_is_reported_with_a_command() -> None:
    """The volume, what Docker said, and where to look."""
    with pytest.raises(
        NotObservedError,
        match=(
            r"wf005: no manifest of redis_data: no such image. Try: ssh wf005 docker image inspect "
            r"longshore/toolbox:1"
        ),
    ):
        asked(FakeHost("wf005", {"docker run": (125, "", "no such image")}))
