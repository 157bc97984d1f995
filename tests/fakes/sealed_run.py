"""A sealed run of a migration that two people approved, with a signature that needs no program."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785

from engine.evidence import write_evidence
from engine.evidence.seal.signed_files import Signed
from engine.signoff.approval import NAMESPACE as APPROVAL
from engine.signoff.approval import Statement, Subject
from engine.verdict import ExitCode
from tests.fakes.run_on_record import Night

KEYS = {"ana@example.org": b"key of ana", "bob@example.org": b"key of bob", "eve@example.org": b"key of eve"}
ROLES = {"ana@example.org": ["technical"], "bob@example.org": ["business"]}


def fingerprint(person: str) -> str:
    """Return the fingerprint of a person's key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(KEYS[person]).digest()).decode().rstrip("=")


def approver(person: str) -> dict[str, Any]:
    """Return a person as an environment lists them."""
    return {"roles": ROLES.get(person, ["technical"]), "key": "ssh-ed25519 " + base64.b64encode(KEYS[person]).decode()}


PARTS: dict[str, bytes] = {
    "inventory.yaml": b'{"services":{"redis":{}}}',
    "lab.yaml": json.dumps(
        {"environment": "lab", "approvers": {person: approver(person) for person in ROLES}}
    ).encode(),
    "migration_plan.json": (
        b'{"approvals":[{"role":"technical","count":1},{"role":"business","count":1}],"moves":["redis"]}'
    ),
}
"""What the run was made with: the plan asks for two people, whose keys the environment names."""


def sign(person: str, content: bytes, namespace: str) -> bytes:
    """Return a signature."""
    return person.encode() + b" " + hmac.new(KEYS[person], namespace.encode() + content, "sha256").hexdigest().encode()


class FakeSigner:
    """Signs as one person."""

    def __init__(self, person: str = "ana@example.org") -> None:
        """Take the person's key."""
        self.person, self.fingerprint = person, fingerprint(person)

    def sign(self, path: Path, namespace: str) -> None:
        """Write the signature next to the file."""
        path.with_name(path.name + ".sig").write_bytes(sign(self.person, path.read_bytes(), namespace))


class FakeCheck:
    """Reads such signatures; with people, only theirs count."""

    def __init__(self, *people: str) -> None:
        """Take the people whose signatures count."""
        self.people = people

    @property
    def knows_people(self) -> bool:
        """Return whether somebody was named."""
        return bool(self.people)

    def read(self, content: bytes, signature: bytes, namespace: str) -> Signed:
        """Return whose it is."""
        person = signature.partition(b" ")[0].decode("utf-8", "replace")
        if person not in KEYS or sign(person, content, namespace) != signature:
            return Signed(problem="does not fit: incorrect signature")
        if self.people and person not in self.people:
            return Signed(fingerprint(person), problem="is of a key that is not in the file")
        return Signed(fingerprint(person), person if self.people else "")


def sealed_folder(
    tmp_path: Path,
    signer: FakeSigner | None = None,
    *,
    approvals: tuple[tuple[str, str], ...] = (("ana@example.org", "technical"), ("bob@example.org", "business")),
    parts_of: dict[str, bytes] | None = None,
    signing: dict[str, str] | None = None,
) -> Path:
    """Return the folder of a run with rows of every kind, plan and approvals, sealed.

    `approvals` are the people and their roles, `signing` whose key signs for somebody, `parts_of` other parts of the
    plan.
    """
    night = Night(tmp_path)
    kept = parts_of or PARTS
    parts = {name: hashlib.sha256(text).hexdigest() for name, text in kept.items()}
    digest = hashlib.sha256(rfc8785.dumps(dict(parts))).hexdigest()
    night.plan_digest = digest
    night.run = night.another("migrate")
    night.run.record("plan", body={"digest": digest, "parts": parts})
    for name, text in kept.items():
        night.run.record("plan_part", key=parts[name], body={"name": name, "text": text.decode()})
    for person, role in approvals:
        one = Statement(
            Subject("lab", digest, parts, {"redis": "c" * 64}), role, person, datetime(2026, 1, 1, tzinfo=UTC)
        )
        text_ = one.text("The plan as a person reads it")
        body = {
            "file": f"{role}-{person}.txt",
            "person": person,
            "role": role,
            "signed_at": one.signed_at.isoformat(),
            "text": text_,
        }
        night.run.record(
            "approval",
            body={**body, "signature": sign((signing or {}).get(person, person), text_.encode(), APPROVAL).decode()},
        )
    waiver = "longshore waiver 1\nstep: preflight/clock\napprover: ana@example.org\n\nwhy\n"
    signature = sign("ana@example.org", waiver.encode(), "longshore-waiver").decode()
    night.run.record(
        "signed_waiver",
        body={"file": "0a1b2c3d.txt", "person": "ana@example.org", "text": waiver, "signature": signature},
    )
    for number, verdict in enumerate(("PASSED", "PASSED", "FAILED", "UNKNOWN", "NOT_RUN", "WAIVED", "PASSED")):
        night.row(verdict, f"text {number}", key=f"step-{number}", details=[f"line {number}"])
    night.row(service=None, key="ssh")
    night.run.finish({"PASSED": 4}, ExitCode.FAILED)
    folder = tmp_path / "reports" / "lab" / "20260101T000000Z-migrate-00000000"
    folder.mkdir(parents=True)
    (folder / "pytest.html").write_text("<html>as pytest-html wrote it</html>", encoding="utf-8")
    attested = b"longshore attestation 1\nperson: bob@example.org\n\nwhat was asked\n"
    (folder / "attachments").mkdir()
    (folder / "attachments" / "dns.txt").write_bytes(attested)
    (folder / "attachments" / "dns.txt.sig").write_bytes(sign("bob@example.org", attested, "longshore-attestation"))
    return write_evidence(night.journal, night.run.id, folder, signer).folder
