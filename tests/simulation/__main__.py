"""Play many stories, or one: `python -m tests.simulation [--seeds N] [--from K] [--seed K] [--put-back N] [--only
KIND]`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from functools import partial

from tests.simulation.befall import ONLY
from tests.simulation.play import Played, play_seed, report, shorten, simulation
from tests.simulation.putbacks import PUT_BACKS, put_back

CHUNK = 25
SHOWN = 5


def _play(seeds: range, number: int | None, only: str) -> list[tuple[int, list[str]]]:
    with simulation(), put_back(number):
        return [(seed, _violations(seed, only)) for seed in seeds]


def _violations(seed: int, only: str) -> list[str]:
    """Return what a seed breaks; a defect that ends a run with a traceback is one too."""
    try:
        return play_seed(seed, only=only).violations
    except Exception as error:  # noqa: BLE001 the other seeds are played
        return [f"a run ended with a traceback: {type(error).__name__}: {error}"]


def _show(seed: int, number: int | None, only: str) -> Played:
    with simulation(), put_back(number):
        played = play_seed(seed, only=only)
        return shorten(played) if played.violations else played


def main(argv: list[str]) -> int:
    """Play and print the story; return 1 when an invariant was broken."""
    parser = argparse.ArgumentParser(prog="nox -s simulate --", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many stories")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--seed", type=int, help="replay this one, shortened to the fewest events that break what it broke"
    )
    parser.add_argument(
        "--put-back", type=int, choices=sorted(PUT_BACKS), help="with this defect of before: it must be found"
    )
    parser.add_argument(
        "--only", default="", choices=sorted(ONLY), help="play this kind alone, so that it is counted by itself"
    )
    given = parser.parse_args(argv)
    if given.seed is not None:
        played = _show(given.seed, given.put_back, given.only)
        print(report(played))
        return int(bool(played.violations))
    started, last = time.monotonic(), given.first + given.seeds
    chunks = [range(first, min(first + CHUNK, last)) for first in range(given.first, last, CHUNK)]
    with multiprocessing.Pool(os.cpu_count() or 1) as pool:
        wrong = [
            (seed, texts)
            for some in pool.imap_unordered(partial(_play, number=given.put_back, only=given.only), chunks)
            for seed, texts in some
            if texts
        ]
        pool.close()
        pool.join()  # its processes' time counts once they have ended
    used = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    for seed, texts in sorted(wrong)[:SHOWN]:
        print(
            f"seed {seed}: {texts[0]}" if "traceback" in texts[0] else report(_show(seed, given.put_back, given.only)),
            end="\n\n",
        )
    rest = ", ".join(str(seed) for seed, _ in sorted(wrong)[SHOWN : SHOWN + 100])
    print(
        f"{given.seeds} seeds in {time.monotonic() - started:.0f} s ({used / given.seeds:.3f} s of a processor each): "
        f"{len(wrong)} broke an invariant" + (f"; also {rest}" if rest else "")
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
