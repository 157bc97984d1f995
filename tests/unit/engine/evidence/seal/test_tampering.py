"""Whatever is changed in a sealed folder is found and named: bytes, rows, order, signatures, plan, files."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.evidence.formats.journal_jsonl import line_of, read_records
from engine.evidence.seal.archive import pack, read_archive
from engine.evidence.seal.checksums import sums_text
from engine.evidence.seal.seal import NAMESPACE, seal, seals_of
from engine.evidence.seal.sealed_folder import RECORDS, SIGNATURE, STATEMENT, SUMS, Sealed, digest_of, read_folder
from engine.evidence.seal.verify import verify
from engine.journal.journal import Record, hash_of
from tests.fakes.sealed_run import FakeCheck, FakeSigner, fingerprint, sealed_folder, sign

APPROVAL = "approvals/technical-ana@example.org.txt"
WAIVER = "waivers/0a1b2c3d.txt"
OTHER = "approvals/business-bob@example.org.txt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a signed folder."""
    return sealed_folder(tmp_path_factory.mktemp("sealed"), FakeSigner())


@pytest.fixture
def sealed(folder: Path) -> Sealed:
    """Return what is in it."""
    return read_folder(folder)


def problems(sealed: Sealed, *people: str) -> list[str]:
    """Return what verify finds."""
    return verify(sealed, FakeCheck(*people)).problems


def changed(sealed: Sealed, **files: bytes | None) -> Sealed:
    """Return it with other files; None takes one away."""
    return dataclasses.replace(
        sealed, files={name: content for name, content in {**sealed.files, **files}.items() if content is not None}
    )


def test_an_untouched_folder_is_whole(sealed: Sealed) -> None:
    """Signed by a person who is asked for or not; its notes say what was looked at and who approved."""
    found = verify(sealed, FakeCheck("ana@example.org", "bob@example.org"))

    assert found.problems == []
    assert found.notes == [
        (
            f"{len(sealed.files)} files, 19 records, 1 FAILED, 1 NOT_RUN, 4 PASSED, 1 UNKNOWN, 1 WAIVED; plan "
            f"{plan_of(sealed)[:12]}"
        ),
        f"approved by bob@example.org, key {fingerprint('bob@example.org')}: {OTHER}",
        f"approved by ana@example.org, key {fingerprint('ana@example.org')}: {APPROVAL}",
        f"waived by ana@example.org, key {fingerprint('ana@example.org')}: {WAIVER}",
        f"attested by bob@example.org, key {fingerprint('bob@example.org')}: attachments/dns.txt",
        f"signed by ana@example.org, key {fingerprint('ana@example.org')}",
    ]
    assert problems(sealed) == []


def plan_of(sealed: Sealed) -> str:
    """Return the plan digest."""
    return str(json.loads(sealed.text(STATEMENT))["predicate"]["longshore"]["plan_digest"])


def bytewise(sealed: Sealed) -> Iterator[tuple[str, Sealed]]:
    """Yield changes of bytes: flipped, dropped, added, cut off; in every file, at its ends and in between."""
    chance = random.Random(7)
    for name, content in sealed.files.items():
        for place in {0, len(content) - 1, *(chance.randrange(len(content)) for _ in range(10))}:
            flipped = content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
            yield name, changed(sealed, **{name: flipped})
        cut = chance.randrange(len(content))
        for other in (
            b"",
            content[:-1],
            content[:cut],
            content[:cut] + content[cut + 1 :],
            content + b"\n",
            b" " + content,
            content + content,
        ):
            yield name, changed(sealed, **{name: other})
        yield name, changed(sealed, **{name: None})


def test_every_change_of_a_byte_is_found_and_named(sealed: Sealed) -> None:
    """More than 200 of them; the file that was changed is named, SHA256SUMS too when it was itself changed."""
    seen = 0
    for name, other in bytewise(sealed):
        seen += 1
        assert [line for line in problems(other) if line.startswith((f"{name}: ", f"{name}.sig: "))], (
            name,
            problems(other),
        )

    assert seen > 200


def rewritten(sealed: Sealed, change: Callable[[list[Record]], list[Record]]) -> Sealed:
    """Return it with other records, and sums and statement made to fit as well as one can without the key."""
    records = change(read_records(sealed.text(RECORDS))[0])
    other = changed(sealed, **{RECORDS: "".join(map(line_of, records)).encode()})
    return resealed(other)


def resealed(other: Sealed, signed_with: str | None = None) -> Sealed:
    """Return it with evidence.json and SHA256SUMS made anew, as an attacker would; the signature stays what it was."""
    records, _ = read_records(other.text(RECORDS))
    statement, sums = seals_of(other, records, signed_with or fingerprint("ana@example.org"))
    return changed(other, **{STATEMENT: statement.encode(), SUMS: sums.encode()})


