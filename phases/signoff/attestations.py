"""Attestations of one environment: signed by who did it, judged when the step's turn comes, kept with the evidence."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from engine.config.scope import Scope
from engine.errors import InputError
from engine.finding import joined, lines_of_text, say
from engine.journal.kinds import RecordKind
from engine.signoff.attestation import NAMESPACE, Attestation, digest_of, parse_attestation
from engine.verdict import Judgement, passed, waiting
from phases.signoff.manual_steps import ManualRequest
from phases.signoff.signatures import (
    Signer,
    folder_of,
    need_person,
    problem_of_signature,
    sign_statement,
    signed_in_future,
)

LARGEST_FILE: Final = 20 << 20
"""Bytes of a file that shows it: a screenshot, a mail, not an archive."""


class Recorder(Protocol):
    """Where an attestation is recorded when its step is judged."""

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: dict[str, Any]) -> Any:
        """Append one record durably."""


def attest(
    scope: Scope, asked: ManualRequest, attestation: Attestation, file: Path | None, private_key: Path | None
) -> Path:
    """Sign an attestation, its file next to it, and return the text's file; raises InputError for one who may not."""
    need_person(scope, attestation.person, asked.step.role)
    path = folder_of(attestation.environment) / "attested" / f"{asked.name}-{attestation.person}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    if file is not None:
        shutil.copyfile(file, path.parent / attestation.file)
    return sign_statement(
        scope,
        path,
        attestation.text(asked.text(scope)),
        Signer(NAMESPACE, attestation.person, asked.step.role),
        private_key,
    )


def new_attestation(scope: Scope, asked: ManualRequest, person: str, note: str, file: Path | None) -> Attestation:
    """Return the attestation of a step as it is asked now; raises InputError for what does not fit together."""
    environment = scope.environment.environment
    if not note.strip():
        raise InputError(
            say('attest: --note: empty. Expected: what was done, e.g. --note "announced in the weekly meeting"')
        )
    name, digest = _kept_file(asked, file) if file else ("", "")
    return Attestation(
        environment,
        asked.step.step,
        asked.service,
        person,
        note,
        digest_of(asked.text(scope)),
        datetime.now(UTC),
        name,
        digest,
    )


def _kept_file(asked: ManualRequest, file: Path) -> tuple[str, str]:
    """Return under which name a file is kept, which is unique per content, and its SHA-256."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(
            say(
                "attest: --file {file}: {strerror}. Expected: a file that shows it. Look: ls -l {file}",
                file=file,
                strerror=error.strerror,
            )
        ) from error
    if not 0 < len(content) <= LARGEST_FILE:
        raise InputError(
            say(
                "attest: --file {file}: {count} bytes. Expected: 1 to {largest_file}",
                file=file,
                count=len(content),
                largest_file=LARGEST_FILE,
            )
        )
    digest = hashlib.sha256(content).hexdigest()
    return f"{asked.name}-{digest[:8]}-{re.sub(r'[^A-Za-z0-9._-]+', '_', file.name)}", digest


@dataclass(frozen=True)
class Attested:
    """What is on record about one step: the attestation that counts, and why others do not."""

    attestation: Attestation | None
    path: Path | None
    void: tuple[str, ...]


def read_attested(scope: Scope, asked: ManualRequest, since: datetime | None = None) -> Attested:
    """Return the newest attestation of a step that is signed by who may, for exactly what is asked now, not before
    `since`.
    """
    good: list[tuple[datetime, Path, Attestation]] = []
    void = []
    for path in sorted((folder_of(scope.environment.environment) / "attested").glob(f"{asked.name}-*.txt")):
        try:
            one = parse_attestation(path.read_text(encoding="utf-8"), str(path))
        except (InputError, OSError, UnicodeDecodeError) as error:
            void.append(str(error))
            continue
        if (one.step, one.service) != (asked.step.step, asked.service):
            continue
        problem = (
            _problem(scope, asked, path, one)
            or _too_old(one, since)
            or signed_in_future(one.attested_at, again=_command(scope, asked))
        )
        if problem:
            void.append(f"{path}: {problem}")
        else:
            good.append((one.attested_at, path, one))
    newest = max(good, key=lambda found: found[0], default=None)
    return Attested(newest[2] if newest else None, newest[1] if newest else None, tuple(void))


def _problem(scope: Scope, asked: ManualRequest, path: Path, one: Attestation) -> str:
    if one.environment != scope.environment.environment:
        return f"it is for environment {one.environment}, not {scope.environment.environment}"
    problem = problem_of_signature(scope, path, Signer(NAMESPACE, one.person, asked.step.role))
    if problem:
        return problem
    if one.asked_digest != digest_of(asked.text(scope)):
        return f"since {one.person} attested it, what is asked has changed (the window, the moves or who uses what)"
    shown = path.parent / one.file
    if one.file and (not shown.is_file() or hashlib.sha256(shown.read_bytes()).hexdigest() != one.file_sha256):
        return f"{shown} is not the file that was attested"
    return ""


def _too_old(one: Attestation, since: datetime | None) -> str:
    if since is None or one.attested_at >= since.replace(microsecond=0):  # it is signed in whole seconds
        return ""
    return (
        f"{one.person} attested it at {one.attested_at:%Y-%m-%d %H:%M:%S} UTC, before the move was committed at "
        f"{since:%Y-%m-%d %H:%M:%S} UTC"
    )


def judge_manual(
    scope: Scope, run: Recorder, folder: Path, asked: ManualRequest, since: datetime | None = None
) -> Judgement:
    """Judge whether a person attested a step; what is asked and what shows it go into the run's folder, the rest into
    the journal.
    """
    text, place = asked.text(scope), folder / "attachments"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place / f"{asked.name}.txt"
    draft.write_text(text, encoding="utf-8")
    found = read_attested(scope, asked, since)
    if found.attestation is None or found.path is None:
        waits = joined("; ", found.void) or say("nobody attested it yet")
        return waiting(
            say(
                "{waits}. What to do: {draft}. Then: {command}",
                waits=waits,
                draft=draft,
                command=_command(scope, asked),
            ),
            lines_of_text(text),
        )
    for file in _files_of(found.path, found.attestation):
        shutil.copyfile(file, place / file.name)
    run.record(
        RecordKind.ATTESTATION,
        service=asked.service,
        key=asked.step.step.partition("/")[2],
        body=dict(found.attestation.body()),
    )
    return passed(found.attestation.summary())


def _files_of(path: Path, one: Attestation) -> list[Path]:
    signature = path.with_name(path.name + ".sig")
    return [path, signature, path.parent / one.file] if one.file else [path, signature]


def _command(scope: Scope, asked: ManualRequest) -> str:
    return say(
        '{command} --as EMAIL --note "…"', command=scope.command("attest", asked.step.step, service=asked.service or "")
    )
