"""docs/verify.md without longshore: its commands, run as they stand there, pass a good bundle and stop at a changed
one.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785

from engine.evidence import write_evidence
from engine.evidence.seal.archive import pack
from engine.evidence.seal.sealed_folder import digest_of, read_folder
from engine.signoff.approval import NAMESPACE as APPROVAL
from engine.signoff.approval import Statement, Subject
from engine.verdict import ExitCode
from hosts.local.ssh_signing import open_signer
from tests.fakes.run_on_record import Night
from tests.fakes.sealed_run import PARTS

DOCS = Path(__file__).parents[5] / "docs" / "verify.md"
ANA = "ana@example.org"


@pytest.fixture
def place(local_program: None, tmp_path: Path) -> Path:
    """Return a folder with the sealed and signed run of an approved plan and a file of allowed signers."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text(encoding="utf-8").strip()
    (tmp_path / "allowed_signers").write_text(
        f'{ANA} namespaces="longshore-evidence,longshore-approval" {public}\n', encoding="utf-8"
    )
    night = Night(tmp_path)
    parts = {name: digest_of(text) for name, text in PARTS.items()}
    night.plan_digest = digest_of(rfc8785.dumps(dict(parts)))
    night.run = night.another("migrate")
    night.run.record("plan", body={"digest": night.plan_digest, "parts": parts})
    for name, text in PARTS.items():
        night.run.record("plan_part", key=parts[name], body={"name": name, "text": text.decode()})
    statement = Statement(
        Subject("lab", night.plan_digest, parts, {}), "technical", ANA, datetime(2026, 1, 1, tzinfo=UTC)
    )
    file = tmp_path / "approval"
    file.write_text(statement.text("The plan as a person reads it: ü → ✓"), encoding="utf-8")
    open_signer(key).sign(file, APPROVAL)
    body = {
        "file": f"technical-{ANA}.txt",
        "person": ANA,
        "role": "technical",
        "signed_at": "2026-01-01T00:00:00+00:00",
    }
    signed = {
        "text": file.read_text(encoding="utf-8"),
        "signature": file.with_name("approval.sig").read_text(encoding="utf-8"),
    }
    night.run.record("approval", body={**body, **signed})
    for verdict in ("PASSED", "FAILED", "PASSED"):
        night.row(
            verdict,
            'ü → 日本 \u202e \x01 " \\ / <&> 👍',
            measured={"share": 0.5, "whole": 1.0, "bytes": 2**52, "small": 0.001},
        )
    night.run.finish({}, ExitCode.FAILED)
    write_evidence(night.journal, night.run.id, tmp_path / "reports" / "20260101T000000Z-migrate-0", open_signer(key))
    return tmp_path


def follow_docs(place: Path) -> subprocess.CompletedProcess[str]:
    """Run the commands of the page in a folder that holds the bundle."""
    script = "\n".join(re.findall(r"```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL))
    assert script.count("ssh-keygen -Y verify") == 2
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=place, capture_output=True, text=True, check=False
    )


def bundled(place: Path, **changed: Callable[[bytes], bytes]) -> subprocess.CompletedProcess[str]:
    """Follow the page over a bundle in which some files hold something else."""
    folder = next((place / "reports").glob("2*"))
    for name, change in changed.items():
        file = next(path for path in folder.rglob("*") if path.name == name)
        file.write_bytes(change(file.read_bytes()))
    (place / "bundle.tar.gz").write_bytes(pack(read_folder(folder)))
    return follow_docs(place)


def test_only_the_head_of_an_approval_counts(place: Path) -> None:
    """A good signature for another plan, in whose notes the digest of this one stands on a line of its own."""
    parts = {name: digest_of(text) for name, text in PARTS.items()}
    digest = digest_of(rfc8785.dumps(dict(parts)))
    other = Statement(Subject("lab", "b" * 64, parts, {}), "technical", ANA, datetime(2026, 1, 1, tzinfo=UTC))
    file = place / "technical-other.txt"
    file.write_text(other.text(f"note\n\ndigest: {digest}\nperson: {ANA}\n"), encoding="utf-8")
    open_signer(place / "key").sign(file, APPROVAL)

    text, signature = file.read_bytes(), file.with_name("technical-other.txt.sig").read_bytes()
    folder = next((place / "reports").glob("2*"))
    (folder / "approvals" / f"technical-{ANA}.txt.sig").write_bytes(signature)
    (folder / "approvals" / f"technical-{ANA}.txt").write_bytes(text)
    script = next(
        block
        for block in re.findall(r"```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
        if "for approval" in block
    )
    argv = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "Good" not in done.stdout


def test_a_good_bundle_passes(place: Path) -> None:
    """To its last line, which gives verdict and totals."""
    done = bundled(place)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f'Good "longshore-evidence" signature for {ANA}') == 1
    assert done.stdout.count(f'Good "longshore-approval" signature for {ANA}') == 1
    assert done.stdout.splitlines()[-3:] == ["FAILED", "FAILED", '{"FAILED":1,"PASSED":2}']


CHANGES: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    "a page that says something else": {"report.html": lambda content: content.replace(b"failed", b"passed")},
    "sums that do not fit the signature": {"SHA256SUMS": lambda content: content + b"\n"},
    "another signature": {"SHA256SUMS.sig": lambda content: content.replace(b"A", b"B")},
    "another plan": {"migration_plan.json": lambda _: b"{}"},
    "a record less": {"journal.jsonl": lambda content: b"".join(content.splitlines(keepends=True)[:-1])},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_bundle_stops(place: Path, what: str) -> None:
    """Whatever it is, a command of the page fails."""
    assert bundled(place, **CHANGES[what]).returncode != 0


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("journal.jsonl", b'"verdict": "FAILED"', b'"verdict": "PASSED"'),
        ("journal.jsonl", b'"number": 5,', b'"number": 6,'),
    ],
)
def test_the_chain_alone_stops_too(place: Path, name: str, old: bytes, new: bytes) -> None:
    """Without signature and sums, the commands over the records find a changed one."""
    text = DOCS.read_text(encoding="utf-8")
    chain = next(block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "walk(" in block)
    folder = next((place / "reports").glob("2*"))
    run = ["bash", "-euo", "pipefail", "-c", chain]
    assert subprocess.run(run, cwd=folder, capture_output=True, check=False).returncode == 0

    content = (folder / name).read_bytes()
    assert old in content
    (folder / name).write_bytes(content.replace(old, new, 1))

    assert subprocess.run(run, cwd=folder, capture_output=True, check=False).returncode != 0
