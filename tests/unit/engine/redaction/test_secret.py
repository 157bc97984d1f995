"""No record carries a secret: what is registered, and what looks like one, is replaced."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from engine.errors import InputError
from engine.redaction.redactor import Redactor, Secret
from hosts.local.secret_references import resolve_secret

PASSWORD = "Tr0ub4dor-and-3"


@pytest.fixture
def redactor() -> Redactor:
    """Return a redactor that knows one password."""
    redactor = Redactor()
    redactor.register(Secret(PASSWORD))
    return redactor


def test_a_secret_never_prints_itself() -> None:
    """str, repr, formatting and containers show the same for every secret."""
    secret = Secret(PASSWORD)

    assert {str(secret), repr(secret), f"{secret}", f"{secret!r:>10}"} == {"Secret(***)"}
    assert PASSWORD not in str({"password": [secret]})
    assert secret.reveal() == PASSWORD
    assert secret == Secret(PASSWORD)
    assert secret != PASSWORD
    assert len({secret, Secret(PASSWORD)}) == 1


def test_a_registered_value_is_replaced_wherever_it_stands(redactor: Redactor) -> None:
    """In the middle of words too, and each is counted."""
    assert redactor.text(f"x{PASSWORD}y {PASSWORD}") == "x***y ***"
    assert redactor.removed == 2


def test_the_longer_of_two_secrets_goes_first() -> None:
    """A secret that contains another leaves no rest behind."""
    redactor = Redactor()
    for value in ("secret", "secret-and-more"):
        redactor.register(Secret(value))

    assert redactor.text("secret-and-more") == "***"


def test_short_values_are_left_alone() -> None:
    """A password of five characters looks like other text: replacing it would make records unreadable."""
    redactor = Redactor()
    redactor.register(Secret("redis"))

    assert redactor.text("redis on wf001") == "redis on wf001"
    assert redactor.removed == 0


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_PASSWORD",
        "N8N_ENCRYPTION_KEY",
        "GF_SECURITY_SECRET_KEY",
        "API_TOKEN",
        "REDISCLI_AUTH",
        "WAHA_API_KEY",
        "AWS_ACCESS_KEY_ID",
        "RABBITMQ_ERLANG_COOKIE",
        "SENTRY_DSN",
        "TLS_PRIVATE_KEY",
        "KC_DB_PASSWORD",
        "db_passwd",
    ],
)
def test_values_of_telling_names_are_replaced(name: str) -> None:
    """A container's environment names its secrets; their values go wherever they turn up."""
    redactor = Redactor()
    redactor.register_environment({name: "s3cr3t-value", "LANG": "en_GB.UTF-8"})

    assert redactor.text("said s3cr3t-value in en_GB.UTF-8") == "said *** in en_GB.UTF-8"


def test_a_password_inside_an_environments_url_is_known_by_itself() -> None:
    """DATABASE=postgres://user:password@host: the password alone in a log is replaced too."""
    redactor = Redactor()
    redactor.register_environment({"DATABASE": f"postgres://app:{PASSWORD}@postgres:5432/shop"})

    assert redactor.text(f"login with {PASSWORD} failed") == "login with *** failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://app:geheim@db:5432/shop", "postgres://app:***@db:5432/shop"),
        ("redis://:geheim@cache:6379", "redis://:***@cache:6379"),
        ("https://host/path@x", "https://host/path@x"),
        ("password=geheim1 user=app", "password=*** user=app"),
        ('{"api_key": "geheim1"}', '{"api_key": "***"}'),
        ("DB_PASSWORD: geheim1", "DB_PASSWORD: ***"),
        ("the password is wrong", "the password is wrong"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\nnext", "***\nnext"),
        ("-----BEGIN RSA PRIVATE KEY-----\ncut off in the mid", "***"),
        ("-----BEGIN PUBLIC KEY-----\nb3Bl", "-----BEGIN PUBLIC KEY-----\nb3Bl"),
    ],
)
def test_what_looks_like_a_secret_is_replaced_unregistered(text: str, expected: str) -> None:
    """URLs, assignments and private keys are known by their form; other words stay readable."""
    redactor = Redactor()

    assert redactor.text(text) == expected
    assert redactor.removed == (text != expected)


def test_redacting_twice_changes_and_counts_nothing_more(redactor: Redactor) -> None:
    """Records pass more than one border."""
    once = redactor.text(f"password={PASSWORD} redis://:{PASSWORD}@x")
    counted = redactor.removed

    assert redactor.text(once) == once
    assert redactor.removed == counted


def test_whole_values_are_redacted_keys_too(redactor: Redactor) -> None:
    """Redis keys and table names become keys of mappings; a secret there is one all the same."""
    value = {f"session:{PASSWORD}": [PASSWORD, {"n": (1, PASSWORD)}], "ok": True, "none": None}

    assert redactor.value(value) == {"session:***": ["***", {"n": [1, "***"]}], "ok": True, "none": None}


def test_references_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From our environment, a file without its last line break, and the container's environment."""
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    monkeypatch.setenv("LONGSHORE_TEST_PASSWORD", PASSWORD)

    for reference in ("env:LONGSHORE_TEST_PASSWORD", f"file:{file}", "container-env:PW"):
        assert resolve_secret(reference, {"PW": PASSWORD}) == Secret(PASSWORD)


