"""Attestations: a person says, and signs, that a step which no program can do was done."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from engine.command_line import ANY, typed_command
from engine.constants import NAME, VERSION
from engine.errors import InputError
from engine.finding import say
from engine.signoff.signed_text import one_line, read_statement, statement_text

FORMAT: Final = f"{NAME} attestation 1"
NAMESPACE: Final = f"{NAME}-attestation"


def digest_of(asked: str) -> str:
    """Return what ties an attestation to what was asked: another window or another service asks again."""
    return hashlib.sha256(asked.encode()).hexdigest()


@dataclass(frozen=True)
class Attestation:
    """Who did what, when (by their own clock), with a note and perhaps a file that shows it."""

    environment: str
    step: str  # phase/key
    service: str | None
    person: str
    note: str
    asked_digest: str
    attested_at: datetime
    file: str = ""
    file_sha256: str = ""

    def text(self, asked: str) -> str:
        """Return the text that is signed: what was done, then what had been asked."""
        fields = {
            "environment": self.environment,
            "step": self.step,
            "service": self.service or "",
            "person": self.person,
            "note": self.note,
            "asked": self.asked_digest,
            "attested at": self.attested_at.isoformat(timespec="seconds"),
            "file": self.file,
            "file sha256": self.file_sha256,
            "written by": f"{NAME} {VERSION}",
        }
        return statement_text(FORMAT, fields, asked)

    def summary(self) -> str:
        """Return it in words."""
        shown = say("; see {file}", file=self.file) if self.file else ""
        return say(
            "{person} attested it at {attested_at} UTC by their own clock: {one_line}{shown}",
            person=self.person,
            attested_at=f"{self.attested_at.astimezone(UTC):%Y-%m-%d %H:%M}",
            one_line=one_line(self.note),
            shown=shown,
        )

    def body(self) -> dict[str, str | None]:
        """Return the journal's record of it."""
        return {
            "step": self.step,
            "service": self.service,
            "person": self.person,
            "note": self.note,
            "signed_at": self.attested_at.isoformat(),
            "asked": self.asked_digest,
            "file": self.file or None,
            "file_sha256": self.file_sha256 or None,
        }


def parse_attestation(text: str, where: str) -> Attestation:
    """Return what a signed text says; raises InputError naming `where`."""
    fields = {
        name: "" if value == "-" else value for name, value in read_statement(text, FORMAT, where, "attest").items()
    }
    try:
        at = datetime.fromisoformat(fields["attested at"]).astimezone(UTC)
        return Attestation(
            fields["environment"],
            fields["step"],
            fields["service"] or None,
            fields["person"],
            fields["note"],
            fields["asked"],
            at,
            fields["file"],
            fields["file sha256"],
        )
    except (KeyError, ValueError) as error:
        again = typed_command("attest", environment=ANY)
        raise InputError(
            say(
                "{where}: {error} is missing or wrong. Expected: an attestation as it was signed. Try: {again}",
                where=where,
                error=error,
                again=again,
            )
        ) from error
