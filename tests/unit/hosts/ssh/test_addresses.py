"""What a name means from here, without asking anybody in a test."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from hosts.ssh import addresses


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for the resolver."""
    known = {
        "db": ["192.0.2.5", "2001:db8::5"],
        "localhost": ["::1", "127.0.0.1"],
        "wf005.example.org": ["192.0.2.15"],
        "fe": ["fe80::1%eth0"],
    }

    def answer(name: str, _port: None, *, type: int) -> list[tuple[Any, ...]]:  # noqa: A002 the resolver's own word
        if name not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, type, 6, "", (address, 0)) for address in known[name]]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(socket, "gethostname", lambda: "wf005.example.org")


def test_a_name_has_all_its_addresses() -> None:
    """A name that nobody knows has none, and is no error."""
    assert addresses.addresses_of("db") == {"192.0.2.5", "2001:db8::5"}
    assert addresses.addresses_of("nowhere") == frozenset()


@pytest.mark.parametrize(
    ("name", "here"),
    [("localhost", True), ("/var/run/postgresql", True), ("db", False), ("nowhere", False), ("fe", False)],
)
def test_loopback_and_sockets_are_this_machine(name: str, here: bool) -> None:
    """A server behind them runs where we run."""
    assert addresses.is_this_machine(name) is here


def test_this_machine_has_a_short_and_a_whole_name() -> None:
    """Either may stand in the inventory."""
    assert addresses.own_names() == {"wf005.example.org", "wf005", "192.0.2.15"}
