"""What a move left on its source goes away without its target, which is lost."""

from __future__ import annotations

from typing import Any

import pytest

from actions.common.route import Route
from actions.rollback.clean_source import CleanSource
from engine.contracts.container import CommandResult
from engine.errors import HostLostError, NotObservedError
from engine.verdict import Verdict

LABEL = "lab/redis/1"
KEY_AT = "/run/longshore-copy-lab-redis-1"


class Source:
    """A host that holds helper containers, by role, and directories."""

    name = "wf005"

    def __init__(self) -> None:
        """Hold what a move that stopped after its commit leaves, and a container of another move."""
        self.containers = {"c1": (LABEL, "copy"), "p1": (LABEL, "probe"), "o1": ("lab/n8n/1", "copy")}
        self.directories = {KEY_AT}
        self.docker_answers = True

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float = 0) -> CommandResult:
        """Do what is asked."""
        code, out, error = self._do(argv)
        return CommandResult(tuple(argv), code, out.encode(), error.encode(), 0.1)

    def _do(self, argv: list[str]) -> tuple[int, str, str]:
        if argv[0] == "docker" and not self.docker_answers:
            return 1, "", "Cannot connect to the Docker daemon"
        if argv[:2] == ["docker", "ps"]:
            wanted = {word.partition("=")[2].partition("=")[2] for word in argv if word.startswith("label=")}
            return 0, "\n".join(one for one, marks in self.containers.items() if wanted <= set(marks)), ""
        if argv[:2] == ["docker", "rm"]:
            for one in argv[4:]:
                self.containers.pop(one)
        if argv[0] == "rm":
            self.directories -= set(argv)
        if argv[0] == "ls":
            return (0, argv[-1], "") if argv[-1] in self.directories else (2, "", "No such file or directory")
        return 0, "", ""


class Hosts(dict[str, Any]):
    """The hosts of a run whose target was declared lost."""

    token = None

    def __missing__(self, name: str) -> Any:
        raise HostLostError(f"{name}: not asked: declared lost (its disk burnt)")


def _cleaning() -> tuple[Source, CleanSource]:
    source = Source()
    route = Route(Hosts({"wf005": source}), "redis", "redis", "wf005", "wf001", LABEL)  # type: ignore[arg-type]
    return source, CleanSource(route, ("copy", "replica", "probe"), ("copy", "replica"))


def test_helpers_and_keys_of_the_move_are_removed_without_its_target() -> None:
    """Only this move's go; the lost target is not asked, and a second time finds nothing."""
    source, cleaning = _cleaning()
    assert cleaning.verify({}).verdict is Verdict.FAILED
    cleaning.do({})
    assert source.containers == {"o1": ("lab/n8n/1", "copy")}
    assert source.directories == set()
    assert cleaning.verify({}).passed
    cleaning.do({})


@pytest.mark.parametrize("left", ["container", "key"])
def test_what_is_left_fails(left: str) -> None:
    """A helper container or a key that is still there is named."""
    source, cleaning = _cleaning()
    cleaning.do({})
    if left == "container":
        source.containers["p2"] = (LABEL, "probe")
    else:
        source.directories.add(KEY_AT)
    seen = cleaning.verify({})
    assert seen.verdict is Verdict.FAILED
    assert ("the probe container p2" if left == "container" else "the copy key") in seen.text


def test_no_answer_is_no_pass() -> None:
    """An engine that does not answer is not taken for one without containers."""
    source, cleaning = _cleaning()
    cleaning.do({})
    source.docker_answers = False
    with pytest.raises(NotObservedError, match="could not list containers"):
        cleaning.verify({})
