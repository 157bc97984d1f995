"""Damage done on purpose after a rehearsal: validate finds each, names it, and passes again once it is repaired."""

# ruff: noqa: S608 (SQL is made of our own constants and of what the lab answers)

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from engine.journal.journal import Journal
from engine.journal.name_digests import sealer_of
from engine.redaction.redactor import Redactor
from tests.lab import at_hand
from tests.lab.at_hand import SOURCE, TARGETS, Ran
from tests.lab.conftest import Rehearsal

ROW: Final = 1717
KEY: Final = "cart:6"
SCAN: Final = 3

pytestmark = pytest.mark.lab


@contextmanager
def _damaged(make: Callable[[], Any], repair: Callable[[], Any]) -> Iterator[None]:
    make()
    try:
        yield
    finally:
        repair()


def _found(ran: Ran, service: str, key: str) -> str:
    """Return the failed step's text; assert that it alone failed and that the command said so too."""
    assert ran.code == 1, ran.output[-3000:]
    failed = {record["key"] for record in at_hand.rows_of(ran) if record["body"]["verdict"] == "FAILED"}
    assert failed == {key}
    body = at_hand.row(ran, service, key)
    assert body["text"][:60] in ran.output
    return at_hand.text_of(body)


def _sealed(name: str) -> str:
    """Return how records call a name of data; asked of a copy, since other connections of this process may hold the
    journal (test_secrets: _rows).
    """
    with TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            if (part := at_hand.JOURNAL.with_name(at_hand.JOURNAL.name + suffix)).exists():
                shutil.copyfile(part, Path(folder) / part.name)
        return sealer_of(Journal.open(Path(folder) / at_hand.JOURNAL.name, redactor=Redactor()))(name)


def _validate(service: str) -> Ran:
    return at_hand.run_phase("validate", "--service", service)


def test_changed_row_is_found(rehearsal: Rehearsal) -> None:
    """One changed row among 327,000 is found, and its table is named; no other table is."""
    host = TARGETS["postgres"]
    change = f"UPDATE customers SET name = 'Somebody else' WHERE id = {ROW}"
    repair = f"UPDATE customers SET name = 'Customer {ROW}' WHERE id = {ROW}"
    with _damaged(lambda: at_hand.query(host, change), lambda: at_hand.query(host, repair)):
        text = _found(_validate("postgres"), "postgres", "fingerprint-holds")
    assert "shop: table public.customers: content differs (20,000 things)" in text
    assert text.splitlines()[0].count("table ") == 1


@pytest.mark.full
def test_missing_row_is_found(rehearsal: Rehearsal) -> None:
    """One row less is found, with both counts."""
    host = TARGETS["postgres"]
    values = at_hand.query(host, f"SELECT quote_literal(o) FROM order_lines o WHERE id = {ROW}")
    repair = f"INSERT INTO order_lines SELECT (x).* FROM (SELECT {values}::order_lines AS x) lost"
    with _damaged(
        lambda: at_hand.query(host, f"DELETE FROM order_lines WHERE id = {ROW}"), lambda: at_hand.query(host, repair)
    ):
        text = _found(_validate("postgres"), "postgres", "fingerprint-holds")
    assert "shop: table public.order_lines: 220,000 → 219,999" in text


@pytest.mark.full
def test_dropped_large_object_is_found(rehearsal: Rehearsal) -> None:
    """A large object that no table's row counts is missed, with both numbers."""
    host, oid = TARGETS["postgres"], 50_000 + SCAN
    repair = f"SELECT lo_from_bytea({oid}, decode(repeat(md5('scan{SCAN}'), {8000 * SCAN}), 'hex'))"
    with _damaged(lambda: at_hand.query(host, f"SELECT lo_unlink({oid})"), lambda: at_hand.query(host, repair)):
        text = _found(_validate("postgres"), "postgres", "fingerprint-holds")
    assert "shop: large objects: 8 → 7" in text


def test_changed_password_of_a_role_is_found(rehearsal: Rehearsal) -> None:
    """A role with a changed password is found; neither the password nor its digest is shown."""
    host = TARGETS["postgres"]
    verifier = at_hand.query(host, "SELECT rolpassword FROM pg_authid WHERE rolname = 'reporting'")
    change, repair = "ALTER ROLE reporting PASSWORD 'made-up-tonight'", f"ALTER ROLE reporting PASSWORD '{verifier}'"
    with _damaged(lambda: at_hand.query(host, change), lambda: at_hand.query(host, repair)):
        ran = _validate("postgres")
    text = _found(ran, "postgres", "fingerprint-holds")
    assert "cluster: roles, memberships and passwords" in text
    assert "made-up-tonight" not in ran.output
    assert "SCRAM-SHA-256" not in ran.output


