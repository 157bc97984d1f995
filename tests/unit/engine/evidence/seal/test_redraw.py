"""What people read and approve is what the records give: verify draws it again, and asks for the approvals that the
plan asks for.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from commands import verify as command
from engine.evidence import write_evidence
from engine.evidence.facts.other_runs import read_others
from engine.evidence.formats.journal_jsonl import line_of, read_records
from engine.evidence.seal.cross_check import stamped
from engine.evidence.seal.redraw import ENGINE
from engine.evidence.seal.seal import NAMESPACE, seals_of
from engine.evidence.seal.sealed_folder import (
    JUNIT,
    OTHERS,
    PAGE,
    RECORDS,
    SIGNATURE,
    STATEMENT,
    SUMMARY,
    SUMS,
    Sealed,
    read_folder,
)
from engine.evidence.seal.verify import Findings, verify
from engine.i18n.language import language_of
from engine.journal.journal import Record
from engine.journal.record import hash_of
from engine.verdict import ExitCode
from tests.fakes.run_on_record import Night
from tests.fakes.sealed_run import PARTS, FakeCheck, FakeSigner, fingerprint, sealed_folder, sign

ANA, BOB, EVE = "ana@example.org", "bob@example.org", "eve@example.org"


def resealed(sealed: Sealed, changed: Mapping[str, bytes | None], records: Sequence[Record] | None = None) -> Sealed:
    """Return a folder in which ana changed files (None: took one out), sealed it anew and signed it, as she may."""
    files = {
        name: content
        for name, content in {**sealed.files, **changed}.items()
        if name not in {SUMS, SIGNATURE, STATEMENT} and content is not None
    }
    bare = dataclasses.replace(sealed, files=files)
    statement, sums = seals_of(bare, records or read_records(bare.text(RECORDS))[0], fingerprint(ANA))
    files |= {STATEMENT: statement.encode(), SUMS: sums.encode(), SIGNATURE: sign(ANA, sums.encode(), NAMESPACE)}
    return dataclasses.replace(sealed, files=files)


def judged(sealed: Sealed) -> Findings:
    """Verify with the two people whose signatures count."""
    return verify(sealed, FakeCheck(ANA, BOB))


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    """Return a good folder."""
    return read_folder(sealed_folder(tmp_path, FakeSigner()))


def test_what_was_drawn_is_drawn_again_alike(sealed: Sealed) -> None:
    """The folder alone is enough, without a journal."""
    found = judged(sealed)

    assert (found.problems, found.not_compared) == ([], [])


REWRITTEN: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a verdict of the page": (PAGE, lambda page: page.replace(b">FAILED<", b">PASSED<", 1)),
    "a sentence of the page": (PAGE, lambda page: page.replace(b"<h1", b"<h1 hidden", 1)),
    "a byte behind the page": (PAGE, lambda page: page + b"<!-- -->"),
    "the summary": (SUMMARY, lambda _: b"# All services were moved\n\n9 PASSED\n"),
    "a message in junit.xml": (JUNIT, lambda junit: junit.replace(b"FAILED: text 2", b"FAILED: harmless, see ticket")),
    "who ran it in junit.xml": (JUNIT, lambda junit: junit.replace(b"ana@desk", b"bob@desk")),
}


@pytest.mark.parametrize("what", REWRITTEN)
def test_what_was_rewritten_and_sealed_again_is_found(sealed: Sealed, what: str) -> None:
    """By the very person who signs: seals and signature fit, and what it says is not what the records say."""
    name, change = REWRITTEN[what]
    assert change(sealed.files[name]) != sealed.files[name]

    found = judged(resealed(sealed, {name: change(sealed.files[name])}))

    assert [problem.partition(":")[0] for problem in found.problems] == [name]
    assert "is not what the records give: line " in found.problems[0] or "it has " in found.problems[0]


@pytest.mark.parametrize(
    "name", [PAGE, SUMMARY, JUNIT, "plan/migration_plan.json", "plan/lab.yaml", "plan/inventory.yaml"]
)
def test_what_was_taken_out_is_missed(sealed: Sealed, name: str) -> None:
    """Each drawn file, and each part of the plan, belongs into a folder."""
    assert any(problem.startswith(f"{name}: not there") for problem in judged(resealed(sealed, {name: None})).problems)


def test_a_page_of_another_version_is_said_not_to_be_compared(
    sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither wrong nor right: verify says so, and its exit status is neither."""
    page = re.sub(
        rb"(&#34;|&quot;)drawn_by(&#34;|&quot;): (&#34;|&quot;)[^&]*",
        rb"\1drawn_by\2: \g<3>0.0.9 abc",
        sealed.files[PAGE],
    )
    assert page != sealed.files[PAGE]
    found = judged(resealed(sealed, {PAGE: page}))

    assert found.problems == []
    assert "were drawn by another version of longshore (0.0.9 abc; this is " in found.not_compared[0]
    assert "commit cccccccccccc+changes" in found.not_compared[0]

    monkeypatch.setattr(command, "verify", lambda *_: found)
    monkeypatch.setattr(command, "read_sealed", lambda _: sealed)
    assert command.main([str(tmp_path)]) == ExitCode.INCOMPLETE
    output = capsys.readouterr()
    assert "NOT COMPARED" in output.err
    assert "nothing was changed" not in output.out


def rechained(records: Sequence[Record]) -> list[Record]:
    """Return records chained anew, as somebody who writes all files can."""
    previous, made = "0" * 64, []
    for number, record in enumerate(records, start=1):
        body = {name: value for name, value in record.body.items() if name not in {"heads", "chain_head"}}
        one = dataclasses.replace(
            record, number=number, previous=previous, body=body if record.kind == "run_ended" else record.body
        )
        one = dataclasses.replace(one, hash=hash_of(one.content()))
        previous = one.hash
        made.append(one)
    return made


