"""Virtual time, and the names of our modules that are replaced while a story is played: time, threads, chance."""

from __future__ import annotations

import datetime as real_datetime
import importlib
import inspect
import itertools
import pkgutil
import sys
import time as real_time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

ROOMS: Final = ("engine", "hosts", "services", "checks", "actions", "phases")
BEGINNING: Final = 1_900_000_000.0
ELSEWHERE: Final = ("tenacity", "tenacity.nap")


class Playing:
    """What is played now; one story at a time in a process."""

    def __init__(self) -> None:
        """Nothing is played yet."""
        self.now: Callable[[], float] = lambda: BEGINNING
        self.wall: Callable[[], float] = lambda: BEGINNING
        self.pass_time: Callable[[float], None] = lambda _seconds: None
        self.numbers: Iterator[int] = itertools.count(1)


PLAYING: Final = Playing()


class SerialPool:
    """A pool that runs each job when it is given, in the caller: the same order every time."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take what a pool of threads takes."""

    def __enter__(self) -> SerialPool:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, job: Callable[..., Any], *given: Any, **named: Any) -> Future[Any]:
        """Run a job now; a process that is killed ends here."""
        done: Future[Any] = Future()
        try:
            done.set_result(job(*given, **named))
        except Exception as error:  # noqa: BLE001 as a pool does: the result raises it
            done.set_exception(error)
        return done

    def map(self, job: Callable[..., Any], *given: Iterable[Any], **_: Any) -> Iterator[Any]:
        """Run all jobs, one after the other; the first error is raised when its result is taken."""
        ended: list[tuple[Any, Exception | None]] = []
        for one in zip(*given, strict=False):
            try:
                ended.append((job(*one), None))
            except Exception as error:  # noqa: BLE001 as a pool does: the result raises it
                ended.append((None, error))
        return _results(ended)

    def shutdown(self, *_: Any, **__: Any) -> None:
        """End nothing."""


def _results(ended: Iterable[tuple[Any, Exception | None]]) -> Iterator[Any]:
    for result, error in ended:
        if error is not None:
            raise error
        yield result


class SimDatetime(real_datetime.datetime):
    """A datetime whose `now` is the played one."""

    @classmethod
    def now(cls, tz: real_datetime.tzinfo | None = None) -> Any:
        """Return the operator's wall clock."""
        return real_datetime.datetime.fromtimestamp(PLAYING.wall(), tz)


FAKE_TIME: Final = SimpleNamespace(
    time=lambda: PLAYING.wall(),
    time_ns=lambda: int(PLAYING.wall() * 1e9),
    monotonic=lambda: PLAYING.now(),
    monotonic_ns=lambda: int(PLAYING.now() * 1e9),
    perf_counter=lambda: PLAYING.now(),
    sleep=lambda seconds: PLAYING.pass_time(seconds),
    strftime=real_time.strftime,
    gmtime=real_time.gmtime,
    localtime=real_time.localtime,
)
FAKE_SECRETS: Final = SimpleNamespace(token_hex=lambda size=16: f"{next(PLAYING.numbers):0{2 * size}x}")


def fake_uuid4() -> uuid.UUID:
    """Return the next of a row of ids."""
    return uuid.UUID(int=next(PLAYING.numbers) << 32)


def load_rooms() -> None:
    """Import every module of our rooms: a name that is replaced must not be taken from the original later."""
    for room in ROOMS:
        if room == "services":
            continue  # clients of real products take long to import; those that our modules use are there by now
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not found.name.endswith("program") and ".migrations." not in found.name:
                importlib.import_module(found.name)


def _replace_defaults(kind: type, undo: list[tuple[Any, str, Any]]) -> None:
    """Replace what a dataclass took of the real time as a default."""
    made = kind.__dict__.get("__init__")
    defaults = getattr(made, "__defaults__", None) or ()
    if any(one in (real_time.sleep, real_time.monotonic, real_time.time) for one in defaults if callable(one)):
        undo.append((made, "__defaults__", defaults))
        names = {
            real_time.sleep: FAKE_TIME.sleep,
            real_time.monotonic: FAKE_TIME.monotonic,
            real_time.time: FAKE_TIME.time,
        }
        made.__defaults__ = tuple(names.get(one, one) if callable(one) else one for one in defaults)  # type: ignore[union-attr]


@contextmanager
def replaced(more: Iterable[tuple[Any, Any]] = ()) -> Iterator[None]:
    """Replace time, threads and chance in all modules of our rooms, and `more` (original, instead), until the end."""
    load_rooms()
    import secrets  # noqa: PLC0415 only its identity is needed

    pairs = [
        (real_time, FAKE_TIME), (ThreadPoolExecutor, SerialPool), (real_datetime.datetime, SimDatetime),
        (secrets, FAKE_SECRETS), (uuid.uuid4, fake_uuid4), *more,
    ]  # fmt: skip
    instead = {id(original): new for original, new in pairs}
    undo: list[tuple[Any, str, Any]] = []
    for name, module in list(sys.modules.items()):
        if module is None or not (name.partition(".")[0] in ROOMS or name in ELSEWHERE):
            continue
        for attribute, value in list(vars(module).items()):
            if id(value) in instead and not attribute.startswith("__"):
                undo.append((module, attribute, value))
                setattr(module, attribute, instead[id(value)])
            elif inspect.isclass(value) and value.__module__ == name:
                _replace_defaults(value, undo)
    try:
        yield
    finally:
        for module, attribute, value in reversed(undo):
            setattr(module, attribute, value)
