"""What a store writes out before it is stopped: while it serves, under the fence of its host's lock, and a failure
stops nothing.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actions.container.source import run_before_stop
from engine.contracts.container import ContainerCommand
from engine.contracts.product import SavesFirst
from engine.errors import ActionError
from engine.redaction.redactor import Secret
from hosts.coordination.fencing import change_inside
from services.postgres.product import Product as Postgres
from services.redis.product import SAVE
from services.redis.product import Product as Redis
from tests.fakes.engine import Engine
from tests.fakes.facts import make_container
from tests.fakes.inspect_answer import inspected
from tests.unit.actions.container.test_source import recorded_route


class Recording:
    """A host that notes what it is sent."""

    def __init__(self) -> None:
        """Start."""
        self.sent: list[tuple[list[str], bytes]] = []

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Any:
        """Note it and succeed."""
        self.sent.append((argv, stdin))
        return SimpleNamespace(exit_code=0, error_text="", text="", argv=argv)


class Locked(dict[str, Any]):
    """A fleet whose run holds a lock."""

    token = "token-1"


def test_a_command_inside_runs_under_the_fence_and_its_variables_stand_on_no_command_line() -> None:
    """The host tests the token before it runs it; a password travels on standard input."""
    host = Recording()
    command = ContainerCommand(("redis-cli", "bgsave"), 60, env={"REDISCLI_AUTH": Secret("s3cret")})
    change_inside(Locked(wf005=host), "wf005", "abc", command)

    argv, stdin = host.sent[0]
    assert argv[3:5] == ["fenced", "token-1"]
    assert argv[-7:] == ["docker", "exec", "--env-file", "/dev/stdin", "abc", "redis-cli", "bgsave"]
    assert stdin == b"REDISCLI_AUTH=s3cret\n"
    assert "s3cret" not in " ".join(argv)


def test_what_is_run_before_a_stop_is_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked past the fence it would run for a run that lost its lock."""
    route, fleet = recorded_route(Engine(inspected()), Engine())
    asked: list[Any] = []
    monkeypatch.setattr(
        "actions.container.source.change_inside",
        lambda *given: asked.append(given) or SimpleNamespace(exit_code=0, text="", error_text=""),
    )
    command = ContainerCommand(("redis-cli", "bgsave"), 60)
    run_before_stop(route, "wf005", inspected(), (command,), "stop-source")

    assert asked == [(fleet, "wf005", str(inspected()["Id"]), command)]


def test_stores_write_out_before_they_are_stopped() -> None:
    """Redis a snapshot, PostgreSQL a checkpoint; dry runs say so in words."""
    for product, words in ((Redis(), "let redis write a snapshot"), (Postgres(), "let postgres write a checkpoint")):
        assert isinstance(product, SavesFirst)
        (command,) = product.save_commands(make_container(env={"POSTGRES_USER": "shop"}))
        assert command.text == words
    assert "--username shop" in " ".join(command.argv)
    assert command.argv[-1] == "CHECKPOINT"


SERVER = """\
#!/bin/sh
echo "$*" >> "$LOG"
case "$AOF" in NOAUTH*) echo "$AOF"; exit 0;; esac
case "$2 $3" in
    "INFO persistence") n=$(grep -c BGSAVE "$LOG"); [ "$n" = 0 ] && echo "aof_enabled:$AOF" || cat <<END
aof_enabled:$AOF
rdb_bgsave_in_progress:$([ "$(grep -c INFO "$LOG")" -lt 3 ] && echo 1 || echo 0)
rdb_last_bgsave_status:$STATUS
END
    ;;
    "CONFIG GET") printf 'save\\n%s\\n' "$POINTS";;
    "BGSAVE ") echo "$ANSWER";;
esac
"""


@pytest.mark.parametrize(
    ("changes", "code", "saved"),
    [
        ({}, 0, True),
        ({"AOF": "1"}, 0, False),
        ({"POINTS": ""}, 0, False),
        ({"STATUS": "err"}, 1, True),
        ({"ANSWER": "MISCONF Redis is configured to save RDB snapshots"}, 1, True),
        ({"AOF": "NOAUTH Authentication required."}, 0, False),
        ({"ANSWER": "NOPERM this user has no permissions to run the 'bgsave' command"}, 0, True),
    ],
)
def test_redis_saves_only_where_its_snapshot_counts(
    tmp_path: Path, local_program: None, changes: dict[str, str], code: int, saved: bool
) -> None:
    """By its real script and the answers of a real server; a snapshot that fails is found while the service runs."""
    client, log = tmp_path / "redis-cli", tmp_path / "log"
    client.write_text(SERVER)
    client.chmod(0o755)
    given = {"AOF": "0", "POINTS": "3600 1 300 100", "STATUS": "ok", "ANSWER": "Background saving started", **changes}
    ended = subprocess.run(
        ["sh", "-c", SAVE],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "LOG": str(log), **given},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == code, ended.stderr
    assert ("BGSAVE" in log.read_text()) is saved
    assert bool(ended.stderr) is bool(code)


def test_a_failed_save_names_its_reason_and_the_command_that_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was stopped by then."""
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    monkeypatch.setattr(
        "actions.container.source.change_inside",
        lambda *_: SimpleNamespace(exit_code=1, text="", error_text="BGSAVE: MISCONF"),
    )
    with pytest.raises(
        ActionError,
        match=(
            r"let redis write a snapshot in redis before its stop ended with 1: BGSAVE: MISCONF. Expected: "
            r"0.*docker logs"
        ),
    ):
        run_before_stop(route, "wf005", inspected(), Redis().save_commands(make_container()), "stop-source")
    assert source.calls == []
