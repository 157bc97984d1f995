"""The lab's data: the same in every lab, of every type, and some of it short-lived."""

from __future__ import annotations

import re

from lab import seeds


def test_keys_that_stay_expire_far_away() -> None:
    """What is kept on a disk for weeks holds no expiry that could pass meanwhile."""
    text = seeds.redis_commands()
    assert b"\r\nEX\r\n" not in text
    assert b"session:" not in text
    moments = [int(moment) for moment in re.findall(rb"PEXPIREAT\r\n\$\d+\r\n[a-z]+:\d+\r\n\$\d+\r\n(\d+)", text)]
    assert len(moments) == seeds.KEYS // 10
    assert min(moments) > seeds.FAR_FUTURE_MS


def test_sessions_end_during_soon_after_and_long_after_a_rehearsal() -> None:
    """A new lab gets 40 keys that expire within eight minutes, 40 within twenty and 40 after hours."""
    seconds = sorted(int(found) for found in re.findall(rb"\r\nEX\r\n\$\d+\r\n(\d+)\r\n", seeds.redis_sessions()))
    assert len(seconds) == 120
    assert seconds[0] >= 300
    assert seconds[39] < 480
    assert 900 <= seconds[40] <= seconds[79] < 1200
    assert seconds[80] > 6 * 3600 - 1


def test_seeds_do_not_vary() -> None:
    """Two labs have the same rows and keys: what differs after a move was changed by the move."""
    assert seeds.redis_commands() == seeds.redis_commands()
    assert seeds.prometheus_history() == seeds.prometheus_history()
