"""Manifests made inside the toolbox, where the data is."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from engine.errors import CouldNotLookError
from engine.product import LABEL_ROLE, TOOLBOX_IMAGE
from hosts.fleet import Fleet
from hosts.manifest import Manifest

PROGRAM: Final = (Path(__file__).parent / "manifest_program.py").read_bytes()
LONGEST_S: Final = 4 * 3600.0


def read_manifest(fleet: Fleet, host: str, place: str) -> Manifest:
    """Return the manifest of a volume (its name) or of a path of the host; one container, read-only, without network.

    Raises CouldNotLookError when it can't be made.
    """
    kind = "bind" if place.startswith("/") else "volume"
    mount = f"type={kind},source={place},target=/data,readonly"
    argv = [
        "docker",
        "run",
        "--rm",
        "--interactive",
        "--network",
        "none",
        "--log-driver",
        "none",
        "--label",
        f"{LABEL_ROLE}=manifest",
        "--mount",
        mount + (",volume-nocopy" if kind == "volume" else ""),
        TOOLBOX_IMAGE,
        "python3",
        "-",
        "/data",
    ]
    # A program on standard input can't be imported by worker processes; as a file in /tmp it can.
    argv[-3:] = ["sh", "-c", "cat > /tmp/manifest_program.py && exec python3 /tmp/manifest_program.py /data"]
    answer = fleet[host].run(argv, stdin=PROGRAM, timeout_s=LONGEST_S)
    if answer.exit_code:
        raise CouldNotLookError(
            f"{host}: no manifest of {place}: {answer.error_text[-300:]}. Try: ssh {host} {shlex.join(['docker', 'image', 'inspect', TOOLBOX_IMAGE])}"
        )
    return Manifest(host, place, answer.stdout)