def test_a_files_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file:~/…` means the operator's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cookie").write_text(PASSWORD, encoding="utf-8")

    assert resolve_secret("file:~/cookie") == Secret(PASSWORD)


def test_a_command_answers(local_program: None) -> None:
    """A password manager's command line is asked."""
    assert resolve_secret(f"command:{sys.executable} -c print('{PASSWORD}')") == Secret(PASSWORD)


def test_a_failing_command_does_not_show_what_it_printed(local_program: None, tmp_path: Path) -> None:
    """Its output may hold half a secret."""
    script = tmp_path / "leaks.py"
    script.write_text(f"import sys; print({PASSWORD!r}); sys.exit(1)\n", encoding="utf-8")

    with pytest.raises(InputError, match=r"CalledProcessError. Run it by hand to see why") as refused:
        resolve_secret(f"command:{sys.executable} {script}")

    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "env:LONGSHORE_NOT_SET",
            "secret env:LONGSHORE_NOT_SET: not set. Set it, or correct the reference in inventory.yaml",
        ),
        ("container-env:NONE", "secret container-env:NONE: not set"),
        (
            "file:/nowhere/password",
            "secret file:/nowhere/password: No such file or directory. Try: ls -l /nowhere/password",
        ),
        (
            PASSWORD,
            (
                "a secret's reference: expected env:NAME, file:PATH, command:ARGV or container-env:NAME; it is "
                "not shown here"
            ),
        ),
        ("command: ", "secret command: : no program; expected command:ARGV"),
        ("file:/tmp/\0", "expected the path of a file"),
        (
            "container-env:EMPTY",
            "secret container-env:EMPTY: empty; expected a value. Set it, or correct the reference",
        ),
    ],
)
def test_a_reference_that_can_not_be_resolved_says_which(reference: str, message: str) -> None:
    """The reference is shown, never a value, with what to do."""
    os.environ.pop("LONGSHORE_NOT_SET", None)

    with pytest.raises(InputError) as refused:
        resolve_secret(reference, {"PW": PASSWORD, "EMPTY": ""})

    assert message in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_public_name_is_not_hidden() -> None:
    """A service that is called like somebody's password keeps its name; longer passwords with the name in them go."""
    redactor = Redactor()
    redactor.register(Secret("postgres"))
    redactor.register(Secret("postgres-17-secret"))
    redactor.publish("postgres")

    assert redactor.text("postgres on wf005: postgres-17-secret") == "postgres on wf005: ***"
    assert redactor.removed == 1


@pytest.mark.parametrize(
    ("content", "message"), [(b"\n", "empty"), (b"", "empty"), (b"hunter2\xff", "byte 7 is not UTF-8; expected text")]
)
def test_a_file_that_holds_no_secret_is_reported_without_its_content(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """An empty password would open nothing, or everything; bytes of another encoding would be another password."""
    file = tmp_path / "password"
    file.write_bytes(content)

    with pytest.raises(InputError, match=f"secret file:{file}: {message}") as refused:
        resolve_secret(f"file:{file}")

    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_variable_that_is_no_utf8_is_reported_without_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python keeps such bytes as surrogates, which would fail much later, in the middle of a move."""
    monkeypatch.setenv("LONGSHORE_TEST_PASSWORD", "hunter2\udcff")

    with pytest.raises(InputError, match="byte 7 is not UTF-8") as refused:
        resolve_secret("env:LONGSHORE_TEST_PASSWORD")

    assert "hunter2" not in str(refused.value)


def test_a_command_that_answers_nothing_or_no_text_is_refused(local_program: None, tmp_path: Path) -> None:
    """A locked password manager often answers with nothing and success."""
    for answer, message in (("b''", "empty"), (r"b'hunter2\xff'", "byte 7 is not UTF-8")):
        script = tmp_path / "answers.py"
        script.write_text(f"import sys; sys.stdout.buffer.write({answer})\n", encoding="utf-8")

        with pytest.raises(InputError, match=message):
            resolve_secret(f"command:{sys.executable} {script}")


def test_line_ends_of_windows_are_no_part_of_a_password(tmp_path: Path) -> None:
    """The file may have been written elsewhere."""
    file = tmp_path / "password"
    file.write_bytes(PASSWORD.encode() + b"\r\n")

    assert resolve_secret(f"file:{file}") == Secret(PASSWORD)


ODD = "p\"ä/ss w'rd\\+&"


@pytest.mark.parametrize("value", [PASSWORD, ODD])
@pytest.mark.parametrize(
    "form",
    [
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: json.dumps({"k": value}),
        repr,
        shlex.quote,
        lambda value: quote(value, safe=""),
        quote,
        quote_plus,
        lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    ],
)
def test_a_secret_is_replaced_in_the_forms_that_other_formats_give_it(form: Callable[[str], str], value: str) -> None:
    """Docker answers in JSON, URLs quote, headers encode: the same password in another dress."""
    redactor = Redactor()
    redactor.register(Secret(value))

    shown = redactor.text(f"before {form(value)} after")

    assert "***" in shown
    assert re.findall(r"[^\W_k]+", shown) == ["before", "after"]


@pytest.mark.parametrize("user", ["", "a", "ad", "adm", "admin"])
def test_a_secret_inside_a_longer_base64_leaves_at_most_a_few_bits(user: str) -> None:
    """Authorization: Basic holds user:password; where the password's bytes begin differs with the user's length."""
    redactor = Redactor()
    redactor.register(Secret(PASSWORD))

    shown = redactor.text(base64.b64encode(f"{user}:{PASSWORD}:".encode()).decode())

    before, after = shown.split("***")
    kept = base64.b64decode(before + "A" * (-len(before) % 4))
    assert PASSWORD[:2].encode() not in kept
    assert len(after.rstrip("=")) <= 3
