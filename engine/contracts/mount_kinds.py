"""Whether a path inside a container outlives it: which of its mounts lies over the path, and what kind that is."""

from __future__ import annotations

from pathlib import PurePosixPath

from engine.contracts.container import ContainerFacts


def kind_over(container: ContainerFacts, path: str) -> str:
    """Return the kind of the innermost mount over a path: volume, bind or tmpfs; empty when it lies in the container's
    own layer.

    `docker run --tmpfs` is in HostConfig.Tmpfs alone, `--mount type=tmpfs` among the mounts (Docker Engine API,
    ContainerInspect).
    """
    wanted, kinds = PurePosixPath(path), _kinds(container)
    over = [at for at in kinds if wanted.is_relative_to(at)]
    return kinds[max(over, key=lambda at: len(PurePosixPath(at).parts))] if over else ""


def is_kept(container: ContainerFacts, path: str) -> bool:
    """Return whether what lies at a path is still there when the container has stopped and is made anew."""
    return kind_over(container, path) in {"volume", "bind"}


def memory_below(container: ContainerFacts) -> tuple[str, ...]:
    """Return the container paths whose content is in memory only."""
    return tuple(sorted(at for at, kind in _kinds(container).items() if kind == "tmpfs"))


def _kinds(container: ContainerFacts) -> dict[str, str]:
    kinds = {mount.destination: mount.kind for mount in container.mounts}
    return kinds | dict.fromkeys((container.raw.get("HostConfig") or {}).get("Tmpfs") or {}, "tmpfs")
