"""rsync's arguments and its output: the options of a pass, its totals, its progress, and whether it ended well.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.finding import say

KEEP: Final = ("-aHAX", "--numeric-ids", "--partial")
"""Everything of an entry travels, and a cut pass resumes where it stopped. rsync(1)."""
SPARSE: Final = "--sparse"
"""Holes stay holes. rsync then writes every file in pieces of 1 KiB (its fileio.c, SPARSE_WRITE_SIZE), so only where
there are holes.
"""
IN_PLACE: Final = "--inplace"
"""A file is written where it lies, so that a second pass writes only what changed of it. Never where files of the
target share
their content: a name that left the group on the source would be written over through the others (found by a property
test)."""
TO_THE_NANOSECOND: Final = "--modify-window=-1"
"""rsync's own default compares whole seconds and skips what was written twice within one. The other end compares; it
gets the option by --remote-option, because rrsync does not understand the short form that rsync makes of it.
"""
REPORT: Final = ("--stats", "--no-human-readable")

VANISHED: Final = 24
PARTIAL: Final = 23
FILE_ERROR: Final = 11
CUT: Final = frozenset({10, 12, 30, 35, 255})
"""Socket, protocol stream, timeouts, and ssh's own failure: the connection broke. rsync(1), EXIT VALUES."""

NORMAL_WHILE_LIVE: Final = re.compile(
    r"vanished|failed verification|No such file or directory \(2\)|some files/attrs were not transferred|"
    r"some files vanished|IO error encountered -- skipping file deletion"
)
NO_SPACE: Final = re.compile(r"No space left on device|Disk quota exceeded")
REFUSED: Final = re.compile(r"rrsync error|Permission denied \(publickey")
ERROR_LINE: Final = re.compile(
    r"^(?:\S*rrsync error|\S+: Permission denied|rsync|file has|directory has|IO error|ERROR|WARNING|cannot|symlink)",
    re.IGNORECASE,
)
ENDED: Final = re.compile(r"^rsync ended with (\d+)$", re.MULTILINE)
PROGRESS: Final = re.compile(r"\x1e(\d+) (\d+)\x1e")
"""What RUN prints between rsync's own words, also in the middle of a line: bytes read and bytes sent."""
PIPE_BYTES: Final = 64 << 10
"""So much rsync hands to an ssh that reaches nobody. pipe(7), capacity."""
TOTALS: Final = {
    "size_bytes": re.compile(r"^Total file size: (\d+)", re.MULTILINE),
    "sent_bytes": re.compile(r"^Total bytes sent: (\d+)", re.MULTILINE),
    "literal_bytes": re.compile(r"^Literal data: (\d+)", re.MULTILINE),
    "files_sent": re.compile(r"^Number of regular files transferred: (\d+)", re.MULTILINE),
    "entries": re.compile(r"^Number of files: (\d+)", re.MULTILINE),
}

RUN: Final = r"""
exec 3<&0
rsync "$@" <&3 2>&1 &
copy=$!
(
  while sleep 1 >/dev/null && { read -r _ bytes; read -r _ sent; } < "/proc/$copy/io";
    do printf '\036%s %s\036' "$bytes" "$sent"; done
) 2>/dev/null 3<&- &
wait "$copy"; code=$?
kill "$!" 2>/dev/null
echo; echo "rsync ended with $code"
"""
"""The shell that runs it: what it says and how it ended come on one stream, and each second what the kernel counts for
it.

rsync's own progress is a line per file: with 100,000 small files it cost as much as the copy itself (`nox -s bench --
copy-100k`).
"""


@dataclass(frozen=True)
class RsyncOptions:
    """How one pass is run."""

    delete: bool = True
    compress: bool = False
    limit_mb_s: float | None = None
    checksum: bool = False
    in_place: bool = True
    sparse: bool = True
    whole_files: bool = False
    only_listed: bool = False  # paths from standard input, zero between them

    def words(self) -> list[str]:
        """Return rsync's options."""
        words = [*KEEP, f"--remote-option={TO_THE_NANOSECOND}", *REPORT]
        words += [IN_PLACE] if self.in_place else []
        words += [SPARSE] if self.sparse else []
        words += ["--whole-file"] if self.whole_files else []
        words += ["--delete"] if self.delete and not self.only_listed else []
        words += ["--compress", "--compress-choice=zstd", "--compress-level=1"] if self.compress else []
        words += [f"--bwlimit={max(1, round(self.limit_mb_s * 1e6 / 1024))}"] if self.limit_mb_s else []
        words += ["--checksum"] if self.checksum else []
        return words + (["--files-from=-", "--from0", "--delete-missing-args"] if self.only_listed else [])


