"""Every error that longshore raises on purpose.

    LongshoreError
    ├── InputError            wrong input: file, flag, environment (exit 4)
    │   └── NotUnderstoodError  a file of somebody else's that can't be read as what it should be; the others are
    ├── RefusedError          a gate said no; nothing was done (exit 3)
    │   └── LockLostError     somebody else took over in the meantime; nothing more is done, not even undone
    ├── CouldNotLookError     no answer to a question: becomes UNKNOWN, never FAILED
    │   ├── UnreachableError  ssh, Docker or a service did not answer
    │   │   └── BuriedError   a person said that the host is dead: nobody asks it any more
    │   └── DeadlineError     no answer in time
    ├── JournalError          the journal can't be written: nothing more may be done
    │   └── TakenError        another process wrote a record at the same place of the chain
    └── ActionError           an action failed
        └── NeedsPersonError  an undo failed: the message holds the commands left (exit 5)

A judged fact that is wrong is an `AssertionError` in a runbook and becomes FAILED.
"""

from __future__ import annotations

from engine.finding import say


class LongshoreError(Exception):
    """Base of all; the text says where, what was seen, what was expected, what to do next."""


class InputError(LongshoreError):
    """A file or flag is wrong; nothing was started."""


class UnsupportedSyntaxError(InputError):
    """A place in a file can't be read as what it should be; `reason` quotes nothing that may be a secret."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        """Keep the place, so that a report can name it; line 0 is the file as a whole."""
        text = say("{file}:{line}: {reason}", file=file, line=line, reason=reason)
        super().__init__(text if line else say("{file}: {reason}", file=file, reason=reason))
        self.file, self.line, self.reason = file, line, reason


class RefusedError(LongshoreError):
    """A gate refused; nothing was changed."""


class LockLostError(RefusedError):
    """Somebody else holds the lock now: this process must not change anything any more, not even undo."""


class NotObservedError(LongshoreError):
    """The question could not be asked, so there is no verdict on the thing itself."""


class UnreachableError(NotObservedError):
    """A host, its Docker Engine or a service did not answer."""


class HostLostError(UnreachableError):
    """A person said that this host is dead: it is not asked, and what was to be undone there is not waited for."""


class DeadlineError(NotObservedError):
    """The answer did not come before the deadline; the text has the last state seen and the wait in seconds."""


class JournalError(LongshoreError):
    """A record is not on disk, so what comes after it must not be done."""


class ChainConflictError(JournalError):
    """Another process wrote a record at the same place of the chain: it continues, this one does not."""


class ActionError(LongshoreError):
    """An action that changes a host failed."""


class ManualInterventionError(ActionError):
    """The tool can't finish alone; the text lists the exact commands left."""
