"""The restore drill on real hosts: a good backup passes, each kind of damaged one is found, and nothing is
left behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from actions.backup.restore_drill import RestoreDrill
from checks.backups.backups import BackupObject
from engine.config.environment import load_environment
from engine.contracts.action import Note
from engine.run.options import Options
from engine.verdict import Judgement, Verdict
from phases.session.opening import open_session
from tests.lab import at_hand, killing
from tests.lab.at_hand import ROOT, STATE, TARGETS

SERVICE: Final = "redis"
EXPORT: Final = "export dump.rdb"
CONFIGURATION: Final = "bind /srv/redis/redis.conf"
PREPARE: Final = ("prepare", "--apply", "--service")
LEFT: Final = """
docker ps -aq --filter label=longshore.role=drill; docker volume ls -q --filter label=longshore.role=drill
docker network ls -q --filter label=longshore.role=drill; ls -d /run/longshore-* 2>/dev/null;
  grep drill /root/.ssh/authorized_keys; true
"""

pytestmark = [pytest.mark.lab, pytest.mark.full]


@pytest.fixture(scope="module")
def prepared(fresh_lab: None) -> at_hand.Ran:
    """Prepare one service of the untouched lab."""
    return at_hand.run_phase(*PREPARE, SERVICE)


def backup_place() -> tuple[str, str]:
    """Return the host and the path of the backups."""
    place = load_environment(ROOT / "environments" / "lab.yaml").backup
    assert place is not None
    return place.host, place.path


def restic(script: str) -> str:
    """Run a script on the backup's host, in the toolbox, with a repository that restic opens by itself."""
    host, path = backup_place()
    password = (STATE / "secrets" / "backup_password").read_text(encoding="utf-8").strip()
    run = (
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--env-file",
        "/dev/stdin",
        "--volume",
        f"{path}:/repository",
        "longshore/toolbox:1",
    )
    return at_hand.on_host(
        host, *run, "sh", "-ec", script, stdin=f"RESTIC_PASSWORD={password}\nRESTIC_REPOSITORY=/repository\n".encode()
    )


@contextmanager
def damaged(script: str) -> Iterator[None]:
    """Damage the repository by a script, for as long as it takes."""
    host, path = backup_place()
    at_hand.on_host(host, "cp", "-a", path, f"{path}.good")
    try:
        restic(script)
        yield
    finally:
        at_hand.on_host(host, "sh", "-c", f"rm -rf {path} && mv {path}.good {path}")


def pack_of(item: BackupObject) -> str:
    """Return the file of the repository that holds the first piece of a snapshot's one file."""
    tree = json.loads(restic(f"restic cat tree {item.snapshot} --quiet"))
    piece = tree["nodes"][0]["content"][0]
    found = re.search(r"pack ([0-9a-f]{64})", restic(f"restic find --quiet --blob --show-pack-id {piece}"))
    assert found, piece
    return f"/repository/data/{found[1][:2]}/{found[1]}"


FLIP: Final = (
    "python3 -c \"import sys; f = open(sys.argv[1], 'r+b'); f.seek(100); b = f.read(1)[0]; f.seek(100); "
    'f.write(bytes([b ^ 1]))" {pack}'
)


@contextmanager
def drill_of(service: str) -> Iterator[RestoreDrill]:
    """Return the drill of the backup on record, outside a run that takes another one."""
    options = Options(
        "lab",
        (service,),
        (),
        apply=False,
        inventory=Path("inventory.yaml"),
        plan=Path("migration_plan.json"),
        ssh_config=None,
        argv=(),
    )
    with open_session(options, "prepare") as session:
        action = session.moves[service].recipe[-1]
        assert isinstance(action, RestoreDrill)
        yield action


def judged(action: RestoreDrill) -> Judgement:
    """Perform a drill and return what it says."""
    note: Note = {}
    action.do(note)
    return action.verify(note)


def with_export(action: RestoreDrill, name: str, making: Callable[[BackupObject], str]) -> RestoreDrill:
    """Return the drill of the same backup, whose export is a good snapshot of what a script prints."""
    taken = {item.name: item for item in action.taken()}
    file = name.removeprefix("export ")
    summary = restic(
        f"{{ {making(taken[name])}; }} | restic backup --quiet --json --stdin --stdin-filename {file}"
    ).splitlines()[-1]
    other = replace(taken[name], snapshot=json.loads(summary)["snapshot_id"])
    restic("restic check --quiet --read-data")
    return replace(action, taken=lambda: (*[item for item in taken.values() if item.name != name], other))


def left(*hosts: str) -> list[str]:
    """Return what a drill left on the hosts."""
    return [line for host in hosts or at_hand.HOSTS for line in at_hand.on_host(host, "sh", "-c", LEFT).splitlines()]


