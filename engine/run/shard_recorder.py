"""The book of a shard: it ends its shard, not the run, and leaves the evidence to `report`, which draws one page for
all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from engine.evidence import command_line
from engine.run.recorder import RunRecorder
from engine.sharding.merged_run import Joined, end_shard
from engine.sharding.shard import Shard
from engine.verdict import ExitCode

SHOWN: Final = 8
"""So many missing shards are named."""


@dataclass
class ShardRecorder(RunRecorder):
    """Rows of one shard; `argv` is how it was called."""

    shard: Shard = field(kw_only=True)
    argv: tuple[str, ...] = field(kw_only=True)

    def close(self, exit_code: ExitCode, *, interrupted: bool = False) -> None:  # noqa: ARG002 its rows say that they were not run
        """End the shard, and print which others the run still waits for and how its page is drawn."""
        if self.progress:
            self.progress.end()
        counts = {verdict.value: count for verdict, count in self.counts.items()}
        joined = end_shard(self.run, counts, exit_code)
        say = self.language.say
        counted = ", ".join(f"{count} {self._word(verdict)}" for verdict, count in self.counts.items()) or say(
            "no check belongs to it"
        )
        words = {
            "command": self.command,
            "environment": self.environment,
            "shard": self.shard.text,
            "name": self.shard.run_name,
            "counted": counted,
        }
        self._say(
            Text(
                "\n" + say("{command} in environment {environment}, shard {shard} of run {name}: {counted}", **words),
                style="bold",
            )
        )
        self._say(self._others(joined))
        about = {"environment": self.environment, "argv": self.argv}
        if exit_code is not ExitCode.OK:
            again = f"{command_line(about, self.command)} --shard {self.shard.text} --run-name {self.shard.run_name}"
            status = {"status": exit_code.value, "name": exit_code.name, "command": again}
            self._say(say("exit status {status} ({name}). Fix the problems above, then run: {command}", **status))
        self._say(
            say(
                "the page of all shards: {command}",
                command=command_line(about, "report").replace(" -- ", f" -- {self.shard.run_name} ", 1),
            )
        )

    def _others(self, joined: Joined) -> str:
        missing, say = joined.missing, self.language.say
        if not missing:
            return say("all {number} shards have ended", number=joined.of)
        named = ", ".join(f"{number}/{joined.of}" for number in missing[:SHOWN]) + (
            ", …" if len(missing) > SHOWN else ""
        )
        return say("not ended yet: {shards}", shards=named)
