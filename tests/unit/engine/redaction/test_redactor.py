"""Records, logs and cut-off lines hold no secret; what was removed is counted, and digests and references stay."""

from __future__ import annotations

import json

import pytest

from engine.redaction.redactor import Redactor, Secret

PASSWORD = "Tr0ub4dor-and-3"
ODD = "p\"ä/ss w'rd\\+&"


@pytest.fixture
def redactor() -> Redactor:
    """Return a redactor that knows one password."""
    redactor = Redactor()
    redactor.register(Secret(PASSWORD))
    return redactor


def test_a_key_printed_line_by_line_is_replaced(redactor: Redactor) -> None:
    """A log's record is a list of lines: from the key's first line to its last, also when it begins or ends outside."""
    lines = [
        "start",
        "key: -----BEGIN RSA PRIVATE KEY-----",
        "b3BlbnNzaC1rZXk",
        "AAAABG5vbmU",
        "-----END RSA PRIVATE KEY-----",
        "next",
        3,
    ]

    assert redactor.value({"lines": lines}) == {"lines": ["start", "key: ***", "***", "***", "***", "next", 3]}
    assert redactor.value(["-----BEGIN PRIVATE KEY-----", "b3Bl"]) == ["***", "***"]


def test_each_long_line_of_a_secret_counts_by_itself() -> None:
    """A key in a variable turns up in a log line by line, or with its line breaks as backslash and n."""
    redactor = Redactor()
    redactor.register(
        Secret(
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"
        )
    )

    assert redactor.text("read MIIEvQIBADANBgkqhkiG9w0") == "read ***"
    assert redactor.text("read AASCBKcwggSjAgEAAoIB then") == "read *** then"
    assert redactor.text("-----END PRIVATE KEY----- is its end") == "-----END PRIVATE KEY----- is its end"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"password": "hunter2"}, {"password": "***"}),
        ({"db": {"API_KEY": "abc"}}, {"db": {"API_KEY": "***"}}),
        (
            {"secrets": {"password": "container-env:POSTGRES_PASSWORD"}},
            {"secrets": {"password": "container-env:POSTGRES_PASSWORD"}},
        ),
        ({"roles and passwords": "0a1b2c3d" * 8}, {"roles and passwords": "0a1b2c3d" * 8}),
        (
            {"passwords": 3, "token": None, "secret": "", "tokens": ["abc"]},
            {"passwords": 3, "token": None, "secret": "", "tokens": ["abc"]},
        ),
    ],
)
def test_a_telling_name_hides_its_text(value: dict[str, object], expected: dict[str, object]) -> None:
    """Unless it is a digest, a number, or says where a secret is kept."""
    assert Redactor().value(value) == expected


def test_what_was_removed_is_counted_by_why(redactor: Redactor) -> None:
    """Known values, names of secrets, and what only looked like a secret."""
    redactor.value({"password": "x", "text": f"{PASSWORD} {PASSWORD} redis://:geheim@x"})

    assert redactor.counts == {"known": 2, "by name": 1, "looked like one": 1}
    assert redactor.removed == 4


def test_docker_escapes_more_than_json_must() -> None:
    """Go writes & < > as \\u0026 \\u003c \\u003e; a log line that holds JSON is escaped once more in inspect's own."""
    redactor = Redactor()
    redactor.register(Secret(ODD))

    for text in (r"p\"ä/ss w'rd\\+\u0026", json.dumps(json.dumps(ODD)), "p&quot;ä/ss w&#x27;rd\\+&amp;"):
        assert "rd" not in redactor.text(text), text


def test_a_secret_that_was_cut_off_is_replaced_too() -> None:
    """Long lines are shown in part: eight characters of a value that looks random are enough, words are not."""
    redactor = Redactor()
    for value in ("k9Xz7Qp2Lm4Vt8RbYw3N", "postgres-on-wf005-password"):
        redactor.register(Secret(value))

    assert redactor.text("line k9Xz7Qp2Lm4V (it means trouble) k9Xz7Qp2") == "line *** (it means trouble) ***"
    assert redactor.value(["k9Xz7Qp2Lm4Vt8RbYw3"]) == ["***"]
    assert redactor.text("postgres-on-wf005 k9Xz7Q") == "postgres-on-wf005 k9Xz7Q"


def test_a_clean_record_is_looked_at_once() -> None:
    """Ten thousand rows must not cost more than their writing: a clean value comes back as it is."""
    value = {"text": "redis on wf005", "details": ["a", "b"], "n": 1}

    assert Redactor().value(value) is value
