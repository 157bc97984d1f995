"""evidence.json: an in-toto Statement that binds every file of a run's folder to the run's result and to who approved
it.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md. The predicate knows three results; what
it has no word for (UNKNOWN, PENDING, NOT_RUN, a dry run) is FAILED there, and our own verdict is under `longshore`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.constants import NAME
from engine.evidence.formatting import visible
from engine.evidence.headline import FINE, verdict_of, warns
from engine.evidence.seal.sealed_folder import APPROVALS, digest_of
from engine.journal.journal import Record, chain_problems
from engine.journal.kinds import RecordKind
from engine.sharding.merged_run import counted
from engine.verdict import Verdict

TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"
FORMAT: Final = 1
"""Of our own part; another number is another longshore's, which alone can compare it."""

RUN: Final = ("command", "environment", "plan_digest", "operator", "version", "commit", "machine", "apply")


def statement_of(
    records: Sequence[Record], subjects: Mapping[str, str], signer: str | None, *, whole: bool | None = None
) -> dict[str, Any]:
    """Return the statement over files (`subjects`: SHA-256 by name) of the run whose records these are.

    It follows from records and files alone, so whoever has them can make it again and compare. `signer` is the
    fingerprint of the key that signs, None when none does; `whole` whether the chain is, None when nobody looked yet.
    """
    rows = steps_of(records)
    counts = counted(records)
    about, ended = records[0].body, _last(counts, RecordKind.RUN_ENDED)
    whole = not chain_problems(records) if whole is None else whole
    verdict = Verdict.FAILED.value if not whole else verdict_of(rows, finished=ended is not None)
    plan = _last(records, RecordKind.PLAN) or {}
    names = {
        verdicts: [name_of(row) for row in rows if kind_of(row) == verdicts]
        for verdicts in ("passed", "warned", "failed")
    }
    return {
        "_type": TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "result": _result(verdict, rows),
            "configuration": [
                _resource("plan", str(about.get("plan_digest"))),
                *(_resource(*part) for part in (plan.get("parts") or {}).items()),
            ],
            "passedTests": names["passed"],
            "warnedTests": names["warned"],
            "failedTests": names["failed"],
            NAME: {
                "format": FORMAT,
                "verdict": verdict,
                "finished": ended is not None,
                "exit_name": (ended or {}).get("exit_name"),
                "totals": dict(sorted(Counter(str(row["verdict"]) for row in rows).items())),
                "run": records[0].run_id,
                **{name: about.get(name) for name in RUN},
                "started_at": records[0].at,
                "ended_at": records[-1].at,
                "approvals": [_approval(record.body) for record in records if record.kind == RecordKind.APPROVAL],
                "hosts": [
                    {
                        "name": r.body.get("name"),
                        "address": r.body.get("address"),
                        "ssh_host_key": r.body.get("ssh_key_fingerprint"),
                    }
                    for r in counts
                    if r.kind == RecordKind.HOST_OBSERVED
                ],
                "chains": _chains(records),
                "redacted": (ended or {}).get("redacted", 0),
                "signed_with": signer,
            },
        },
    }


def steps_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the run's rows: the bodies of its steps with their keys."""
    return [{**record.body, "key": record.key} for record in counted(records) if record.kind == RecordKind.RESULT]


def name_of(row: Mapping[str, Any]) -> str:
    """Return a row's name: whom it is about, and its key."""
    return visible(f"{row['subject']}/{row['key']}")


def kind_of(row: Mapping[str, Any]) -> str:
    """Return in which of the predicate's lists a row is."""
    if row["verdict"] == Verdict.PASSED.value:
        return "passed"
    return "warned" if row["verdict"] == Verdict.WAIVED.value or warns(row) else "failed"


def _result(verdict: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if verdict not in FINE or verdict == Verdict.PLANNED.value:
        return "FAILED"
    return "WARNED" if any(kind_of(row) == "warned" for row in rows) else "PASSED"


def _resource(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}}


def _approval(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "file": f"{APPROVALS}/{body['file']}",
        "sha256": digest_of(str(body["text"]).encode()),
        **{name: body.get(name) for name in ("person", "role", "signed_at")},
    }


def _chains(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return each chain's length and head: a cut tail shows only against a head that is kept elsewhere."""
    last = {(record.run_id, record.writer): record for record in records}
    counts = Counter((record.run_id, record.writer) for record in records)
    return [
        {"run": chain[0], "writer": chain[1], "records": counts[chain], "head": record.hash}
        for chain, record in last.items()
    ]


def _last(records: Sequence[Record], kind: str) -> Mapping[str, Any] | None:
    return next((record.body for record in reversed(records) if record.kind == kind), None)
