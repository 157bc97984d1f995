"""evidence.json says what the run was, by the rules of in-toto's test-result predicate; it never says better than it
was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.evidence import write_evidence
from engine.evidence.seal.sealed_folder import digest_of
from engine.verdict import ExitCode
from tests.fakes.run_on_record import PASSWORD, Night
from tests.fakes.sealed_run import FakeSigner, fingerprint, sealed_folder


def statement(folder: Path) -> dict[str, Any]:
    """Return a folder's statement."""
    return dict(json.loads((folder / "evidence.json").read_text(encoding="utf-8")))


def test_it_is_a_statement_over_every_file(tmp_path: Path) -> None:
    """Each file but the seals, by its SHA-256; and plan, approvals, hosts, chain, versions and the signing key."""
    folder = sealed_folder(tmp_path, FakeSigner())

    document = statement(folder)

    assert (document["_type"], document["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://in-toto.io/attestation/test-result/v0.1",
    )
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    subjects = {one["name"]: one["digest"]["sha256"] for one in document["subject"]}
    assert subjects == {
        n: digest_of(content)
        for n, content in files.items()
        if n not in {"evidence.json", "SHA256SUMS", "SHA256SUMS.sig"}
    }
    assert set(subjects) > {
        "pytest.html",
        "plan/lab.yaml",
        "approvals/technical-ana@example.org.txt.sig",
        "journal.jsonl",
    }
    predicate, own = document["predicate"], document["predicate"]["longshore"]
    last = json.loads(files["journal.jsonl"].splitlines()[-1])
    assert own["chains"] == [{"run": last["run_id"], "writer": "", "records": last["number"], "head": last["hash"]}]
    assert (own["verdict"], own["exit_name"], own["totals"]["PASSED"], own["operator"]) == (
        "FAILED",
        "FAILED",
        4,
        "ana@desk",
    )
    assert own["signed_with"] == fingerprint("ana@example.org")
    assert [(one["person"], one["role"]) for one in own["approvals"]] == [
        ("ana@example.org", "technical"),
        ("bob@example.org", "business"),
    ]
    assert own["hosts"] == [{"name": "wf001", "address": "192.0.2.11", "ssh_host_key": "SHA256:x"}]
    assert {one["name"]: one["digest"]["sha256"] for one in predicate["configuration"]} == {
        "plan": own["plan_digest"],
        **{name: subjects[f"plan/{name}"] for name in ("inventory.yaml", "lab.yaml", "migration_plan.json")},
    }


@pytest.mark.parametrize(
    ("verdicts", "severity", "result", "verdict"),
    [
        (["PASSED", "PASSED"], "blocker", "PASSED", "PASSED"),
        (["PASSED", "WAIVED"], "blocker", "WARNED", "PASSED"),
        (["PASSED", "FAILED"], "warning", "WARNED", "PASSED"),
        (["PASSED", "FAILED"], "blocker", "FAILED", "FAILED"),
        (["PASSED", "UNKNOWN"], "blocker", "FAILED", "UNKNOWN"),
        (["PASSED", "PENDING"], "blocker", "FAILED", "PENDING"),
        (["PASSED", "PLANNED"], "blocker", "FAILED", "PLANNED"),
        ([], "blocker", "FAILED", "UNKNOWN"),
    ],
)
def test_the_result_is_never_better_than_the_verdict(
    tmp_path: Path, verdicts: list[str], severity: str, result: str, verdict: str
) -> None:
    """The predicate has three words: what was not proven is FAILED there, a dry run too; our own word
    stands next to it.
    """
    night = Night(tmp_path)
    for number, one in enumerate(verdicts):
        night.row(one, key=str(number), severity=severity)
    night.page()

    predicate = statement(write_evidence(night.journal, night.run.id, tmp_path / "r" / "one").folder)["predicate"]

    assert (predicate["result"], predicate["longshore"]["verdict"]) == (result, verdict)
    assert sum(len(predicate[f"{kind}Tests"]) for kind in ("passed", "warned", "failed")) == len(verdicts)


def test_a_killed_or_altered_run_did_not_pass(tmp_path: Path) -> None:
    """Whatever its rows say."""
    night = Night(tmp_path)
    night.row()
    killed = statement(write_evidence(night.journal, night.run.id, tmp_path / "r" / "killed").folder)["predicate"]
    night.run.finish({}, ExitCode.OK)
    night.tamper("UPDATE records SET body = replace(body, 'ok', 'no') WHERE kind = 'result'")
    altered = statement(write_evidence(night.journal, night.run.id, tmp_path / "r" / "altered").folder)["predicate"]

    assert (killed["result"], killed["longshore"]["finished"]) == ("FAILED", False)
    assert (altered["result"], altered["longshore"]["verdict"]) == ("FAILED", "FAILED")


def test_what_was_redacted_is_counted(tmp_path: Path) -> None:
    """And is not there."""
    night = Night(tmp_path)
    night.row("FAILED", f"AUTH {PASSWORD}", key=PASSWORD)
    night.page()

    folder = write_evidence(night.journal, night.run.id, tmp_path / "r" / "one").folder

    assert statement(folder)["predicate"]["longshore"]["redacted"] == 2
    assert PASSWORD not in (folder / "evidence.json").read_text(encoding="utf-8")


def test_a_file_of_the_plan_that_had_to_be_redacted_is_left_out(tmp_path: Path) -> None:
    """Its digest stays: what was approved is known, what it says is not shown."""
    night = Night(tmp_path)
    text = f'{{"notes":"{PASSWORD}"}}'
    digest = digest_of(text.encode())
    night.run.record("plan", body={"digest": "d" * 64, "parts": {"migration_plan.json": digest}})
    night.run.record("plan_part", key=digest, body={"name": "migration_plan.json", "text": text})
    night.page()

    folder = write_evidence(night.journal, night.run.id, tmp_path / "r" / "one").folder

    assert not (folder / "plan").exists()
    assert statement(folder)["predicate"]["configuration"][1] == {
        "name": "migration_plan.json",
        "digest": {"sha256": digest},
    }
