"""The registry of official images: asked shortly, and not again in a run in which it did not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import docker
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException

from lab.docker_engine import run
from lab.settings import LabError

ASK_S: Final = 8
PULL_S: Final = 600


class Registry:
    """A registry as one run of the lab sees it."""

    def __init__(self, client: Any, say: Callable[[str], None], ask: Callable[[str], str] | None = None) -> None:
        """Take this machine's engine, and how to ask for an image's digest."""
        self.client, self.say = client, say
        self.ask = ask or _ask
        self.silent = False

    def pull(self, reference: str, name: str) -> bool:
        """Pull an official image and keep it under a name of the lab's own; return False when the registry does not
        give it.

        It is pulled by its digest: pulling by its tag would move that tag, which is this machine's user's
        (docs.docker.com/reference/cli/docker/image/pull, "Pull an image by digest").
        """
        if self.silent:
            return False
        try:
            pinned = f"{_repository(reference)}@{self.ask(reference)}"
            self._keep(pinned, name)
        except (LabError, DockerException, RequestException) as error:
            self.silent = True
            self.say(f"registry: does not give {reference} ({_reason(error)}); building from packages")
            return False
        self.say(f"{reference}: pulled")
        return True

    def _keep(self, pinned: str, name: str) -> None:
        was_there = self._is_there(pinned)
        run(["docker", "pull", "--quiet", pinned], deadline_s=PULL_S)
        repository, _, tag = name.rpartition(":")
        self.client.images.get(pinned).tag(repository, tag=tag)
        if not was_there:
            self.client.images.remove(pinned)

    def _is_there(self, pinned: str) -> bool:
        try:
            self.client.images.get(pinned)
        except ImageNotFound:
            return False
        return True


def _reason(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return text.splitlines()[0][:160]


def _ask(reference: str) -> str:
    """Return the digest of an image in its registry."""
    answer = docker.from_env(timeout=ASK_S).api.inspect_distribution(reference)
    return str(answer["Descriptor"]["digest"])


def _repository(reference: str) -> str:
    """Return a reference without its tag; a colon before the last slash belongs to a registry's port."""
    path, slash, last = reference.rpartition("/")
    return path + slash + last.partition(":")[0]