@dataclass(frozen=True)
class RsyncResult:
    """What a finished rsync said: its exit code, its totals, its complaints."""

    code: int
    totals: dict[str, int]
    complaints: tuple[str, ...]

    @property
    def cut(self) -> bool:
        """Return whether the connection broke, so that the pass can be resumed; a refusal by the other end is no
        break.
        """
        return self.code in CUT and not any(REFUSED.search(line) for line in self.complaints)

    @property
    def no_space(self) -> bool:
        """Return whether the target's file system was full."""
        return self.code != 0 and any(NO_SPACE.search(line) for line in self.complaints)

    @property
    def is_file_trouble(self) -> bool:
        """Return whether reading or writing a file failed: a full disk's own words may be lost with the connection."""
        return self.code == FILE_ERROR

    def trouble(self, *, live: bool) -> str:
        """Return why this pass is not to be trusted, empty when it is; while the service runs files vanish
        and change.
        """
        if self.code == 0:
            return ""
        if (
            live
            and self.code in {VANISHED, PARTIAL}
            and self.complaints
            and all(NORMAL_WHILE_LIVE.search(line) for line in self.complaints)
        ):
            return ""
        reason = " / ".join(self.complaints[:3]) or say("it said nothing")
        return f"rsync ended with {self.code}: {reason}"

    @property
    def vanished(self) -> int:
        """Return how many files went away while they were copied."""
        return sum("has vanished" in line for line in self.complaints)


def parse_rsync(output: str) -> RsyncResult:
    """Return what an rsync run by RUN said; without its last line it was cut off."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", output)]
    ended = ENDED.search(output.replace("\r", "\n"))
    totals = {
        name: int(found[1]) for name, pattern in TOTALS.items() if (found := pattern.search(output.replace("\r", "\n")))
    }
    complaints = tuple(line for line in lines if ERROR_LINE.match(line) and not ENDED.match(line))
    return RsyncResult(int(ended[1]) if ended else 255, totals, complaints)


def progress_of(text: str) -> tuple[str, tuple[int, int] | None, str]:
    """Return what rsync said, the newest (bytes read, bytes sent) in it or None, and the end that the next piece may
    complete.
    """
    positions = PROGRESS.findall(text)
    words = PROGRESS.sub("", text)
    whole, mark, rest = words.rpartition("\x1e")
    newest = (int(positions[-1][0]), int(positions[-1][1])) if positions else None
    return (whole if mark else words), newest, mark + rest if mark else ""


@dataclass(frozen=True)
class CopyPass:
    """One pass over all places, added up."""

    seconds: float
    size_bytes: int = 0
    sent_bytes: int = 0
    files_sent: int = 0
    vanished: int = 0
    retries: int = 0

    def record(self) -> dict[str, Any]:
        """Return it as JSON-able values for a note."""
        return {
            "seconds": round(self.seconds, 3),
            "size_bytes": self.size_bytes,
            "sent_bytes": self.sent_bytes,
            "files_sent": self.files_sent,
            "vanished": self.vanished,
            "retries": self.retries,
        }


SHRINKS: Final = 0.8
"""A pass that takes more than so much of the one before does not shrink: what is written keeps pace with the copy."""
MOST_PASSES: Final = 12
FEWEST_PASSES: Final = 2


def predict_last_s(passes: Sequence[float]) -> float | None:
    """Return how long the next pass will take, from how long each took: what was written during one pass is the next
    one's work.

    None before there is a pass over what is there already: the first one copies everything.
    """
    if len(passes) < FEWEST_PASSES:
        return None
    if len(passes) == FEWEST_PASSES:
        return passes[-1]
    return passes[-1] * min(1.0, passes[-1] / passes[-2])


def why_no_more(passes: Sequence[float], budget_s: float) -> str:
    """Return why no further pass is worth its time, empty when one is: it fits the budget or does not shrink any more.

    QEMU's rule for live migration (its documentation, "Postcopy/convergence"), applied to volumes.
    """
    predicted = predict_last_s(passes)
    if predicted is None:
        return ""
    if predicted <= budget_s:
        return say(
            "the last one is predicted to take {predicted:.1f} s and may take {budget_s:.1f} s",
            predicted=predicted,
            budget_s=budget_s,
        )
    if len(passes) > FEWEST_PASSES and passes[-1] > SHRINKS * passes[-2]:
        return say(
            "passes do not shrink any more ({before:.1f} s, {last:.1f} s): as much is written as is copied",
            before=passes[-2],
            last=passes[-1],
        )
    return say("{count} passes were made", count=len(passes)) if len(passes) >= MOST_PASSES else ""


def summed(seconds: float, copied: Iterable[RsyncResult], retries: int) -> CopyPass:
    """Return one pass over several places."""
    items = list(copied)
    totals = {
        name: sum(item.totals.get(name, 0) for item in items) for name in ("size_bytes", "sent_bytes", "files_sent")
    }
    return CopyPass(seconds, **totals, vanished=sum(item.vanished for item in items), retries=retries)


LINK_GAIN: Final = 0.9


def worth_compressing(*, link_mb_s: float, ratio: float, compress_mb_s: float) -> bool:
    """Return whether data that shrinks to `ratio` at `compress_mb_s` gets over a link sooner when it is compressed."""
    plain_s, packed_s = 1 / link_mb_s, max(1 / compress_mb_s, ratio / link_mb_s)
    return packed_s < LINK_GAIN * plain_s
