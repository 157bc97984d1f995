"""What rsync is asked for and what its answers mean; when another pass is worth its time."""

from __future__ import annotations

from typing import Final

import pytest

from actions.copy.passes import Progress
from actions.copy.rsync import RsyncOptions, parse_rsync, predict_last_s, progress_of, why_no_more, worth_compressing
from actions.copy.survey import PathProbe, TargetSpace
from actions.copy.verification import fastest_for_both

TOTALS: Final = """
Number of files: 1,204 (reg: 1,200, dir: 4)
Number of files: 1204 (reg: 1200, dir: 4)
Number of regular files transferred: 17
Total file size: 2147483648 bytes
Literal data: 4096 bytes
Total bytes sent: 71234

sent 71,234 bytes  received 100 bytes

rsync ended with {code}
"""
VANISHED: Final = (
    'file has vanished: "/data/0/temp-17.rdb"\nrsync warning: some files vanished before they could be '
    "transferred (code 24) at main.c(1338)"
)
REWRITTEN: Final = (
    "WARNING: wal/0001 failed verification -- update retained (will try again).\nrsync error: some files/attrs "
    "were not transferred (code 23)"
)
FULL: Final = (
    'rsync: [receiver] write failed on "/data/0/base": No space left on device (28)\nrsync error: error in file '
    "IO (code 11) at receiver.c(393)"
)
NOT_ALLOWED: Final = (
    'rsync: [sender] send_files failed to open "/data/0/x": Permission denied (13)\nrsync error: some files/attrs '
    "were not transferred (code 23)"
)


def said(complaints: str, code: int) -> str:
    """Return what rsync printed."""
    return f"{complaints}\n{TOTALS.format(code=code)}"


def test_totals_are_read() -> None:
    """Figures without separators, as --no-human-readable prints them."""
    seen = parse_rsync(said("", 0))

    assert (seen.code, seen.totals["size_bytes"], seen.totals["sent_bytes"], seen.totals["files_sent"]) == (
        0,
        2147483648,
        71234,
        17,
    )
    assert not seen.trouble(live=False)


@pytest.mark.parametrize(("complaints", "code"), [(VANISHED, 24), (REWRITTEN, 23)])
def test_what_is_normal_while_it_runs_is_an_error_once_it_is_stopped(complaints: str, code: int) -> None:
    """Files that vanish or change under a copy belong to a running service; a stopped one has none."""
    seen = parse_rsync(said(complaints, code))

    assert not seen.trouble(live=True)
    assert f"rsync ended with {code}" in seen.trouble(live=False)


@pytest.mark.parametrize(("complaints", "code"), [(NOT_ALLOWED, 23), ("", 23), ("", 1), (FULL, 11)])
def test_other_trouble_is_trouble_always(complaints: str, code: int) -> None:
    """A file that can't be read is missing on the target, whether the service runs or not; silence explains nothing."""
    assert parse_rsync(said(complaints, code)).trouble(live=True)
    assert parse_rsync(said(complaints, code)).trouble(live=False)


def test_a_full_disk_has_its_own_error() -> None:
    """It is answered with how much is missing, not by trying again."""
    assert parse_rsync(said(FULL, 11)).no_space
    assert not parse_rsync(said(NOT_ALLOWED, 23)).no_space
    lost = parse_rsync(
        said(
            (
                "rsync error: error in file IO (code 11) at receiver.c(657) [receiver]\nrsync: [sender] write "
                "error: Broken pipe (32)"
            ),
            11,
        )
    )
    assert (lost.no_space, lost.is_file_trouble) == (False, True)
    assert not parse_rsync(said(FULL, 11)).cut


@pytest.mark.parametrize("code", [10, 12, 30, 35, 255])
def test_a_broken_connection_is_taken_up_again(code: int) -> None:
    """Socket, protocol, timeouts and ssh itself."""
    assert parse_rsync(said("", code)).cut


def test_a_refusal_is_no_broken_connection() -> None:
    """The other end does not take this command: asking thirty times changes nothing."""
    refused = parse_rsync(said("/usr/bin/rrsync error: invalid rsync-command syntax or options", 12))

    assert not refused.cut
    assert "rrsync error" in refused.trouble(live=True)


def test_output_without_its_last_line_was_cut() -> None:
    """The command's own connection broke: how it ended is not known."""
    assert parse_rsync("Number of files: 3\n").cut


def test_progress_is_read_wherever_it_stands() -> None:
    """The newest counts, a line that it came into stays whole, and what may be completed by the next piece waits for
    it.
    """
    assert progress_of("Total file si\x1e5 3\x1eze: 10\n\x1e9 7\x1e") == ("Total file size: 10\n", (9, 7), "")
    words, newest, left = progress_of("big\n\x1e1073741824 10")
    assert (words, newest, left) == ("big\n", None, "\x1e1073741824 10")
    assert progress_of(left + "24\x1e") == ("", (1073741824, 1024), "")