def test_a_migration_without_its_approvals_does_not_verify(sealed: Sealed) -> None:
    """Records and files without any: the plan in the folder asks for two people."""
    records = rechained(
        [one for one in read_records(sealed.text(RECORDS))[0] if one.kind not in {"approval", "signed_waiver"}]
    )
    files: dict[str, bytes | None] = {
        name: None for name in sealed.files if name.startswith(("approvals/", "waivers/"))
    }
    page = re.sub(r'\n<meta name="longshore-evidence"[^>]*>', "", sealed.text(PAGE))
    files |= {RECORDS: "".join(map(line_of, records)).encode(), PAGE: stamped(page, records, "0.0.9").encode()}

    problems = judged(resealed(sealed, files, records)).problems

    assert any("approvals/: 0 of 1 technical approvals that count" in problem for problem in problems)
    assert any("approvals/: 0 of 1 business approvals that count" in problem for problem in problems)


def parts(**changed: bytes) -> dict[str, bytes]:
    """Return the parts of the plan, changed."""
    return {
        **PARTS,
        **{f"{name}.{'yaml' if name != 'migration_plan' else 'json'}": text for name, text in changed.items()},
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"approvals": ((ANA, "technical"),)}, "approvals/: 0 of 1 business approvals that count"),
        ({"signing": {ANA: EVE}}, "approvals/technical-ana@example.org.txt: signed with key"),
        ({"signing": {ANA: EVE}}, "approvals/: 0 of 1 technical approvals that count"),
        ({"approvals": ((ANA, "business"), (BOB, "business"))}, "ana@example.org may not sign as business"),
        (
            {"approvals": ((EVE, "technical"), (BOB, "business"))},
            ("eve@example.org is not among the approvers of the sealed environment"),
        ),
        ({"parts_of": parts(lab=b'{"environment":"lab"}')}, "plan/lab.yaml: names no approvers"),
        (
            {"parts_of": parts(migration_plan=b'{"approvals":[{"role":"technical","count":2},{"role":"business"}]}')},
            "1 of 2 technical approvals",
        ),
    ],
)
def test_approvals_count_by_the_plan_and_the_keys_of_its_environment(
    tmp_path: Path, given: dict[str, object], words: str
) -> None:
    """Without any file of allowed signers: the sealed environment says whose key is whose, and who may sign in which
    role.
    """
    found = verify(read_folder(sealed_folder(tmp_path, FakeSigner(), **given)), FakeCheck())  # type: ignore[arg-type]

    assert any(words in problem for problem in found.problems), found.problems


def test_a_run_that_only_went_on_needs_no_new_approval(tmp_path: Path) -> None:
    """The move had begun: its approvals were for the files as they were then."""
    night = Night(tmp_path)
    night.run.record("move_state", service="redis", body={"state": "in_progress"})
    night.run.finish({}, ExitCode.OK)
    night.run = night.another("migrate")
    night.run.record("plan", body={"digest": "d" * 64, "parts": {}})
    night.row()
    night.run.finish({}, ExitCode.OK)
    folder = tmp_path / "reports" / "lab" / "x"
    folder.mkdir(parents=True)

    problems = verify(read_folder(write_evidence(night.journal, night.run.id, folder).folder), FakeCheck()).problems

    assert [problem for problem in problems if "approvals" in problem] == []


def test_a_page_that_shows_other_runs_is_drawn_again_alike(tmp_path: Path) -> None:
    """The state of the move, what changed since the run before, who approved: kept with the run's own records, in
    order.
    """
    night = Night(tmp_path, "validate")
    for verdict, text in (("PASSED", "a"), ("FAILED", "b"), ("PASSED", "c")):
        night.row(verdict, text, key="smoke")
        night.run.record("move_state", service="redis", body={"state": "committed" if verdict == "PASSED" else "done"})
        night.run.record("outage", service="redis", body={"seconds": 3.0, "error_bar_s": 0.1})
        night.run.finish({}, ExitCode.OK)
        night.run = night.another(
            "validate",
            [{"service": "redis", "source": "wf005", "target": "wf001", "wave": "auxiliary", "strategy": "x"}],
        )
    night.row("PASSED", "d", key="smoke", duration_s=30.0)
    night.run.finish({}, ExitCode.OK)
    for code in ("en", "pt-BR"):
        folder = tmp_path / "reports" / "lab" / code
        folder.mkdir(parents=True)
        found = verify(
            read_folder(write_evidence(night.journal, night.run.id, folder, language=language_of(code)).folder),
            FakeCheck(),
        )
        assert (found.problems, found.not_compared) == ([], [])

    lines = (tmp_path / "reports" / "lab" / "en" / OTHERS).read_text().splitlines()
    assert len(lines) > 5
    whole = read_folder(tmp_path / "reports" / "lab" / "en")
    assert any(
        problem.startswith(f"{PAGE}: is not what the records give")
        for problem in judged(resealed(whole, {OTHERS: None})).problems
    )
    content = json.loads(lines[-1])
    content["record"]["body"] = {**content["record"]["body"], "state": "done"}
    _, _, problems = read_others(json.dumps(content) + "\n", night.journal.records(run_id=night.run.id))
    assert "is no record as it was written" in problems[0]


def test_a_drawing_covers_the_whole_engine() -> None:
    """Also the texts of other languages, and the code outside the evidence: all of it shapes a page."""
    assert {"i18n/locale/pt_BR.po", "evidence/page/html.py", "verdict.py"} <= {
        path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*")
    }
