"""The waivers of a run: read, compared with what there is, and each checked to be signed by its approver."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import rfc8785

from engine.config.scope import Scope
from engine.config.validation import Strict, refuse
from engine.errors import InputError
from engine.finding import say
from engine.journal.journal import Run
from engine.journal.kinds import RecordKind
from engine.run.options import Options
from engine.run.xdist_worker import BufferedRun
from engine.signoff.waiver import DEFAULT, NAMESPACE, Waiver, Waivers, problems_of, read_waivers, signed_at
from phases.context.audit_mirror import AuditMirror
from phases.signoff.signatures import Signer, folder_of, problem_of_signature, sign_statement, signed_in_future

NAMED: Final = 16
"""So many digits of a waiver's digest name its file."""


def load_waivers(options: Options, scope: Scope) -> Waivers:
    """Return the run's waivers; raises InputError for a file that is wrong, and for a waiver that is not signed."""
    path = options.waivers or DEFAULT
    found = list_waivers(options, scope)
    refuse(
        path,
        [
            say("waivers ({about}): {problem}", about=one.about, problem=problem)
            for one in found
            if (problem := signing_problem(scope, one))
        ],
    )
    return Waivers(str(path), tuple(found))


def list_waivers(options: Options, scope: Scope) -> list[Waiver]:
    """Return the waivers of the run's environment, signed or not; none without a file. Raises InputError with all
    problems.
    """
    path = options.waivers or DEFAULT
    if options.waivers is None and not path.exists():
        return []
    environment = scope.environment.environment
    draft = read_waivers(path)
    services = {move.service for move in scope.plan.moves if move.service in scope.services}
    content = draft.judged(problems_of(draft, environment, services, scope.environment.hosts))
    return [waiver for waiver in content.waivers if waiver.environment == environment]


def file_of(waiver: Waiver) -> Path:
    """Return where a waiver's signed text is: its name is made of what it says."""
    return folder_of(waiver.environment) / "waived" / f"{waiver.digest[:NAMED]}.txt"


def rests_on(scope: Scope, waiver: Waiver) -> str:
    """Return the SHA-256 over the part of the plan that a waiver's row is about; one about all rests on the whole plan.

    Of a service: its move, its entry, its links and its two hosts. Of a host: the host, and every move from it or to
    it.
    """
    if waiver.service is None and waiver.host is None:
        return scope.digest
    moves = [
        move
        for move in scope.plan.moves
        if waiver.service == move.service or (waiver.host and waiver.host in {move.source, move.target})
    ]
    services = {move.service for move in moves} & set(scope.services)
    hosts = {host for move in moves for host in (move.source, move.target)} if waiver.service else {str(waiver.host)}
    content: dict[str, Any] = {
        "moves": [_data(move) for move in moves],
        "services": {name: _data(scope.services[name]) for name in sorted(services)},
        "links": sorted((_data(link) for link in scope.links if services & {link.from_, link.to}), key=rfc8785.dumps)
        if waiver.service
        else [],
        "hosts": {
            name: _data(scope.environment.hosts[name]) for name in sorted(hosts) if name in scope.environment.hosts
        },
        "thresholds": {name: _data(scope.thresholds(name)) for name in sorted(hosts)},
    }
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def _data(model: Strict) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True)


def signing_problem(scope: Scope, waiver: Waiver) -> str:
    """Return why a waiver does not count, empty when its approver signed exactly this."""
    path, again = file_of(waiver), scope.command("waive", "--as", waiver.approver)
    if not path.exists():
        return say("not signed by {approver}, or changed since. Try: {again}", approver=waiver.approver, again=again)
    try:
        text = path.read_text(encoding="utf-8")
        if other := waiver.differs_from(text, str(path), rests_on(scope, waiver)):
            return say("{path} {other}. Try: {again}", path=path, other=other, again=again)
        at = signed_at(text, str(path))
    except (InputError, OSError, UnicodeDecodeError) as error:
        return str(error)
    return problem_of_signature(scope, path, Signer(NAMESPACE, waiver.approver, waiver.role)) or signed_in_future(
        at, again=again
    )


def sign_waivers(scope: Scope, waivers: list[Waiver], person: str, private_key: Path | None) -> Iterator[Path]:
    """Sign those of one person that are not signed yet, and yield each file; raises InputError for one who may not."""
    for waiver in waivers:
        if waiver.approver == person and signing_problem(scope, waiver):
            yield sign_statement(
                scope,
                file_of(waiver),
                waiver.text(datetime.now(UTC), rests_on(scope, waiver)),
                Signer(NAMESPACE, person, waiver.role),
                private_key,
            )


def record_waivers(run: Run | AuditMirror | BufferedRun, waivers: Waivers) -> None:
    """Write down what was signed, so that the evidence holds it too."""
    for waiver in waivers.waivers:
        path = file_of(waiver)
        text, signature = (
            path.read_text(encoding="utf-8"),
            path.with_name(f"{path.name}.sig").read_text(encoding="utf-8"),
        )
        run.record(
            RecordKind.WAIVER,
            service=waiver.service,
            key=waiver.step,
            body={**waiver.kept(), "host": waiver.host, "signed": text, "signature": signature},
        )
