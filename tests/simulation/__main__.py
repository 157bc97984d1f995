"""Play many stories, or one: `python -m tests.simulation [--seeds N] [--from K] [--seed K]`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

from tests.simulation.play import Played, play_seed, shorten, simulation, told

CHUNK = 10
SHOWN = 5


def _play(seeds: range) -> list[tuple[int, list[str]]]:
    with simulation():
        return [(seed, _violations(seed)) for seed in seeds]


def _violations(seed: int) -> list[str]:
    """Return what a seed breaks; a defect that ends a run with a traceback is one too."""
    try:
        return play_seed(seed).violations
    except Exception as error:  # noqa: BLE001 the other seeds are played
        return [f"a run ended with a traceback: {type(error).__name__}: {error}"]


def _show(seed: int) -> Played:
    with simulation():
        played = play_seed(seed)
        return shorten(played) if played.violations else played


def main(argv: list[str]) -> int:
    """Play and tell; return 1 when an invariant was broken."""
    parser = argparse.ArgumentParser(prog="nox -s simulate --", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many stories")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one, shortened to the fewest events that break what it broke")
    given = parser.parse_args(argv)
    if given.seed is not None:
        played = _show(given.seed)
        print(told(played))
        return int(bool(played.violations))
    started, last = time.monotonic(), given.first + given.seeds
    chunks = [range(first, min(first + CHUNK, last)) for first in range(given.first, last, CHUNK)]
    with multiprocessing.Pool(os.cpu_count() or 1) as pool:
        wrong = [(seed, texts) for some in pool.imap_unordered(_play, chunks) for seed, texts in some if texts]
    for seed, texts in sorted(wrong)[:SHOWN]:
        print(f"seed {seed}: {texts[0]}" if "traceback" in texts[0] else told(_show(seed)), end="\n\n")
    rest = ", ".join(str(seed) for seed, _ in sorted(wrong)[SHOWN : SHOWN + 100])
    print(f"{given.seeds} seeds in {time.monotonic() - started:.0f} s: {len(wrong)} broke an invariant" + (f"; also {rest}" if rest else ""))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