def test_words_say_what_travels() -> None:
    """Everything of an entry; a list of paths is no whole tree, so nothing else is deleted."""
    words = RsyncOptions(compress=True, limit_mb_s=50, checksum=True).words()
    assert {
        "-aHAX",
        "--sparse",
        "--numeric-ids",
        "--inplace",
        "--partial",
        "--delete",
        "--checksum",
        "--bwlimit=48828",
    } <= set(words)
    assert "--compress-choice=zstd" in words
    assert "--inplace" not in RsyncOptions(in_place=False).words()
    assert "--sparse" not in RsyncOptions(sparse=False).words()
    assert "--whole-file" in RsyncOptions(whole_files=True).words()
    assert "--whole-file" not in words
    listed = RsyncOptions(only_listed=True).words()
    assert {"--files-from=-", "--from0", "--delete-missing-args"} <= set(listed)
    assert "--delete" not in listed


@pytest.mark.parametrize(
    ("passes", "predicted"),
    [([], None), ([60.0], None), ([60.0, 6.0], 6.0), ([60.0, 6.0, 2.0], 2.0 / 3), ([60.0, 6.0, 9.0], 9.0)],
)
def test_the_last_pass_is_predicted_from_those_before(passes: list[float], predicted: float | None) -> None:
    """What was written during one pass is the next one's work: times shrink by the same factor, and are never taken to
    grow less.
    """
    assert predict_last_s(passes) == predicted


def test_passes_continue_until_the_rest_fits_or_shrinks_no_more() -> None:
    """One that is not known, then one too long, then one that fits; or one that is as long as the one before."""
    assert not why_no_more([60.0], 5.0)
    assert not why_no_more([60.0, 6.0], 5.0)
    assert "may take 5.0 s" in why_no_more([60.0, 6.0, 2.0], 5.0)
    assert "do not shrink" in why_no_more([60.0, 20.0, 19.0], 5.0)
    assert "12 passes" in why_no_more([2.0**-n * 1e6 for n in range(12)], 5.0)
    assert not why_no_more([60.0, 59.0], 5.0)


def test_compressing_is_worth_it_on_a_slow_link_only() -> None:
    """1 GB/s is faster than zstd; 10 MB/s is not; what does not shrink is never compressed."""
    assert not worth_compressing(link_mb_s=1000, ratio=0.3, compress_mb_s=300)
    assert worth_compressing(link_mb_s=10, ratio=0.3, compress_mb_s=300)
    assert not worth_compressing(link_mb_s=10, ratio=1.0, compress_mb_s=300)


def test_missing_room_is_reported_with_numbers() -> None:
    """How much is needed, how much there is, how much is missing: bytes, or inodes."""
    assert not TargetSpace("the file system of volume v", 100, 100, 5, None).missing()
    assert TargetSpace("the file system of volume v", 3 << 20, 1 << 20, 5, None).missing() == (
        "the file system of volume v needs 3,145,728 more bytes and has 1,048,576 free: 2,097,152 bytes (2.0 "
        "MiB) are missing"
    )
    assert "needs 5 more inodes and has 3 free: 2 are missing" in TargetSpace("x", 1, 2, 5, 3).missing()


def test_the_hash_is_the_slower_sides_fastest() -> None:
    """One processor without instructions for SHA-256 decides for both."""
    assert fastest_for_both({"sha256": 1300, "blake2b": 500}, {"sha256": 900, "blake2b": 450}) == "sha256"
    assert fastest_for_both({"sha256": 1300, "blake2b": 500}, {"sha256": 120, "blake2b": 450}) == "blake2b"


@pytest.mark.parametrize(
    ("mb_s", "compress", "largest", "whole"),
    [
        (400.0, False, 1 << 20, True),
        (400.0, False, 1 << 30, False),
        (110.0, False, 1 << 20, False),
        (400.0, True, 1 << 20, False),
        (None, False, 9, False),
    ],
)
def test_small_files_are_sent_whole_over_a_fast_link(
    mb_s: float | None, compress: bool, largest: int, whole: bool
) -> None:
    """To compare them takes longer than to send them; of a large file, or over a slow link, only what
    changed travels.
    """
    assert PathProbe(mb_s, compress, "").sends_whole(largest) is whole


def test_progress_shows_rate_and_time_left() -> None:
    """Over all places together."""
    shown: list[str] = []
    progress = Progress(100_000_000, shown.append)
    progress.started -= 10
    progress.seen(0, 30_000_000, 1)
    progress.seen(1, 20_000_000, 1)

    assert shown[-1] == "50 of 100 MB, 5 MB/s, 10 s left"
