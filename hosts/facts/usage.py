"""What a host and its running containers use at one moment, asked in one small command."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.finding import say
from hosts.facts.disks import parse_blocks, parse_disks
from hosts.facts.parse import parse_memory
from hosts.facts.system import Usage
from hosts.facts.system_parse import parse_processor, parse_usage

SCRIPT: Final = (Path(__file__).parent / "usage.sh").read_bytes()
LOOK_S: Final = 30.0


def read_load(host: Host) -> dict[str, Usage]:
    """Return what each running container uses by its name, and the host itself under ""; raises CouldNotLookError.

    The host's memory is what is not available, its processor time that of all processors since it was started, its
    disks those that hold Docker's data and what containers mount.
    """
    mark = f"=={secrets.token_hex(8)}=="
    answer = host.run(["sh", "-s", "--", mark], stdin=SCRIPT, timeout_s=LOOK_S)
    if answer.exit_code or f"{mark} end" not in answer.text:
        raise NotObservedError(
            say(
                "{name}: what it uses could not be read: {error_text}. Try: ssh {name} docker ps",
                name=host.name,
                error_text=answer.error_text or say("exit status {exit_code}", exit_code=answer.exit_code),
            )
        )
    return parse_load(answer.text, mark)


def parse_load(text: str, mark: str) -> dict[str, Usage]:
    """Parse what the script printed."""
    parts = re.split(rf"^{re.escape(mark)} (\w+)\n", text + "\n", flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    memory = parse_memory(sections.get("memory", ""))
    used = memory["MemTotal"] - memory["MemAvailable"] if {"MemTotal", "MemAvailable"} <= set(memory) else None
    usage = parse_usage(sections.get("usage", ""))
    disks, numbers = parse_disks(sections.get("diskstats", ""), sections.get("disks", "").split())
    blocks = parse_blocks(sections.get("blocks", ""), numbers) if disks is not None else {}
    names = (line.split(" ", 1) for line in sections.get("containers", "").splitlines() if " " in line)
    return {
        "": Usage(used, parse_processor(sections.get("processor", "")), disks),
        **{name.strip(): replace(usage.get(one, Usage(None, None)), disks=blocks.get(one)) for one, name in names},
    }
