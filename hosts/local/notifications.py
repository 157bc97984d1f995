"""Messages to people through apprise: chat, mail, a web hook. A message that does not arrive costs nothing but itself.

The addresses are in the environment variable LONGSHORE_NOTIFY, separated by commas or line breaks, as
https://appriseit.com/services/ writes them. Each is a secret: it holds tokens and is never shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Final

from engine.constants import ENVIRONMENT_PREFIX
from engine.redaction.redactor import Redactor, Secret

VARIABLE: Final = f"{ENVIRONMENT_PREFIX}NOTIFY"
SEND_DEADLINE_S: Final = 10.0
CLOSE_DEADLINE_S: Final = 15.0

Deliver = Callable[[Secret, str, str], bool]


@dataclass(frozen=True)
class Message:
    """A message: one line, and the rest."""

    title: str
    text: str


@dataclass
class Messenger:
    """Sends messages from a thread of its own, in their order, so that no move waits for a chat server."""

    addresses: tuple[Secret, ...]
    deliver: Deliver
    redactor: Redactor
    wanted: int = field(default=0, init=False)
    """How many deliveries were asked for: messages times addresses."""
    delivered: int = field(default=0, init=False)
    _queue: SimpleQueue[Message | None] = field(default_factory=SimpleQueue, init=False)
    _thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        """Start."""
        self._thread = Thread(
            target=self._run, name="messages", daemon=True
        )  # a hanging server never holds the process
        self._thread.start()

    def send(self, title: str, text: str) -> None:
        """Hand over a message, without secrets, and return at once."""
        self.wanted += len(self.addresses)
        self._queue.put(Message(self.redactor.text(title), self.redactor.text(text)))

    def close(self, deadline_s: float = CLOSE_DEADLINE_S) -> int:
        """Wait for what is on its way, at most `deadline_s`; return how many deliveries failed or are still open."""
        self._queue.put(None)
        self._thread.join(deadline_s)
        return self.wanted - self.delivered

    def _run(self) -> None:
        while message := self._queue.get():
            for address in self.addresses:
                self.delivered += self._delivers(address, message)

    def _delivers(self, address: Secret, message: Message) -> bool:
        try:
            return self.deliver(address, message.title, message.text)
        except Exception:  # noqa: BLE001 whatever a plugin of apprise raises, its text may hold the address: the run continues, the loss is counted
            return False


def read_addresses(environment: Mapping[str, str], redactor: Redactor) -> tuple[Secret, ...]:
    """Return the addresses of the environment variable, each registered as a secret; none when it is not set."""
    text = environment.get(VARIABLE, "")
    if not text.strip():
        return ()
    from apprise.utils.parse import parse_urls  # noqa: PLC0415 apprise takes half a second to import

    return tuple(redactor.register(Secret(address)) for address in parse_urls(text))  # type: ignore[no-untyped-call]


def open_messenger(environment: Mapping[str, str], redactor: Redactor) -> Messenger | None:
    """Return a messenger to the addresses of the environment variable; None when it names none."""
    addresses = read_addresses(environment, redactor)
    return Messenger(addresses, deliver_by_apprise, redactor) if addresses else None


def deliver_by_apprise(address: Secret, title: str, text: str) -> bool:
    """Send one message to one address; return whether it arrived."""
    import apprise  # noqa: PLC0415 the same

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lesser lines hold the address
    one = apprise.Apprise()
    return bool(
        one.add(address.reveal())
        and one.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT, timeout=SEND_DEADLINE_S)
    )
