"""A project's own checks on real hosts: one passes, one warns, one fails; all are in the page, and the failed one
closes the gate.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.lab import at_hand
from tests.lab.at_hand import ROOT

pytestmark = pytest.mark.lab
ONLY: Final = ("--service", "redis")
SITE: Final = ROOT / "site"
CHECKS: Final = '''
import pytest


@pytest.mark.target_hosts
def test_kernel_is_linux(host):
    """The target host runs Linux."""
    assert host.check_output("uname -s") == "Linux"


@pytest.mark.source_hosts
@pytest.mark.warning
def test_ticket_is_on_the_source(host):
    """The source host names the ticket of its migration."""
    assert host.file("/etc/migration-ticket").exists


@pytest.mark.services("redis")
def test_snapshot_is_kept_apart(host, service):
    """The host of redis keeps a copy of its snapshot apart."""
    assert host.file(f"/srv/{service.container}-copy.rdb").exists
'''


@pytest.fixture
def own_checks() -> Iterator[Path]:
    """Put three checks into the checkout's own folder, and take them away again."""
    assert not SITE.exists(), f"{SITE}: is there already; this test would remove it"
    file = SITE / "preflight" / "test_of_the_lab.py"
    file.parent.mkdir(parents=True)
    file.write_text(CHECKS, encoding="utf-8")
    try:
        yield file
    finally:
        shutil.rmtree(SITE)


def test_own_checks_pass_warn_and_fail(kept_prepared_lab: None, own_checks: Path) -> None:
    """The run fails for the blocker alone; page and journal show all three; migrate is refused until the
    host is right.
    """
    before = at_hand.snapshot(*at_hand.HOSTS)

    failed = at_hand.run_phase("preflight", *ONLY)

    rows = {record["key"]: record["body"] for record in at_hand.rows_of(failed) if record["key"].startswith("site-")}
    seen = {key: (body["host"], body["service"], body["severity"], body["verdict"]) for key, body in rows.items()}
    assert seen == {
        "site-kernel-is-linux": ("wf001", None, "blocker", "PASSED"),
        "site-ticket-is-on-the-source": ("wf005", None, "warning", "FAILED"),
        "site-snapshot-is-kept-apart": (None, "redis", "blocker", "FAILED"),
    }
    assert failed.code == 1, failed.output[-3000:]
    assert at_hand.snapshot(*at_hand.HOSTS) == before, "a check changed a host"
    assert failed.folder is not None
    page = (failed.folder / "report.html").read_text(encoding="utf-8")
    for sentence in (
        "The target host runs Linux.",
        "The source host names the ticket of its migration.",
        "keeps a copy of its snapshot apart.",
    ):
        assert sentence in page
    assert "preflight/test_of_the_lab.py" in page

    refused = at_hand.run_phase("migrate", *ONLY, "--apply")
    assert refused.code == 3, refused.output[-2000:]
    assert "site-snapshot-is-kept-apart" in refused.output

    at_hand.on_host("wf005", "touch", "/srv/redis-copy.rdb")
    try:
        passed = at_hand.run_phase("preflight", *ONLY)
    finally:
        at_hand.on_host("wf005", "rm", "/srv/redis-copy.rdb")
    assert passed.code == 0, passed.output[-3000:]
    assert at_hand.row(passed, "redis", "site-snapshot-is-kept-apart")["verdict"] == "PASSED"


def test_a_host_without_an_answer_is_unknown(kept_prepared_lab: None, own_checks: Path) -> None:
    """The check could not be made, so it has neither passed nor failed."""
    at_hand.lab("break", "host-stopped")
    try:
        ran = at_hand.run_phase("preflight", *ONLY)
    finally:
        at_hand.heal()

    (body,) = (record["body"] for record in at_hand.rows_of(ran) if record["key"] == "site-kernel-is-linux")
    assert body["verdict"] == "UNKNOWN"
