"""A run meets the machines that were pinned and no others."""

from __future__ import annotations

import pytest

from engine.config.environment import Environment
from hosts.fleet import _algorithms, refusal_of
from tests.fakes.project_files import make_environment

PINNED = f"{11:032x}"


def named(environment: str) -> Environment:
    """Return the small environment under another name."""
    return make_environment(("environment", environment))


@pytest.mark.parametrize(("environment", "lab"), [("production", False), ("lab", True)])
def test_the_pinned_machine_is_met(environment: str, lab: bool) -> None:
    """The same machine-id, and a marker exactly in the lab: nothing to refuse."""
    assert refusal_of(named(environment), "wf001", PINNED, lab=lab) is None


@pytest.mark.parametrize(
    ("environment", "machine_id", "lab", "message"),
    [
        (
            "production",
            PINNED,
            True,
            ("the host carries /etc/longshore-lab. Expected: none outside the lab. Use --lab, or another host"),
        ),
        (
            "lab",
            PINNED,
            False,
            ("the host has no /etc/longshore-lab. Expected: a lab host. Leave out --lab for real hosts"),
        ),
        (
            "production",
            "f" * 32,
            False,
            (f"machine-id is {'f' * 32}. Expected: {PINNED}, as pinned: it is another machine"),
        ),
        ("production", "", False, "machine-id is empty"),
        ("lab", "f" * 32, True, "If that is right: nox -s lab -- up"),
    ],
)
def test_any_other_machine_is_refused(environment: str, machine_id: str, lab: bool, message: str) -> None:
    """A rehearsal never meets a real host, a real night never the lab, and neither a machine that took
    another's name.
    """
    refusal = refusal_of(named(environment), "wf001", machine_id, lab=lab)

    assert refusal is not None
    assert str(refusal).startswith(f"wf001: environment {environment}: ")
    assert message in str(refusal)


def test_the_marker_is_judged_before_the_name() -> None:
    """A real host under --lab is reported as that, whatever was pinned: the graver mistake is named first."""
    refusal = refusal_of(named("lab"), "wf001", "f" * 32, lab=False)

    assert "has no /etc/longshore-lab" in str(refusal)


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        ("ssh-ed25519 AAAA", "ssh-ed25519"),
        ("ssh-rsa AAAA", "rsa-sha2-512,rsa-sha2-256"),
        ("ecdsa-sha2-nistp256 A", "ecdsa-sha2-nistp256"),
    ],
)
def test_ssh_is_asked_for_the_pinned_kind_of_key(key: str, algorithms: str) -> None:
    """A host has several keys: ssh must offer the pinned one; an RSA key signs with SHA-2, never SHA-1."""
    assert _algorithms(key) == algorithms