def chained(records: list[Record]) -> list[Record]:
    """Return records numbered and hashed anew."""
    previous, made = "0" * 64, []
    for number, record in enumerate(records, start=1):
        one = dataclasses.replace(record, number=number, previous=previous)
        made.append(dataclasses.replace(one, hash=hash_of(one.content())))
        previous = made[-1].hash
    return made


ROWS = range(1, 18)


@pytest.mark.parametrize("place", ROWS)
def test_a_dropped_or_moved_row_is_found(sealed: Sealed, place: int) -> None:
    """Each record, although everything else was made to fit: the chain shows where."""
    dropped = problems(rewritten(sealed, lambda records: records[:place] + records[place + 1 :]))
    moved = problems(rewritten(sealed, lambda r: [*r[:place], r[place + 1], r[place], *r[place + 2 :]]))
    doubled = problems(rewritten(sealed, lambda r: [*r[:place], r[place], *r[place:]]))

    for found in (dropped, moved, doubled):
        assert any(line.startswith(f"{RECORDS}: run ") and "dropped or moved" in line for line in found)
        assert any(line.startswith(f"{SIGNATURE}: ") for line in found)


def better(records: list[Record]) -> list[Record]:
    """Turn every failure into a pass."""
    return [
        dataclasses.replace(record, body={**record.body, "verdict": "PASSED"})
        if record.body.get("verdict") == "FAILED"
        else record
        for record in records
    ]


def test_a_verdict_made_better_is_found(sealed: Sealed) -> None:
    """By the chain; when the chain is made anew, by the page, junit.xml and the signature."""
    assert any("its content was changed after it was written" in line for line in problems(rewritten(sealed, better)))

    found = problems(rewritten(sealed, lambda records: chained(better(records))))

    assert any(line.startswith("junit.xml: says 1 failures. Expected: 0") for line in found)
    assert any(line.startswith("report.html: says totals is") for line in found)
    assert any(line.startswith(f"{SIGNATURE}: does not fit") for line in found)


def test_a_cut_tail_is_found(sealed: Sealed) -> None:
    """A chain without its end is whole in itself: evidence.json and the page know its head."""
    other = changed(sealed, **{RECORDS: b"\n".join(sealed.files[RECORDS].splitlines()[:-2]) + b"\n"})

    assert any(line.startswith(f"{STATEMENT}: predicate/longshore/chains/0/head is ") for line in problems(other))
    assert any(line.startswith("report.html: says head is ") for line in problems(other))


@pytest.mark.parametrize(
    "name", ["junit.xml", "report.html", "summary.md", "pytest.html", "plan/inventory.yaml", APPROVAL]
)
def test_sums_made_to_fit_do_not_hide_a_change(sealed: Sealed, name: str) -> None:
    """SHA256SUMS alone is easily written anew: evidence.json and the signature say so."""
    other = changed(sealed, **{name: sealed.files[name].replace(b"e", b"3", 1)})
    other = changed(other, **{SUMS: sums_text(other.digests(without=frozenset({SUMS, SIGNATURE}))).encode()})

    found = problems(other)

    assert any(line.startswith(f"{STATEMENT}: subject/") for line in found)
    assert any(line.startswith(f"{SIGNATURE}: ") for line in found)


def test_a_plan_edited_afterwards_is_found(sealed: Sealed) -> None:
    """Although everything that needs no key was made to fit."""
    found = problems(resealed(changed(sealed, **{"plan/migration_plan.json": b'{"moves":["n8n"]}'})))

    assert any(line.startswith("plan/migration_plan.json: SHA-256 ") for line in found)


def test_an_approval_of_another_plan_is_found(sealed: Sealed) -> None:
    """Signed by the right person, for something else; or for this plan with parts that do not give it."""
    for old, new in ((plan_of(sealed), "e" * 64), (digest_of(sealed.files["plan/lab.yaml"]), "f" * 64)):
        text = sealed.files[APPROVAL].replace(old.encode(), new.encode(), 1)
        signature = sign("ana@example.org", text, "longshore-approval")

        found = problems(resealed(changed(sealed, **{APPROVAL: text, f"{APPROVAL}.sig": signature})))

        assert any(line.startswith(f"{APPROVAL}: ") and "don't give its digest" in line for line in found)


