"""What looks like a secret is replaced although nobody registered it; what only sounds like one stays readable."""

from __future__ import annotations

import base64
import json
import random
import string
import time

import pytest

from engine.redaction.secret_patterns import is_high_entropy, is_secret, redact_lookalikes, token_patterns

CHANCE = random.Random(11)


def drawn(alphabet: str, length: int) -> str:
    """Return a random value."""
    return "".join(CHANCE.choices(alphabet, k=length))


LETTERS = string.ascii_letters + string.digits
SMALL = string.ascii_lowercase + string.digits
BIG = string.ascii_uppercase + string.digits
HEXED = "0123456789abcdef"
JWT = ".".join(
    base64.urlsafe_b64encode(text).decode().rstrip("=")
    for text in (b'{"alg":"HS256"}', b'{"sub":"ops","exp":1}', b"\x9fx" * 16)
)
TOKENS = {
    "aws": f"AKIA{drawn(BIG, 16)}",
    "github": f"ghp_{drawn(LETTERS, 36)}",
    "gitlab": f"glpat-{drawn(LETTERS, 20)}",
    "slack": f"xoxb-{drawn(string.digits, 12)}-{drawn(string.digits, 12)}-{drawn(SMALL, 24)}",
    "slack hook": f"https://hooks.slack.com/services/T{drawn(BIG, 8)}/B{drawn(BIG, 8)}/{drawn(LETTERS, 24)}",
    "stripe": f"sk_live_{drawn(LETTERS, 24)}",
    "sendgrid": f"SG.{drawn(LETTERS, 22)}.{drawn(LETTERS, 43)}",
    "telegram": f"{drawn(string.digits, 9)}:{drawn(LETTERS, 35)}",
    "twilio": f"SK{drawn(SMALL, 32)}",
    "mailchimp": f"{drawn(SMALL, 32)}-us12",
    "npm": f"//npm.example.org/:_authToken=npm_{drawn(LETTERS, 36)}",
    "pypi": f"pypi-AgEIcHlwaS5vcmc{drawn(LETTERS, 80)}",
    "azure": f"AccountKey={drawn(LETTERS, 86)}==",
    "jwt": JWT,
    "artifactory": f"AKC{drawn(LETTERS, 40)}",
    "softlayer": f"softlayer_api_key={drawn(SMALL, 64)}",
    "ibm": f"ibm_cloud_iam_key: {drawn(LETTERS, 44)}",
    "cos": f"secret_access_key={drawn(HEXED, 48)}",
}


@pytest.mark.parametrize("kind", TOKENS)
def test_tokens_of_a_known_form_are_replaced(kind: str) -> None:
    """In a log line, in JSON, alone; nothing of the token's random part stays."""
    token = TOKENS[kind]
    for text in (f"login with {token} failed", json.dumps({"a": token}), token, f"line\n{token}\nline"):
        shown, found = redact_lookalikes(text)

        assert found
        assert "***" in shown
        assert token[-12:].rstrip("=") not in shown
        assert token[8:20] not in shown or kind in {"npm", "slack hook", "azure", "softlayer", "ibm", "cos", "pypi"}


def test_the_patterns_are_those_of_detect_secrets() -> None:
    """All kinds that it knows by form but those that we do ourselves; one that it learns later is used too."""
    assert len(token_patterns()) > 30
    assert redact_lookalikes(JWT) == ("***", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis-server --requirepass hunter2x --port 6379", "redis-server --requirepass *** --port 6379"),
        ("mysqldump --password='hunter2x' shop", "mysqldump --password='***' shop"),
        ("vault --token hvs.abc123 read", "vault --token *** read"),
        ("ALTER ROLE shop PASSWORD 'hunter2x' VALID", "ALTER ROLE shop PASSWORD '***' VALID"),
        ("CREATE USER a IDENTIFIED BY 'hunter2x'", "CREATE USER a IDENTIFIED BY '***'"),
        ("requirepass hunter2x", "requirepass ***"),
        ("Authorization: Bearer abcdef12345", "Authorization: Bearer ***"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic ***"),
        ('{"password":"hunter2x","user":"a"}', '{"password":"***","user":"a"}'),
        ('{\\"password\\":\\"hunter2x\\"}', '{\\"password\\":\\"***\\"}'),
        ("spring.datasource.password=hunter2x", "spring.datasource.password=***"),
        ("'api_key' => 'hunter2x'", "'api_key' => '***'"),
        (
            "assert 'hunter2x' == password\nE  password = 'hunter2x'",
            "assert 'hunter2x' == password\nE  password = '***'",
        ),
        ("amqp://ops:hunter2x@rabbit:5672/%2f", "amqp://ops:***@rabbit:5672/%2f"),
        ("SIGNING_KEY=k9Xz7Qp2Lm4Vt8Rb", "SIGNING_KEY=***"),
        ("salt=k9Xz7Qp2Lm4Vt8RbYw3N", "salt=***"),
        ("session: 8f14e45fceea167a5a36dedd", "session: ***"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nabc\n-----END ENCRYPTED PRIVATE KEY-----", "***"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc\n-----END PGP PRIVATE KEY BLOCK-----", "***"),
    ],
)
def test_secrets_in_sentences_of_known_languages_are_replaced(text: str, expected: str) -> None:
    """Command lines, SQL, redis.conf, headers, JSON in JSON, properties, assertion diffs, names that may be
    secrets when the value is random.
    """
    assert redact_lookalikes(text)[0] == expected
    assert redact_lookalikes(expected)[1] == 0


