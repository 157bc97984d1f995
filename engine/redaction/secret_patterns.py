"""What looks like a secret: names that say so, values that look random, and the tokens that detect-secrets knows by
their form.

Pure functions over text. What they find is replaced; what they miss must have been registered
(engine/redaction/redactor.py).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Final

MARK: Final = "***"
TELLING_NAME: Final = re.compile(
    r"(?i)(passw|passphrase|secret|token|credential|private|api_?key|access_?key|encryption_?key|auth|cookie|dsn|connection)"
)
SUSPICIOUS_NAME: Final = re.compile(
    r"(?i)(?:^|[^a-z])(key|pass|pwd|pw|salt|seed|bearer|session|sig|signature|cert|jwt|otp|pin|creds?)(?:$|[^a-z])"
)
"""Names that secrets have, and other things too: their values count when they look random."""

SETTING: Final = re.compile(
    r"(?i)(?:^|[^a-z])(method|type|mode|enabled?|active|provider|role|host|port|pool|timeout|size|limit|org|file|path|ttl|expir\w*|length|"
    r"lifetime|url|uri|endpoint|realm|issuer|algorithm|scheme|header|name|user|username)$"
)
"""How a setting about secrets ends (POSTGRES_HOST_AUTH_METHOD, PASSWORD_FILE): hiding "scram-sha-256" wherever it
stands would hide what matters.
"""

URL_PASSWORD: Final = re.compile(
    r"(?P<head>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^\s/:@]{0,200}:)(?P<password>[^\s@/]{1,500})@", re.IGNORECASE
)
PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.DOTALL
)
NAMES: Final = (
    r"(?:password|passwd|passphrase|pwd|secret|token|credentials?"
    r"|(?:api|access|private|encryption|account|signing)[_-]?key)"
)
ASSIGNMENT: Final = re.compile(
    rf"(?i)(?P<head>(?<![/\w-])(?<!env:)[\w-]{{0,80}}?{NAMES}[\w-]{{0,80}}(?:\\?['\"])?\s*(?:=>|[=:])\s*(?:\\?['\"])?)(?P<value>(?!\*\*\*)[^\s'\",;&\\]{{3,}})"
)
FLAG: Final = re.compile(
    rf"(?i)(?P<head>(?<![\w-])--?[\w-]{{0,80}}?(?:{NAMES}|pass)\s+['\"]?)(?P<value>(?!\*\*\*|-|(?-i:[A-Z_]+\b))[^\s'\",;]{{3,}})"
)
"""As in a command line: `--requirepass s3cret`; a word in capitals is a placeholder of a help text."""

SENTENCE: Final = re.compile(
    r"""(?ix) (?P<head> \b (?: (?:password|identified\s+by|encrypted\s+password) \s+ '
        | (?:requirepass|masterauth) \s+ ["']? ))
    (?P<value> (?!\*\*\*) [^\s'"]{3,} )"""
)
"""SQL (`ALTER ROLE x PASSWORD '…'`) and redis.conf."""

BEARER: Final = re.compile(
    r"(?i)(?P<head>\b(?:authorization\s*[:=]\s*['\"]?(?:bearer|basic|token)?|bearer)\s+)(?P<value>(?!\*\*\*)[\w.~+/=-]{8,})"
)
WEAK: Final = re.compile(r"(?P<head>(?<![\w-])(?P<name>[\w-]{1,80})['\"]?\s*[=:]\s*['\"]?)(?P<value>[\w+/=.~-]{16,})")
STEMS: Final = ("passw", "passphrase", "pwd", "secret", "token", "credential", "key")
WORDS: Final = (
    (ASSIGNMENT, STEMS),
    (FLAG, (*STEMS, "pass")),
    (SENTENCE, ("password", "identified", "requirepass", "masterauth")),
    (BEARER, ("authorization", "bearer")),
)
"""Each pattern with words; it needs one of them: to look for words is a hundred times faster."""

WEAK_STEMS: Final = (
    "key",
    "pass",
    "pw",
    "salt",
    "seed",
    "session",
    "sig",
    "cert",
    "jwt",
    "otp",
    "pin",
    "cred",
    "bearer",
)

RANDOM_LENGTH: Final = 16
RANDOM_BITS: Final = 3.2
TURNS: Final = {3: 4, 2: 5}
"""So often small letters, capitals and digits follow each other in a drawn value that has all three, or two of them."""

NEEDS: Final = {
    "Artifactory Credentials": ("akc", "ap"),
    "AWS Access Key": ("a3t", "abia", "acca", "akia", "asia", "aws"),
    "Cloudant Credentials": ("cl",),
    "IBM Cloud IAM Key": ("ibm", "cloud"),
    "IBM COS HMAC Credentials": ("secret",),
    "Mailchimp Access Key": ("-us",),
    "NPM tokens": ("_authtoken",),
    "SoftLayer Credentials": ("softlayer", "sl"),
    "Telegram Bot Token": (":",),
}
"""The same for the slow patterns of detect-secrets; a kind that is not here is always tried."""

LONG_RUN: Final = re.compile(r"[\w+/=.~-]{18}")
"""Every token that detect-secrets knows by its form has a run as long as this; most texts have none."""

DIGEST: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|sha256:.*|SHA256:.*|AAAA.*")
"""Of files, images and public keys: the forms of fingerprints and host keys."""

OWN: Final = frozenset({"Basic Auth Credentials", "Private Key", "JSON Web Token", "Public IP (ipv4)"})
"""Our own patterns do these: theirs take any @ of a URL for a password's end, leave a key's body or a JWT's signature;
addresses are no secrets.
"""

JWT: Final = re.compile(r"(?<![\w-])eyJ[\w=-]+\.[\w=-]+(?:\.[\w.+/=-]*)?")

REMEMBERED: Final = 300
"""Texts as short as this repeat (sentences, names); longer ones are not kept."""

EDGES: Final = " \t\n=:'\","


def is_high_entropy(value: str) -> bool:
    """Return whether a value looks as if it had been drawn: long, of many different characters, letters and digits in
    turn.
    """
    if len(value) < RANDOM_LENGTH or DIGEST.fullmatch(value) or bits_of(value) < RANDOM_BITS:
        return False
    kinds = ["d" if one.isdigit() else "u" if one.isupper() else "l" if one.islower() else "" for one in value]
    seen = [kind for kind in kinds if kind]
    turns = sum(one != two for one, two in pairwise(seen))
    return turns >= TURNS.get(len(set(seen)), len(value))


def bits_of(value: str) -> float:
    """Return the Shannon entropy of a text, in bits per character."""
    return (
        -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values()) if value else 0.0
    )


def is_secret(name: str, value: str) -> bool:
    """Return whether a named value is a secret: by its name, or by a suspicious name with a value that looks
    random.
    """
    if TELLING_NAME.search(name):
        return not SETTING.search(name) or is_high_entropy(value) or "?" in value or "@" in value
    return is_weak_secret(name, value)


def redact_lookalikes(text: str) -> tuple[str, int]:
    """Return text without what looks like a secret, and how many were replaced."""
    return _remembered(text) if len(text) <= REMEMBERED else _without_lookalikes(text)


@lru_cache(maxsize=4096)
def _remembered(text: str) -> tuple[str, int]:
    return _without_lookalikes(text)


def _without_lookalikes(text: str) -> tuple[str, int]:
    removed = 0
    for pattern, replacement in _patterns(text):
        found = sum(1 for match in pattern.finditer(text) if MARK not in match.group())
        if found:
            text, removed = pattern.sub(replacement, text), removed + found
    for step in (_without_weak, _without_tokens):
        text, found = step(text)
        removed += found
    return text, removed


def _patterns(text: str) -> Iterator[tuple[re.Pattern[str], str]]:
    """Yield the patterns that can match at all: most texts hold none of their words."""
    if "PRIVATE KEY" in text:
        yield PRIVATE_KEY, MARK
    if "://" in text:
        yield URL_PASSWORD, rf"\g<head>{MARK}@"
    small = text.lower()
    for pattern, words in WORDS:
        if any(word in small for word in words):
            yield pattern, rf"\g<head>{MARK}"


def _without_weak(text: str) -> tuple[str, int]:
    small = text.lower()
    if len(text) < RANDOM_LENGTH or not any(stem in small for stem in WEAK_STEMS):
        return text, 0
    removed = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal removed
        if not is_weak_secret(match["name"], match["value"]):
            return match[0]
        removed += 1
        return match["head"] + MARK

    return WEAK.sub(replaced, text), removed


def is_weak_secret(name: str, value: str) -> bool:
    """Return whether a suspicious name has a value that looks random."""
    return bool(SUSPICIOUS_NAME.search(name.replace("_", " ").replace(".", " "))) and is_high_entropy(value)


def _without_tokens(text: str) -> tuple[str, int]:
    if not LONG_RUN.search(text):
        return text, 0
    removed, small = 0, text.lower()
    for pattern, words in token_patterns():
        if not words or any(word in small for word in words):
            text, found = pattern.subn(_kept_edges, text)
            removed += found
    return text, removed


def _kept_edges(match: re.Match[str]) -> str:
    """Return the mark between what a pattern took along: blanks, quotes, the sign before a value."""
    whole = match[0]
    core = whole.strip(EDGES)
    before = whole[: whole.index(core)] if core else ""
    return f"{before}{MARK}{whole[len(before) + len(core) :]}"


def tokens_in(text: str) -> Iterator[str]:
    """Yield the tokens of a text that are known by their form."""
    if LONG_RUN.search(text):
        yield from (match[0].strip(EDGES) for pattern, _ in token_patterns() for match in pattern.finditer(text))


@cache
def token_patterns() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """Return the patterns of tokens of one form (AWS, GitHub, GitLab, Slack, Stripe, JWT and more), each with the words
    that it needs.
    """
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 half a second that most commands don't need
    from detect_secrets.plugins.base import RegexBasedDetector  # noqa: PLC0415 the same

    classes: list[tuple[str, Any]] = sorted(get_mapping_from_secret_type_to_class().items())
    detectors = [
        (kind, detector()) for kind, detector in classes if issubclass(detector, RegexBasedDetector) and kind not in OWN
    ]
    return (
        (JWT, ("eyj",)),
        *((pattern, NEEDS.get(kind, ())) for kind, detector in detectors for pattern in detector.denylist),
    )