def test_a_good_backup_is_restored_and_compared(prepared: at_hand.Ran) -> None:
    """Its row says on which host, how long, and how much was equal; nothing of it is left on any host."""
    row = at_hand.row(prepared, SERVICE, "restore-drilled")

    assert (prepared.code, row["verdict"]) == (0, "PASSED"), prepared.output[-3000:]
    assert re.search(
        rf"restored on {TARGETS[SERVICE]} in \d+ s, redis: all equal; \d+ parts \(5\d,\d+ things\) compared",
        row["text"],
    ), row["text"]
    assert left() == []


def test_garbage_with_a_right_checksum_is_not_restored(prepared: at_hand.Ran) -> None:
    """A sound snapshot of something that is no dump: restic reads all of it, the service does not start from it."""
    with drill_of(SERVICE) as action:
        answer = judged(with_export(action, EXPORT, lambda _: "head -c 300000 /dev/urandom"))

    assert answer.verdict is Verdict.FAILED
    assert "the scratch copy is exited" in answer.text
    assert left() == []


def test_a_flipped_bit_passes_restic_check_and_not_the_drill(prepared: at_hand.Ran) -> None:
    """Unchanged data comes from the damaged piece again: the backup is taken, the drill refuses it, and
    preflight too.
    """
    with drill_of(SERVICE) as action:
        configuration = next(item for item in action.taken() if item.name == CONFIGURATION)
    with damaged(FLIP.format(pack=pack_of(configuration)) + "; restic check --quiet"):
        ran = at_hand.run_phase(*PREPARE, SERVICE)
        preflight = at_hand.run_phase("preflight", "--service", SERVICE)

    result = at_hand.row(ran, SERVICE, "restore-drilled")
    assert at_hand.row(ran, SERVICE, "backup-taken")["verdict"] == "PASSED"
    assert (ran.code, result["verdict"]) == (1, "FAILED"), ran.output[-3000:]
    assert [
        word
        for word in (CONFIGURATION, "can't be read", "ciphertext verification failed", ".damaged")
        if word not in result["text"]
    ] == []
    refused = at_hand.row(preflight, SERVICE, "backup-present")
    assert (refused["verdict"], "the restore drill failed" in refused["text"]) == ("FAILED", True), refused["text"]
    assert left() == []


@pytest.mark.parametrize("damage", ["truncate --size 50 {pack}", "rm {pack}"])
def test_a_truncated_or_missing_piece_is_found(prepared: at_hand.Ran, damage: str) -> None:
    """A file of the repository that is too short, or gone."""
    with drill_of(SERVICE) as action:
        configuration = next(item for item in action.taken() if item.name == CONFIGURATION)
        with damaged(damage.format(pack=pack_of(configuration))):
            answer = judged(action)

    assert (answer.verdict, "can't be read" in answer.text) == (Verdict.FAILED, True), answer.text
    assert left() == []


def test_a_dump_that_ends_early_is_found(prepared: at_hand.Ran) -> None:
    """Half a snapshot of redis, stored well, is not loaded."""
    with drill_of(SERVICE) as action:
        answer = judged(
            with_export(action, EXPORT, lambda item: f"restic dump {item.snapshot} /dump.rdb | head -c 500000")
        )

    assert (answer.verdict, "scratch copy is exited" in answer.text) == (Verdict.FAILED, True), answer.text


def test_other_services_are_drilled_too(fresh_lab: None) -> None:
    """PostgreSQL from its dump, Prometheus from its archived files."""
    for service in ("postgres", "prometheus"):
        ran = at_hand.run_phase(*PREPARE, service)
        assert (ran.code, at_hand.row(ran, service, "restore-drilled")["verdict"]) == (0, "PASSED"), ran.output[-3000:]
    with drill_of("postgres") as action:
        whole = judged(action)
        half = judged(
            with_export(
                action, "export cluster.sql", lambda item: f"restic dump {item.snapshot} /cluster.sql | head -c 9000000"
            )
        )
    assert whole.passed, whole.text
    assert half.verdict is Verdict.FAILED, half.text
    assert left() == []


def test_what_a_killed_drill_left_is_removed_by_the_next(prepared: at_hand.Ran) -> None:
    """Killed while its copy runs: the next prepare removes it and drills again."""
    ended = killing.run_until(
        lambda seen: (seen.kind, seen.key) == ("intent", "restore-drilled"),
        "prepare",
        "--lab",
        "--apply",
        "--service",
        SERVICE,
        delay_s=3.0,
    )
    assert ended.killed_at is not None
    assert left(TARGETS[SERVICE]) != []

    ran = at_hand.run_phase(*PREPARE, SERVICE)

    assert ran.code == 0, ran.output[-3000:]
    assert left() == []