def test_swapped_signatures_are_found(sealed: Sealed) -> None:
    """Of two approvals, of an approval for the sums, of another key, and of nobody."""
    for name in (WAIVER, "attachments/dns.txt"):
        found = problems(resealed(changed(sealed, **{f"{name}.sig": sealed.files[f"{APPROVAL}.sig"]})))
        assert [line.partition(":")[0] for line in found] == [f"{name}.sig", SIGNATURE]
    swapped = changed(
        sealed, **{f"{APPROVAL}.sig": sealed.files[f"{OTHER}.sig"], f"{OTHER}.sig": sealed.files[f"{APPROVAL}.sig"]}
    )
    assert {line.partition(":")[0] for line in problems(resealed(swapped))} == {
        f"{APPROVAL}.sig",
        f"{OTHER}.sig",
        SIGNATURE,
        "approvals/",
    }

    for other in (
        sealed.files[f"{APPROVAL}.sig"],
        sign("ana@example.org", sealed.files[SUMS], "longshore-approval"),
        b"nothing",
        None,
    ):
        assert [line.partition(":")[0] for line in problems(changed(sealed, **{SIGNATURE: other}))] == [SIGNATURE]

    eve = changed(sealed, **{SIGNATURE: sign("eve@example.org", sealed.files[SUMS], NAMESPACE)})
    assert (
        f"made with key {fingerprint('eve@example.org')}. Expected: {fingerprint('ana@example.org')}"
        in problems(eve)[0]
    )


def test_only_an_allowed_persons_signature_counts(sealed: Sealed) -> None:
    """Who makes everything anew and signs with a key of their own is found by whoever asks for a known person."""
    other = resealed(changed(sealed, **{"pytest.html": b"another"}), fingerprint("eve@example.org"))
    other = changed(other, **{SIGNATURE: sign("eve@example.org", other.files[SUMS], NAMESPACE)})

    assert problems(other) == []
    assert problems(other, "ana@example.org", "bob@example.org") == [
        f"{SIGNATURE}: is of a key that is not in the file. Expected: a signature over {SUMS}"
    ]
    assert any(line.startswith(f"{APPROVAL}.sig: ") for line in problems(sealed, "bob@example.org"))


def test_an_approval_signed_by_somebody_else_is_found(sealed: Sealed) -> None:
    """Bob may sign, but not in Ana's name."""
    forged = sign("bob@example.org", sealed.files[APPROVAL], "longshore-approval")

    found = problems(resealed(changed(sealed, **{f"{APPROVAL}.sig": forged})), "ana@example.org", "bob@example.org")

    assert f"{APPROVAL}.sig: was made by bob@example.org. Expected: ana@example.org, in whose name it is" in found


def test_what_does_not_belong_there_is_found(folder: Path, sealed: Sealed, tmp_path: Path) -> None:
    """Added files, hidden ones, empty folders, and a file replaced by a link to the same bytes."""
    for name in ("notes.txt", ".hidden", "approvals/technical-eve@example.org.txt", "plan/more.yaml", "a/b/c"):
        assert any(line.startswith(f"{name}: was added") for line in problems(changed(sealed, **{name: b"x"})))
    copy = tmp_path / "copy"
    for name, content in sealed.files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    (copy / "empty").mkdir()
    (copy / "junit.xml").unlink()
    (copy / "junit.xml").symlink_to(folder / "junit.xml")

    found = problems(read_folder(copy))

    assert "empty: is an empty folder. Expected: plain files only" in found
    assert "junit.xml: is a link. Expected: plain files only" in found


def test_the_private_part_is_not_sealed(folder: Path, tmp_path: Path) -> None:
    """It stays with the operator: neither sealed, nor packed, nor missed."""
    (folder / "private").mkdir()
    (folder / "private" / "redis.log").write_text("all of it", encoding="utf-8")

    sealed = read_folder(folder)
    archive = tmp_path / "bundle.tar.gz"
    archive.write_bytes(pack(sealed))

    assert problems(sealed) == []
    assert b"all of it" not in archive.read_bytes()
    assert not any("private" in name for name in read_archive(archive).files)


def test_an_unsigned_folder_says_so(tmp_path: Path) -> None:
    """Whole, but who may write all files could have written all of them; who asks for a person gets a problem."""
    sealed = read_folder(sealed_folder(tmp_path))

    assert verify(sealed, FakeCheck()).notes[-1].startswith("not signed: ")
    assert problems(sealed) == []
    assert problems(sealed, "ana@example.org", "bob@example.org") == [
        f"{SIGNATURE}: not there. Expected: a signature. Ask who ran it for it"
    ]


def test_sealing_again_keeps_a_signature_that_fits(folder: Path, tmp_path: Path) -> None:
    """The same evidence drawn again stays signed; other evidence loses a signature that is none any more."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, content in read_folder(folder).files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    before = read_folder(copy).files

    seal(copy)
    assert read_folder(copy).files == before

    (copy / "notes.txt").write_text("x", encoding="utf-8")
    seal(copy)
    assert SIGNATURE not in read_folder(copy).files
    assert problems(read_folder(copy)) == []
