"""Texts that people signed and that lie in a run's folder: approvals, waivers, attestations; each signature fits its
own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import rfc8785

from engine.errors import InputError
from engine.evidence.seal.sealed_folder import APPROVALS, ATTACHMENTS, WAIVERS, Sealed, digest_of
from engine.journal.kinds import RecordKind
from engine.journal.record import Record
from engine.signoff.approval import NAMESPACE as APPROVAL
from engine.signoff.approval import parse_statement
from engine.signoff.attestation import NAMESPACE as ATTESTATION
from engine.signoff.waiver import NAMESPACE as WAIVER


@dataclass(frozen=True)
class Signed:
    """What a signature says: the key's fingerprint, the person whose key it is ("" when nobody was asked), and what is
    wrong.
    """

    fingerprint: str = ""
    person: str = ""
    problem: str = ""


class SignatureReader(Protocol):
    """Reads signatures; implemented by `hosts.local.ssh_signing.SignatureCheck`, faked in unit tests."""

    @property
    def knows_people(self) -> bool:
        """Return whether a signature must be of somebody who was named."""

    def read(self, content: bytes, signature: bytes, namespace: str) -> Signed:
        """Return whose signature over `content` it is, with what is wrong with it."""


@dataclass(frozen=True)
class Kind:
    """Where texts of a kind lie, what their signatures are for, which line names the person, and what the
    person did.
    """

    folder: str
    namespace: str
    person: re.Pattern[str]
    action: str
    record: str = ""


KINDS: Final = (
    Kind(APPROVALS, APPROVAL, re.compile(r"^person: (.+)$", re.MULTILINE), "approved", RecordKind.APPROVAL),
    Kind(WAIVERS, WAIVER, re.compile(r"^approver: (.+)$", re.MULTILINE), "waived", RecordKind.SIGNED_WAIVER),
    Kind(ATTACHMENTS, ATTESTATION, re.compile(r"^person: (.+)$", re.MULTILINE), "attested"),
)
"""`record`: the kind of the journal's records that hold these texts; attestations are copied next to what they
show.
"""


def signed_files(record: Record) -> Iterator[tuple[str, str]]:
    """Yield the files that a record of a signed text holds: the text and its signature, by their path in the run's
    folder.
    """
    kind = next((kind for kind in KINDS if kind.record == record.kind), None)
    if kind:
        name = str(record.body["file"]).rpartition("/")[2]  # an altered record leads nowhere else
        yield f"{kind.folder}/{name}", str(record.body["text"])
        yield f"{kind.folder}/{name}.sig", str(record.body["signature"])


def signed_by(sealed: Sealed, signatures: SignatureReader) -> Iterator[tuple[str, str, str]]:
    """Yield each waiver and attestation of a folder, its person, and the fingerprint of the key that signed it."""
    for kind in KINDS:
        for name in sorted(
            name for name in sealed.files if name.startswith(f"{kind.folder}/") and f"{name}.sig" in sealed.files
        ):
            found = kind.person.search(sealed.text(name).partition("\n\n")[0])
            if kind.folder != APPROVALS and found:
                yield (
                    name,
                    found[1],
                    signatures.read(sealed.files[name], sealed.files[f"{name}.sig"], kind.namespace).fingerprint,
                )


def text_problems(
    sealed: Sealed, records: Sequence[Record], signatures: SignatureReader, notes: list[str]
) -> Iterable[str]:
    """Yield what is wrong with the signed texts of a folder; good ones are listed in `notes`."""
    for kind in KINDS:
        signed = {
            name.removesuffix(".sig")
            for name in sealed.files
            if name.startswith(f"{kind.folder}/") and name.endswith(".sig")
        }
        if kind.record:
            here = {name for name in sealed.files if name.startswith(f"{kind.folder}/") and not name.endswith(".sig")}
            recorded = {
                name
                for record in records
                if record.kind == kind.record
                for name, _ in signed_files(record)
                if not name.endswith(".sig")
            }
            yield from (
                f"{name}: no record of this run holds it. Expected: what is on record"
                for name in sorted(here - recorded)
            )
            yield from (f"{name}: missing. Expected: what the run was made under" for name in sorted(recorded - here))
            signed |= here
        for name in sorted(signed & set(sealed.files)):
            yield from _signature_problems(sealed, kind, name, signatures, notes)
    for name in sorted(name for name in sealed.files if name.startswith(f"{APPROVALS}/") and not name.endswith(".sig")):
        yield from _approval_problems(sealed.text(name), name, records[0])


def _signature_problems(
    sealed: Sealed, kind: Kind, name: str, signatures: SignatureReader, notes: list[str]
) -> Iterable[str]:
    found = kind.person.search(sealed.text(name).partition("\n\n")[0])
    person = found[1] if found else "nobody"
    signature = sealed.files.get(f"{name}.sig")
    if signature is None:
        yield f"{name}.sig: missing. Expected: the signature of {person}"
        return
    signed = signatures.read(sealed.files[name], signature, kind.namespace)
    if signed.problem:
        yield f"{name}.sig: {signed.problem}. Expected: a signature of {person} over {name}"
    elif signatures.knows_people and signed.person != person:
        yield f"{name}.sig: was made by {signed.person}. Expected: {person}, in whose name it is"
    else:
        notes.append(f"{kind.action} by {person}, key {signed.fingerprint}: {name}")


def _approval_problems(text: str, name: str, run: Record) -> Iterable[str]:
    """Yield why an approval is not for this run: of another plan or environment, or its own digests don't fit."""
    try:
        subject = parse_statement(text, name).subject
    except InputError as error:
        yield str(error)
        return
    if subject.digest != run.body.get("plan_digest"):
        yield (
            f"{name}: approves plan {subject.digest}. Expected: {run.body.get('plan_digest')}, with which the run "
            "was made"
        )
    if subject.environment != run.body.get("environment"):
        yield f"{name}: is for environment {subject.environment}. Expected: {run.body.get('environment')}"
    if digest_of(rfc8785.dumps(dict(subject.parts))) != subject.digest:
        yield f"{name}: the digests of its parts don't give its digest {subject.digest}. Expected: they do"
