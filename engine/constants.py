"""The product's names on hosts, in labels, in signatures and in the environment, in one place."""

from __future__ import annotations

from typing import Final

NAME: Final = "longshore"
VERSION: Final = "0.1.0"

HOST_STATE_DIR: Final = f"/var/lib/{NAME}"
"""On every host a run touches: audit log, saved container specifications (root, 0700)."""

LAB_MARKER: Final = f"/etc/{NAME}-lab"
"""Present on lab hosts only: `--lab` refuses a host without it, everything else a host with it."""

LABEL_MOVE: Final = f"{NAME}.move"
"""Value `<environment>/<service>/<attempt>`; nothing without this label is written to, reused or removed."""

LABEL_ROLE: Final = f"{NAME}.role"
"""What a labelled container is for: service, forwarder, probe, copy, toolbox."""

TOOLBOX_IMAGE: Final = f"{NAME}/toolbox:1"
"""rsync, ssh, restic, socat, zstd and Python, in one image: a host needs nothing but sshd, a shell and Docker."""

ENVIRONMENT_PREFIX: Final = f"{NAME.upper()}_"
