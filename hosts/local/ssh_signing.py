"""Signatures by OpenSSH (`ssh-keygen -Y`): a person's own key, on disk, in an agent or on a hardware token."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import InputError, NotObservedError
from engine.evidence.seal.signed_files import Signed
from engine.finding import say

SIGN_S: Final = 120.0
"""A hardware key waits for a touch."""

CHECK_S: Final = 20.0
FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]+")


def sign_text(path: Path, namespace: str, public_key: str, private_key: Path | None) -> Path:
    """Sign a file with the private half of `public_key` and return the signature's file, `<path>.sig`.

    Without `private_key` it is looked for next to the public halves in ~/.ssh, then in the agent. Raises InputError
    when there is none. https://man.openbsd.org/ssh-keygen#Y~4
    """
    signature = path.with_name(path.name + ".sig")
    signature.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="ls-") as folder:
        own = private_key or _next_to_public_half(public_key)
        if own is None:
            own = Path(folder) / "key.pub"
            own.write_text(public_key + "\n", encoding="utf-8")
        answer = _keygen(["-Y", "sign", "-q", "-f", str(own), "-n", namespace, str(path)], b"", SIGN_S)
    if answer.returncode or not signature.exists():
        raise InputError(
            say(
                "{path}: could not be signed: {said}. Expected: the private half of {public_key}… as --key FILE, in "
                "~/.ssh or in the agent. Look: ssh-add -L",
                path=path,
                said=_said(answer),
                public_key=public_key[:40],
            )
        )
    return signature


def signature_problem(path: Path, namespace: str, person: str, keys: Mapping[str, str]) -> str:
    """Return why a file's signature is not that of `person`, whose key is in `keys`; empty when it is good."""
    signature = path.with_name(path.name + ".sig")
    if person not in keys:
        return say("{person} is not among the approvers of this environment", person=person)
    if not signature.exists():
        return say("it is not signed; expected {name} next to it", name=signature.name)
    with tempfile.TemporaryDirectory(prefix="ls-") as folder:
        allowed = Path(folder) / "allowed_signers"
        allowed.write_text(f'{person} namespaces="{namespace}" {keys[person]}\n', encoding="utf-8")
        argv = ["-Y", "verify", "-f", str(allowed), "-I", person, "-n", namespace, "-s", str(signature)]
        answer = _keygen(argv, path.read_bytes(), CHECK_S)
    return (
        ""
        if answer.returncode == 0
        else say("its signature is not that of {person}: {said}", person=person, said=_said(answer))
    )


@dataclass(frozen=True)
class KeySigner:
    """Signs with one key: a private key's file, or a public half whose private one the agent or a token holds."""

    key: Path
    fingerprint: str

    def sign(self, path: Path, namespace: str) -> None:
        """Write `<path>.sig`; raises InputError when the key can't sign."""
        signature = path.with_name(path.name + ".sig")
        signature.unlink(missing_ok=True)
        answer = _keygen(["-Y", "sign", "-q", "-f", str(self.key), "-n", namespace, str(path)], b"", SIGN_S)
        if answer.returncode or not signature.exists():
            raise InputError(
                say(
                    "{key}: did not sign {path}: {said}. Expected: a key that signs. Look: ssh-add -L",
                    key=self.key,
                    path=path,
                    said=_said(answer),
                )
            )


def open_signer(key: Path) -> KeySigner:
    """Return the signer of a key's file; raises InputError when there is no key in it. Nothing is signed yet."""
    key = key.expanduser()
    answer = _keygen(["-l", "-f", str(key)], b"", CHECK_S)
    found = FINGERPRINT.search(answer.stdout.decode("utf-8", "replace"))
    if answer.returncode or not found:
        raise InputError(
            say(
                "{key}: no key to sign with: {said}. Expected: a private key, or its public half. Look: ssh-keygen -l "
                "-f {key}",
                key=key,
                said=_said(answer),
            )
        )
    return KeySigner(key, found[0])


@dataclass(frozen=True)
class SignatureCheck:
    """Reads signatures; with `allowed` (a file as ssh-keygen's ALLOWED SIGNERS) it also says whose they are."""

    allowed: Path | None = None

    @property
    def knows_people(self) -> bool:
        """Return whether a signature must be of somebody in the file."""
        return self.allowed is not None

    def read(self, content: bytes, signature: bytes, namespace: str) -> Signed:
        """Return whose signature over `content` it is, with what is wrong with it."""
        with tempfile.TemporaryDirectory(prefix="ls-") as folder:
            file = Path(folder) / "signature"
            file.write_bytes(signature)
            answer = _keygen(["-Y", "check-novalidate", "-n", namespace, "-s", str(file)], content, CHECK_S)
            found = FINGERPRINT.search(answer.stdout.decode("utf-8", "replace"))
            if answer.returncode or not found:
                return Signed(problem=say("does not fit: {said}", said=_said(answer)))
            return self._of_person(content, file, namespace, found[0]) if self.allowed else Signed(found[0])

    def _of_person(self, content: bytes, file: Path, namespace: str, fingerprint: str) -> Signed:
        known = _keygen(["-Y", "find-principals", "-f", str(self.allowed), "-s", str(file)], b"", CHECK_S)
        people = known.stdout.decode("utf-8", "replace").split()
        if known.returncode or not people:
            return Signed(
                fingerprint,
                problem=say(
                    "is of a key that is not in {allowed}: {fingerprint}", allowed=self.allowed, fingerprint=fingerprint
                ),
            )
        for person in people:
            argv = ["-Y", "verify", "-f", str(self.allowed), "-I", person, "-n", namespace, "-s", str(file)]
            answer = _keygen(argv, content, CHECK_S)
            if answer.returncode == 0:
                return Signed(fingerprint, person)
        return Signed(
            fingerprint,
            problem=say(
                "is not one that {people} may make for {namespace} by {allowed}: {said}",
                people=", ".join(people),
                namespace=namespace,
                allowed=self.allowed,
                said=_said(answer),
            ),
        )


def _next_to_public_half(public_key: str) -> Path | None:
    wanted = public_key.split()[:2]
    for half in sorted(Path("~/.ssh").expanduser().glob("*.pub")):
        if half.read_text(encoding="utf-8", errors="replace").split()[:2] == wanted and half.with_suffix("").exists():
            return half.with_suffix("")
    return None


def _keygen(argv: list[str], stdin: bytes, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", *argv], input=stdin, capture_output=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotObservedError(
            say(
                "ssh-keygen {argv}: {error}. Expected: OpenSSH 8.2 or newer. Look: ssh -V",
                argv=" ".join(argv[:2]),
                error=error,
            )
        ) from error


def _said(answer: subprocess.CompletedProcess[bytes]) -> str:
    text = (answer.stderr or answer.stdout).decode("utf-8", "backslashreplace").strip()
    return text.splitlines()[-1] if text else say("exit status {returncode}", returncode=answer.returncode)