def test_deleted_key_is_found(rehearsal: Rehearsal) -> None:
    """One deleted key among 51,000 is found and named."""
    host = TARGETS["redis"]
    value = at_hand.redis_cli(host, "GET", KEY)
    assert value
    with _damaged(lambda: at_hand.redis_cli(host, "DEL", KEY), lambda: at_hand.redis_cli(host, "SET", KEY, value)):
        text = _found(_validate("redis"), "redis", "fingerprint-holds")
    assert f"db 0: keys: missing {_sealed(KEY)}" in text
    assert KEY not in text


@pytest.mark.full
def test_changed_key_is_found(rehearsal: Rehearsal) -> None:
    """A key that has another value is found and named, in another database than the first."""
    host, change = TARGETS["redis"], ("-n", "3", "SET", "flag:5")
    with _damaged(lambda: at_hand.redis_cli(host, *change, "off"), lambda: at_hand.redis_cli(host, *change, "on")):
        text = _found(_validate("redis"), "redis", "fingerprint-holds")
    assert f"db 3: keys: changed {_sealed('flag:5')}" in text


def test_flipped_byte_in_a_block_is_found(rehearsal: Rehearsal) -> None:
    """One flipped byte in a block of the metrics store is found; the block and its file are named."""
    host = TARGETS["prometheus"]
    file = at_hand.on_host(
        host, "sh", "-c", "ls -S /var/lib/docker/volumes/prometheus_data/_data/*/chunks/000001 | head -1"
    ).strip()
    middle = int(at_hand.on_host(host, "stat", "-c", "%s", file)) // 2
    block, rest = file.split("/")[-3], "chunks/000001"
    byte = int(at_hand.on_host(host, "od", "-An", "-tu1", f"-j{middle}", "-N1", file))

    def write(value: int) -> None:
        script = f"printf '\\{value:03o}' | dd of={file} bs=1 seek={middle} conv=notrunc status=none"
        at_hand.on_host(host, "sh", "-c", script)

    with _damaged(lambda: write(byte ^ 0x10), lambda: write(byte)):
        ran = _validate("prometheus")
    assert ran.code == 1, ran.output[-3000:]
    text = at_hand.text_of(at_hand.row(ran, "prometheus", "fingerprint-holds"))
    assert f"block {block}: changed {rest}" in text


def test_started_source_is_found(rehearsal: Rehearsal) -> None:
    """The old container, started again by hand while the new one runs, is found: two writers lose data."""
    relay = _relay_of("prometheus")

    def start() -> None:
        at_hand.on_host(SOURCE, "docker", "stop", "-t", "1", relay)
        at_hand.on_host(SOURCE, "docker", "start", "prometheus-moved")

    def stop() -> None:
        at_hand.on_host(SOURCE, "docker", "stop", "prometheus-moved")
        at_hand.on_host(SOURCE, "docker", "start", relay)

    with _damaged(start, stop):
        text = _found(_validate("prometheus"), "prometheus", "source-stays-stopped")
    assert "prometheus-moved is running" in text
    assert "docker stop" not in text


def test_source_cannot_be_started_while_its_relay_stands(rehearsal: Rehearsal) -> None:
    """A careless `docker start` of the old container fails: its published port is the relay's."""
    with pytest.raises(RuntimeError, match="port is already allocated"):
        at_hand.on_host(SOURCE, "docker", "start", "postgres-moved")
    assert not at_hand.inspect(SOURCE, "postgres-moved")["State"]["Running"]


def test_all_passes_again_after_the_repair(rehearsal: Rehearsal) -> None:
    """With the damage repaired validate passes: it was the damage that it found, and nothing of it stayed."""
    ran = at_hand.run_phase("validate")
    assert ran.code == 0, ran.output[-3000:]


def _relay_of(service: str) -> str:
    """Return the relay on the source that holds the service's published port."""
    ports = set(at_hand.inspect(SOURCE, f"{service}-moved")["HostConfig"]["PortBindings"])
    found = [
        name
        for name, raw in at_hand.containers(SOURCE).items()
        if raw["Config"]["Labels"].get("longshore.role") == "forwarder"
        and ports & set(raw["HostConfig"]["PortBindings"] or {})
    ]
    assert len(found) == 1, found
    return found[0]
