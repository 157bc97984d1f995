"""Messages to people are sent in the background: none that fails, hangs or is mistyped costs the run anything, and no
address is ever shown.
"""

from __future__ import annotations

import logging
import threading

import pytest

from engine.redaction.redactor import Redactor, Secret
from hosts.local.notifications import Messenger, deliver_by_apprise, open_messenger, read_addresses

TOKEN = "xoxb-T0k3n-of-a-room"
ADDRESS = f"json://127.0.0.1:9/{TOKEN}"


def test_addresses_stand_between_commas_or_lines_and_are_secrets() -> None:
    """As apprise splits them: a comma inside an address belongs to it."""
    redactor = Redactor()

    found = read_addresses(
        {"LONGSHORE_NOTIFY": f"{ADDRESS}, json://b.example/2\nmailto://a:b@c.example?to=x@y.example,k@l.example"},
        redactor,
    )

    assert [one.reveal() for one in found] == [
        ADDRESS,
        "json://b.example/2",
        "mailto://a:b@c.example?to=x@y.example,k@l.example",
    ]
    assert redactor.text(f"can't reach {ADDRESS}") == "can't reach ***"


@pytest.mark.parametrize("environment", [{}, {"LONGSHORE_NOTIFY": " \n"}])
def test_without_addresses_there_is_no_messenger(environment: dict[str, str]) -> None:
    """Nothing is started."""
    assert open_messenger(environment, Redactor()) is None


def test_messages_arrive_in_their_order_and_without_secrets() -> None:
    """At each address."""
    redactor = Redactor()
    redactor.register(Secret("Tr0ub4dor-and-3"))
    seen = []

    def deliver(address: Secret, title: str, text: str) -> bool:
        seen.append((address.reveal()[-1], title, text))
        return True

    messenger = Messenger((Secret("a"), Secret("b")), deliver, redactor)
    messenger.send("first", "AUTH Tr0ub4dor-and-3")
    messenger.send("second", "")

    assert messenger.close() == 0
    assert seen == [("a", "first", "AUTH ***"), ("b", "first", "AUTH ***"), ("a", "second", ""), ("b", "second", "")]


def test_what_does_not_arrive_is_counted_and_nothing_more() -> None:
    """An address that refuses, and one whose plugin raises: the others get theirs."""

    def deliver(address: Secret, title: str, text: str) -> bool:
        if address.reveal() == "raises":
            raise RuntimeError(f"no connection to {address.reveal()}")
        return address.reveal() == "good"

    messenger = Messenger((Secret("raises"), Secret("refuses"), Secret("good")), deliver, Redactor())
    messenger.send("t", "x")

    assert messenger.close() == 2


def test_a_server_that_hangs_holds_nobody() -> None:
    """The end waits so long and no longer; what is still on its way counts as lost."""
    held = threading.Event()

    def deliver(address: Secret, title: str, text: str) -> bool:
        return held.wait(5)

    messenger = Messenger((Secret("slow"),), deliver, Redactor())
    messenger.send("t", "x")
    lost = messenger.close(deadline_s=0.01)
    held.set()

    assert lost == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of apprise's own modules
@pytest.mark.parametrize("address", [f"nothing-known://{TOKEN}", "json://"])
def test_an_address_that_is_none_shows_nowhere(
    address: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on the screen, not in a log, not in an error; apprise itself would write it down."""
    caplog.set_level(logging.WARNING)

    assert deliver_by_apprise(Secret(address), "t", "x") is False

    output = caplog.text + "".join(capsys.readouterr())
    assert TOKEN not in output
    assert address not in output
