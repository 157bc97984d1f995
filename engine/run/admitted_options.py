"""Which options of pytest a phase may be started with: none that leaves out a step, or loads other code, without a word
in the evidence.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from engine.run.options import FLAGS
from engine.run.xdist_scheduler import is_worker

ADDED: Final = "PYTEST_ADDOPTS"
LOADED: Final = "PYTEST_PLUGINS"
OPTIMIZED: Final = "PYTHONOPTIMIZE"
SHORT: Final = re.compile(r"-[qvsxl]+|-r[A-Za-z]*")
"""Flags without a value: how much is shown, and stopping at the first failure, which leaves NOT_RUN rows."""

PLAIN: Final = frozenset(
    {
        "--quiet",
        "--verbose",
        "--exitfirst",
        "--no-header",
        "--no-summary",
        "--collect-only",
        "--co",
        "--setup-only",
        "--setup-show",
        "--setup-plan",
        "--showlocals",
        "--strict-markers",
        "--strict-config",
        "--strict",
        "--full-trace",
        "--disable-warnings",
        "--self-contained-html",
    }
)
VALUED: Final = frozenset(
    {
        "--tb",
        "--rootdir",
        "--confcutdir",
        "--import-mode",
        "--basetemp",
        "--color",
        "--code-highlight",
        "--capture",
        "--show-capture",
        "--maxfail",
        "--durations",
        "--durations-min",
        "--verbosity",
        "--junitxml",
        "--junit-xml",
        "--html",
        "-W",
        "--pythonwarnings",
        "--log-level",
        "--log-cli-level",
        "--log-file",
        "--log-file-level",
        "-n",
        "--numprocesses",
        "--tx",
        "--dist",
        "--maxprocesses",
    }
)
CHOOSING: Final = frozenset({"-k", "-m", "--lf", "--last-failed", "--ff", "--failed-first", "--deselect", "--reruns"})
"""Refused with a reason of their own where a phase opens a gate or changes hosts."""

SETTINGS: Final = re.compile(
    r"(filterwarnings|console_output_style|cache_dir|log_[a-z_]+|junit_[a-z_]+|render_collapsed|generate_report_on_test)=.*",
    re.DOTALL,
)
LEFT_OUT: Final = frozenset(
    f"no:{name}"
    for name in ("cacheprovider", "randomly", "random_order", "warnings", "xdist", "doctest", "faulthandler")
)
CHECKOUT: Final = Path(__file__).resolve().parents[2]
"""Where this code lies. pytest's own root directory is no measure: `-c FILE` moves it to where that file is."""
COLLECTED: Final = {
    "python_files": ["test_*.py", "*_test.py"],
    "python_classes": ["Test"],
    "python_functions": ["test"],
}
"""What pytest takes for tests by default. https://docs.pytest.org/en/stable/reference/reference.html#ini-options-ref"""

FLAGS_VALUED: Final = frozenset(flag.name for flag in FLAGS if flag.action != "store_true")
FLAGS_PLAIN: Final = frozenset(flag.name for flag in FLAGS if flag.action == "store_true")


def refused_options(config: pytest.Config) -> Iterator[str]:
    """Yield each option, of the command line or of the shell, that a phase does not take, with what to do."""
    if is_worker(config):
        return  # the process that started it was asked
    for argument in _unknown(list(map(str, config.invocation_params.args))):
        yield (
            f"{argument}: not an option that a phase takes: it could leave out steps or load other code. Choose "
            "with --service or --wave"
        )
    for argument in _unknown(shlex.split(os.environ.get(ADDED, ""))):
        yield (
            f"{ADDED}: {argument}: could leave out steps or load other code. Expected: nothing of the kind. Try: "
            f"unset {ADDED}"
        )
    if os.environ.get(LOADED):
        yield f"{LOADED}: {os.environ[LOADED]}: loads other code into a phase. Expected: not set. Try: unset {LOADED}"
    if sys.flags.optimize:
        yield (
            f"{OPTIMIZED}, or python -O: leaves out assert statements, with which own checks and their helpers fail. "
            f"Expected: not set. Try: unset {OPTIMIZED}"
        )
    for name, expected in COLLECTED.items():
        if list(config.getini(name)) != expected:
            seen = " ".join(config.getini(name))
            yield (
                f"{name}: is {seen}. Expected: {' '.join(expected)}, so that every step is collected. Look: "
                f"{config.inipath}"
            )


def _unknown(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the options that are not known to leave a phase as it is."""
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if not argument.startswith("-") or SHORT.fullmatch(argument) or argument in PLAIN | FLAGS_PLAIN:
            continue
        if name in VALUED | FLAGS_VALUED | CHOOSING:
            if not equals and name not in {"--lf", "--last-failed", "--ff", "--failed-first"}:
                next(waiting, None)
            continue
        if argument[:2] in {"-p", "-o", "-n", "-W", "-c"} and not argument.startswith("--"):
            value = argument[2:] or next(waiting, "")
            name = argument[:2]
        elif name == "--override-ini":
            name, value = "-o", value if equals else next(waiting, "")
        elif name == "--config-file":
            name, value = "-c", value if equals else next(waiting, "")
        if not _is_harmless(name, value):
            yield f"{argument} {value}" if value and value not in argument else argument


def _is_harmless(name: str, value: str) -> bool:
    if name == "-p":
        return value in LEFT_OUT or _is_ours(value)
    if name == "-c":
        return Path(value).resolve() == CHECKOUT / "pyproject.toml"  # the file that pytest reads without the option
    return (name == "-o" and bool(SETTINGS.fullmatch(value))) or name in {"-n", "-W"}


def _is_ours(plugin: str) -> bool:
    """Return whether a plugin is a file of the checkout itself: what lies there is judged with the rest of the code."""
    try:
        found = find_spec(plugin)
    except (ImportError, ValueError):
        return False
    return found is not None and bool(found.origin) and Path(str(found.origin)).resolve().is_relative_to(CHECKOUT)
