"""Where names lead is read on each host and waits for a person until all lead to the target."""

from __future__ import annotations

import pytest

from checks.hosts.dns import judge_public_names, read_addresses
from engine.errors import NotObservedError
from engine.verdict import Verdict
from tests.fakes.host import FakeHost

WANTED = frozenset({"192.0.2.12"})


def test_all_lead_there() -> None:
    """The row counts the answers and says where they lead."""
    judged = judge_public_names(
        {"wf001": {"shop": ("192.0.2.12",)}, "wf002": {"shop": ("192.0.2.12",)}}, "wf002", WANTED, "wf005"
    )

    assert judged.passed
    assert judged.text == "2 of 2 answers on wf001, wf002 lead to wf002 (192.0.2.12)"


@pytest.mark.parametrize(
    ("addresses", "wrong_answer"),
    [
        (("192.0.2.15",), "shop on wf001: 192.0.2.15"),
        (("192.0.2.12", "192.0.2.15"), "shop on wf001: 192.0.2.12, 192.0.2.15"),
        ((), "shop on wf001: no address"),
    ],
)
def test_one_that_leads_elsewhere_waits_for_a_person(addresses: tuple[str, ...], wrong_answer: str) -> None:
    """Nothing is broken meanwhile: the relay answers. Two addresses, one of them old, are half a change."""
    judged = judge_public_names(
        {"wf001": {"shop": addresses}, "wf002": {"shop": ("192.0.2.12",)}}, "wf002", WANTED, "wf005"
    )

    assert judged.verdict is Verdict.PENDING
    assert judged.text.startswith(
        f"1 of 2 answers do not lead to wf002 (192.0.2.12): {wrong_answer}. The relay on wf005 answers until then"
    )


def test_nothing_asked_is_not_a_pass() -> None:
    """No name, no pass."""
    assert not judge_public_names({}, "wf002", WANTED, "wf005").passed


def test_addresses_are_read_in_one_exchange() -> None:
    """A name without an address has none, and names come back as they were asked."""
    host = FakeHost("wf001", {"getent": (0, "a.example\t192.0.2.12 2001:db8::1 \nb.example\t\n", "")})

    assert read_addresses(host, ["a.example", "b.example"]) == {
        "a.example": ("192.0.2.12", "2001:db8::1"),
        "b.example": (),
    }
    assert len(host.asked) == 1


def test_a_host_that_cannot_resolve_was_not_looked_at() -> None:
    """A host without getent says nothing about names."""
    host = FakeHost("wf001", {"getent": (127, "", "")})

    with pytest.raises(NotObservedError, match="could not resolve 1 names: exit 127"):
        read_addresses(host, ["a.example"])
