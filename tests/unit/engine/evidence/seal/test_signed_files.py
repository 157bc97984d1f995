"""Real signatures by ssh-keygen, and the commands that make and check a bundle, as a person types them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from commands import bundle, report, verify
from engine.errors import InputError, RefusedError
from engine.evidence import folder_name
from engine.evidence.seal.seal import NAMESPACE
from hosts.local.ssh_signing import SignatureCheck, open_signer
from tests.fakes.run_on_record import Night

ANA = "ana@example.org"


def make_key(path: Path) -> str:
    """Make a key without a passphrase and return its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text(encoding="utf-8").strip()


@pytest.fixture
def keys(local_program: None, tmp_path: Path) -> Path:
    """Return a folder with Ana's and Eve's keys and a file that allows Ana to sign evidence."""
    place = tmp_path / "keys"
    place.mkdir()
    public = make_key(place / "ana")
    make_key(place / "eve")
    (place / "allowed").write_text(f'{ANA} namespaces="{NAMESPACE}" {public}\n', encoding="utf-8")
    return place


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the folder's name of a finished validation in the lab's journal, not yet drawn."""
    night = Night(tmp_path / "state", "validate")
    night.row()
    night.page()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LONGSHORE_SIGNING_KEY", raising=False)
    return folder_name(night.journal.records(run_id=night.run.id)[0])


def test_a_signature_is_read_for_what_it_is(keys: Path, tmp_path: Path) -> None:
    """Whose it is, over what and for what; anything else is reported."""
    file = tmp_path / "SHA256SUMS"
    file.write_text("sums\n", encoding="utf-8")
    ana, eve = open_signer(keys / "ana"), open_signer(keys / "eve")
    ana.sign(file, NAMESPACE)
    signature = file.with_name("SHA256SUMS.sig").read_bytes()
    anybody, allowed = SignatureCheck(), SignatureCheck(keys / "allowed")

    assert (anybody.read(b"sums\n", signature, NAMESPACE).fingerprint, anybody.knows_people) == (ana.fingerprint, False)
    assert (allowed.read(b"sums\n", signature, NAMESPACE).person, allowed.knows_people) == (ANA, True)
    for content, namespace in ((b"sumz\n", NAMESPACE), (b"sums\n", "longshore-approval")):
        assert anybody.read(content, signature, namespace).problem.startswith("does not fit: ")
    assert anybody.read(b"sums\n", b"-----BEGIN SSH SIGNATURE-----\nx\n", NAMESPACE).problem
    eve.sign(file, NAMESPACE)
    assert (
        "is of a key that is not in"
        in allowed.read(b"sums\n", file.with_name("SHA256SUMS.sig").read_bytes(), NAMESPACE).problem
    )


def test_a_file_without_a_key_is_refused_before_anything_is_done(local_program: None, tmp_path: Path) -> None:
    """Long before the end of a night."""
    (tmp_path / "key").write_text("no key", encoding="utf-8")

    with pytest.raises(InputError, match=r"no key to sign with: .*Look: ssh-keygen -l -f"):
        open_signer(tmp_path / "key")


def test_from_run_to_ticket(keys: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Report signs, verify agrees, bundle packs, verify agrees with the archive too, offline and elsewhere."""
    assert report.main([name, "--lab", "--sign-key", str(keys / "ana")]) == 0
    folder = Path("reports/lab") / name
    assert verify.main([str(folder), "--allowed-signers", str(keys / "allowed")]) == 0
    assert bundle.main([name, "--lab"]) == 0
    output = capsys.readouterr().out
    shutil.move(f"reports/lab/{name}.tar.gz", tmp_path / "ticket.tar.gz")
    shutil.rmtree("reports")
    shutil.rmtree("state")
    assert verify.main([str(tmp_path / "ticket.tar.gz"), "--allowed-signers", str(keys / "allowed")]) == 0

    assert f"signed by {ANA}, key SHA256:" in output
    assert f"bundle: {tmp_path}/reports/lab/{name}.tar.gz\nsha256: " in output
    assert re.search(r"7 files, 5 records, 1 PASSED; plan d{12}", capsys.readouterr().out)


def test_wrong_things_are_named_and_counted(keys: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line per finding on standard error, exit status 1; a changed folder is not packed and not sealed over."""
    report.main([name, "--lab", "--sign-key", str(keys / "ana")])
    folder = Path("reports/lab") / name
    (folder / "notes.txt").write_text("x", encoding="utf-8")
    (folder / "summary.md").write_text("all is well", encoding="utf-8")
    capsys.readouterr()

    assert verify.main([str(folder)]) == 1
    output = capsys.readouterr()
    assert f"WRONG {folder}: notes.txt: was added" in output.err
    assert f"WRONG {folder}: summary.md: is not what was sealed" in output.err
    assert "do not trust this evidence" in output.out
    with pytest.raises(RefusedError, match=r"nothing was packed: it does not verify\n  notes.txt"):
        bundle.main([str(folder)])


def test_another_appendix_is_not_sealed_over(keys: Path, name: str) -> None:
    """What report does not draw anew must be what was sealed: else drawing again would hide the change."""
    report.main([name, "--lab"])
    appendix = Path("reports/lab") / name / "pytest.html"
    appendix.write_text("as it was", encoding="utf-8")
    report.main([name, "--lab"])
    appendix.write_text("as somebody wants it", encoding="utf-8")

    with pytest.raises(InputError, match=r"pytest.html is not what was sealed in SHA256SUMS.*Move it away"):
        report.main([name, "--lab"])


def test_a_bundle_can_be_signed_later(
    keys: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the flag, or with the environment's key; the run's folder carries the signature from then on."""
    report.main([name, "--lab"])
    monkeypatch.setenv("LONGSHORE_SIGNING_KEY", str(keys / "ana"))

    assert bundle.main(["latest-validate", "--lab", "--output", "ticket.tar.gz"]) == 0

    assert (
        verify.main(["ticket.tar.gz", str(Path("reports/lab") / name), "--allowed-signers", str(keys / "allowed")]) == 0
    )
    assert capsys.readouterr().out.count(f"signed by {ANA}") == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: verify.main(["nowhere"]),
            r"nowhere: No such file or directory. Expected: a run's folder, or a bundle of one",
        ),
        (
            lambda: verify.main(["state/lab.sqlite"]),
            r"state/lab.sqlite: can't be unpacked: .*Expected: a whole .tar.gz of the command bundle",
        ),
        (
            lambda: verify.main([".", "--allowed-signers", "none"]),
            r"none: not there. Expected: lines of an e-mail address and a public key",
        ),
        (
            lambda: bundle.main(["2099", "--lab"]),
            r"run 2099: 0 there. Expected: one folder of reports/lab; found none in reports/lab",
        ),
    ],
)
def test_wrong_input_is_one_message(name: str, call: object, message: str) -> None:
    """With what was expected."""
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