READABLE = (
    "the password is wrong",
    'password authentication failed for user "shop"',
    "cluster: roles, memberships and passwords",
    "missing key: customer-orders-2026-backup",
    "db 3: keys: changed flag:5, cart:6 (51,003 keys)",
    "wf001: the host key is SHA256:3Wn7k9Xz7Qp2Lm4Vt8RbYw3NuC1dEfGhIjKlMnOpQrS; expected another",
    "known_hosts key AAAAC3NzaC1lZDI1NTE5AAAAIGk9Xz7Qp2Lm4Vt8RbYw3NuC1dEfGhIjKlMnOpQrSt",
    "digest: " + "0a1b2c3d" * 8,
    "key 5: sha256:" + "0a1b2c3d" * 8,
    "secret env:LONGSHORE_BACKUP_PASSWORD: not set. Set it, or correct the reference in inventory.yaml",
    "inventory.yaml: services/postgres/secrets/password: expected a reference",
    "expected --token TOKEN, as lock status shows it",
    "To sign it later: nox -s report -- 20260101T000000Z-migrate-0a1b2c3d --sign-key FILE",
    "http://192.0.2.11:9090/metrics@2x 5432/tcp passes 3 of 3",
    "/var/lib/docker/volumes/prometheus_data/_data/01JDK3Q4V5W6X7Y8Z9A0B1C2D3/chunks/000001",
    "container 3f2a9c1e-7b44-4a7e-9d0e-2f7c7f0e9a11 of image sha256:" + "9" * 64,
    "PASSED: 39 of 41 files, 1,204 keys, 2 sessions; cert valid for 30 days",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
)  # fmt: skip


@pytest.mark.parametrize("text", READABLE)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    """Messages, digests, host keys, references and paths: evidence that hides these says nothing."""
    assert redact_lookalikes(text) == (text, 0)


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("POSTGRES_HOST_AUTH_METHOD", "scram-sha-256", False),
        ("PASSWORD_FILE", "/etc/app/password", False),
        ("TOKEN_URL", "https://id.example.org/token", False),
        ("WEBHOOK_TOKEN_URL", "https://example.org/?t=abc", True),
        ("KC_DB_PASSWORD", "plain", True),
        ("JWT_SIGNING", "plain", False),
        ("APP_KEY", "base64:k9Xz7Qp2Lm4Vt8RbYw3NuA==", True),
        ("SORT_KEY", "created_at_descending", False),
        ("MONKEY", "k9Xz7Qp2Lm4Vt8RbYw3N", False),
        ("traefik.http.middlewares.auth.basicauth.users", "ops:$apr1$k9Xz7Qp2", True),
    ],
)
def test_names_show_a_secret_alone_or_with_a_random_value(name: str, value: str, *, secret: bool) -> None:
    """Settings about secrets are none; a name that may be one needs a value that looks random."""
    assert is_secret(name, value) is secret


def test_random_and_written_values_are_distinguished() -> None:
    """Of 200 drawn values nearly all look random; of words, dates and versions none does."""
    alphabets = (LETTERS, LETTERS + "-_", LETTERS + "+/")
    drawn_values = [drawn(alphabets[number % 3], 24) for number in range(200)]
    written = (
        "customer-orders-2026-backup",
        "prometheus_data_volume",
        "2026-01-01T00:00:00Z",
        "shop-2.14.0-rc1.tar.gz",
        "wf005.example.internal",
        "the quick brown fox jumps",
        "aaaaaaaaaaaaaaaaaaaa",
        "192.168.100.200:54321",
    )

    assert sum(map(is_high_entropy, drawn_values)) >= 195
    assert not [value for value in written if is_high_entropy(value)]


def test_no_text_takes_long() -> None:
    """Neither a long line of one kind of character nor one made to be hard: each is looked at in far less than a
    second.
    """
    hard = (
        "a" * 100_000,
        "-" * 100_000,
        "pass" * 25_000,
        "key=" * 25_000,
        "://" * 30_000,
        "-----BEGIN PRIVATE KEY" * 2_000,
        "eyJ" * 30_000,
        "password" + " " * 50_000,
        "a-" * 50_000 + "token",
    )
    for text in hard:
        began = time.perf_counter()
        redact_lookalikes(text)
        assert time.perf_counter() - began < 2.0, text[:20]
