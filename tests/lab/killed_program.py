"""Run a command that is killed with -9 right after the n-th record of one step: no watcher is quick enough for that.

Usage: python -m tests.lab.killed_program STEP NUMBER COMMAND … ; records are counted from 0, from the step's intent on,
with the states that a step brings.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Final

from commands.__main__ import main
from engine.journal.journal import Record, Run

STEP, NUMBER = sys.argv[1], int(sys.argv[2])
WRITE: Final = Run.record
COUNTED: list[Record] = []


def record_and_die(run: Run, kind: str, **fields: Any) -> Record:
    """Write the record as always; it is the last thing that this process does when it is the one."""
    record = WRITE(run, kind, **fields)
    begun = kind == "intent" and record.key == STEP
    if begun or (COUNTED and (record.key == STEP or kind == "move_state")):
        COUNTED.append(record)
        if len(COUNTED) > NUMBER:
            os.kill(os.getpid(), signal.SIGKILL)
    return record


Run.record = record_and_die  # type: ignore[method-assign]
sys.exit(main(sys.argv[3:]))
