"""Shards: how a run is split by host, what is refused, how many writers make one run, and what counts of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.report import find_run
from engine.config.scope import build_scope
from engine.contracts.step import StepResult
from engine.errors import InputError
from engine.evidence.page.page import view_of
from engine.evidence.seal.in_toto import statement_of
from engine.evidence.seal.sealed_folder import read_folder
from engine.evidence.seal.verify import verify
from engine.evidence.writer import write_evidence
from engine.journal.journal import Journal, Run, chain_problems
from engine.redaction.redactor import Redactor
from engine.run.options import read_options
from engine.sharding.merged_run import STEP, counted, end_shard, exit_code, join_run, joined_of
from engine.sharding.shard import TOGETHER, Shard, Split, read_shard, refuse_shard
from engine.verdict import Effect, ExitCode, Judgement, Severity, Verdict, passed
from phases.context.required_results import steps_of
from phases.gates.gates import preflight_problems
from phases.session.work_split import work_share
from phases.signoff.approvals import code_digest
from tests.fakes.project_files import make_environment, make_inventory, make_plan
from tests.fakes.sealed_run import FakeCheck

NAMES: Final = st.text("abcdef0123456789-", min_size=1, max_size=6)
ABOUT: Final[dict[str, Any]] = {
    "command": "preflight",
    "environment": "production",
    "plan_digest": "d" * 64,
    "operator": "ana@desk",
    "version": "1",
    "commit": "c" * 40,
    "argv": ["--environment", "production"],
    "apply": False,
    "lang": "en",
    "asked": "a" * 64,
}


@st.composite
def inventories(draw: st.DrawFn) -> tuple[Split, list[tuple[str | None, str | None, bool]]]:
    """Draw hosts, services on them, and rows: of hosts, of services, of all together."""
    hosts = tuple(draw(st.lists(NAMES, min_size=1, max_size=30, unique=True)))
    homes = draw(st.dictionaries(NAMES, st.sampled_from(hosts), max_size=30))
    rows: list[tuple[str | None, str | None, bool]] = [(None, host, draw(st.booleans())) for host in hosts]
    rows += [(service, None, draw(st.booleans())) for service in homes]
    pairs = draw(st.lists(st.tuples(st.sampled_from(hosts), st.sampled_from(hosts)), max_size=20))
    return Split(hosts, homes, tuple(pairs)), [*rows, (None, None, False)]


@settings(deadline=None, max_examples=200)
@given(inventories(), st.integers(1, 40))
def test_every_row_is_in_exactly_one_shard(
    drawn: tuple[Split, list[tuple[str | None, str | None, bool]]], of: int
) -> None:
    """All shards together ask every row, no row twice; and a host, with its services, is one shard's own."""
    split, rows = drawn
    asked = [
        [row for row in rows if split.shard_of(split.group_of(row[0], row[1], together=row[2]), of) == number]
        for number in range(1, of + 1)
    ]

    assert sorted((row for one in asked for row in one), key=repr) == sorted(rows, key=repr)
    owned = [host for number in range(1, of + 1) for host in split.hosts_of(Shard(number, of, "x"))]
    assert sorted(owned) == sorted(split.hosts)
    assert all(
        split.shard_of(split.group_of(service, None), of) == split.shard_of(home, of)
        for service, home in split.homes.items()
    )
    assert split.shard_of(TOGETHER, of) == 1


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=40, unique=True), st.integers(1, 12), st.randoms())
def test_the_split_is_the_same_everywhere_and_even(hosts: list[str], of: int, random: Any) -> None:
    """It does not depend on the order of a file, and no shard has more than one host more than another."""
    shuffled = list(hosts)
    random.shuffle(shuffled)
    one, other = Split(tuple(hosts), {}), Split(tuple(shuffled), {})

    assert [one.shard_of(host, of) for host in hosts] == [other.shard_of(host, of) for host in hosts]
    sizes = [len(one.hosts_of(Shard(number, of, "x"))) for number in range(1, of + 1)]
    assert max(sizes) - min(sizes) <= 1


def test_hosts_of_a_move_are_mostly_one_shards() -> None:
    """Their facts are asked for together; where everything hangs together it is cut all the same."""
    names = [f"{kind}{number:02}" for kind in ("old", "new") for number in range(40)]
    pairs = tuple((f"old{number:02}", f"new{number:02}") for number in range(40))
    split, one = Split(tuple(names), {}, pairs), Split(tuple(names), {}, tuple(("old00", name) for name in names))

    assert all(split.shard_of(old, 4) == split.shard_of(new, 4) for old, new in pairs)
    assert [len(one.hosts_of(Shard(number, 4, "x"))) for number in range(1, 5)] == [20] * 4


@pytest.mark.parametrize("text", ["0/8", "9/8", "3/x", "3", "", "-1/8", "3/0", "1.5/8", " 3/8", "3/8/1", "٣/٨"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    """With what was typed and what is expected."""
    with pytest.raises(
        InputError, match=r"^--shard .*: is no shard\. Expected: I/N with 1 ≤ I ≤ N, e\.g\. --shard 3/8$"
    ):
        read_shard(text, "night", {})


@pytest.mark.parametrize(
    ("run_name", "environ", "name"),
    [
        ("night", {}, "night"),
        (None, {"CI_PIPELINE_ID": "4711"}, "pipeline-4711"),
        ("night", {"CI_PIPELINE_ID": "4711"}, "night"),
    ],
)
def test_shards_find_each_other_by_a_name(run_name: str | None, environ: dict[str, str], name: str) -> None:
    """Given, or that of the GitLab pipeline."""
    assert read_shard("3/8", run_name, environ) == Shard(3, 8, name)
    assert read_shard(None, None, environ) is None


@pytest.mark.parametrize(
    ("text", "run_name", "message"),
    [
        ("3/8", None, r"its run has no name. Expected: --run-name NAME, the same for all 8 shards"),
        ("3/8", "../up", r"--run-name \.\./up: is no name"),
        ("3/8", "", r"--run-name : is no name"),
        (None, "night", r"--run-name night: without --shard"),
    ],
)
def test_a_missing_or_wrong_name_is_refused(text: str | None, run_name: str | None, message: str) -> None:
    """Before anything is asked."""
    with pytest.raises(InputError, match=message):
        read_shard(text, run_name, {})


@pytest.mark.parametrize("command", ["prepare", "migrate", "rollback"])
def test_a_phase_that_writes_has_no_shards(command: str) -> None:
    """Its steps have one order and one lock."""
    with pytest.raises(
        InputError, match=rf"--shard 1/2: {command} changes hosts.*preflight, validate.*--service or --wave"
    ):
        refuse_shard(Shard(1, 2, "x"), command)
    refuse_shard(Shard(1, 2, "x"), "preflight")
    refuse_shard(None, command)


def test_the_flags_reach_the_run() -> None:
    """--shard and --run-name are flags of every phase."""
    given_flags = {"environment": "production", "inventory": "i", "plan": "p", "shard": "2/3", "run_name": "night"}

    assert read_options(given_flags.get, []).shard == Shard(2, 3, "night")


def test_services_go_with_the_host_that_they_run_on() -> None:
    """Before the moves the one that they leave, afterwards the one that they went to; the first shard has all facts of
    preflight.
    """
    scope = build_scope(make_inventory(), make_plan(), make_environment())

    assert work_share(scope, "preflight", None, spread=False).split.homes == {"n8n": "wf005", "redis": "wf005"}
    assert work_share(scope, "validate", None, spread=False).split.homes == {"n8n": "wf002", "redis": "wf001"}
    first, second, third = (work_share(scope, "preflight", Shard(number, 3, "x"), spread=False) for number in (1, 2, 3))
    assert (first.hosts, second.hosts, third.hosts) == (("wf001",), ("wf002",), ("wf005",))
    assert (first.services, third.services) == ((), ("n8n", "redis"))
    assert set(first.hosts_at_start) == {"wf001", "wf002", "wf005"}
    assert set(second.hosts_at_start) == {"wf002", "wf005"}
    assert work_share(scope, "preflight", None, spread=True).hosts_at_start == ()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal."""
    return Journal.open(tmp_path / "production.sqlite", redactor=Redactor())


def join(journal: Journal, number: int, of: int = 3, **other: Any) -> Run:
    """Begin a shard."""
    return join_run(journal, Shard(number, of, "night"), {**ABOUT, **other})


def look(
    run: Run,
    host: str | None = "wf001",
    judgement: Judgement | None = None,
    service: str | None = None,
    key: str = "ssh-answers",
) -> None:
    """Record a row."""
    given_judgement = judgement or passed("it answers")
    row = StepResult(
        "preflight",
        key,
        "It answers.",
        service or host or "all",
        service,
        host,
        None,
        Effect.READ_ONLY,
        Severity.BLOCKER,
        given_judgement,
        0.1,
    )
    run.record("result", service=service, key=key, body=row.body())


def whole(journal: Journal, *numbers: int, of: int = 3) -> str:
    """Run shards to their end, and return the run's id."""
    for number in numbers:
        run = join(journal, number, of)
        run.record("scope", body={"title": "x", "moves": [], "simulated": []}) if number == 1 else None
        look(run, f"wf00{number}")
        end_shard(run, {"PASSED": 1}, ExitCode.OK)
    return run.id


def test_all_shards_make_one_run(journal: Journal) -> None:
    """One beginning, one end with all heads, a whole chain for each, and PASSED."""
    run_id = whole(journal, 2, 3, 1)
    records = journal.records()

    assert {record.run_id for record in records} == {run_id}
    assert [record.kind for record in records if not record.writer] == ["run_started", "run_ended"]
    assert chain_problems(records) == []
    assert set(records[-1].body["heads"]) == {"", "shard 1/3", "shard 2/3", "shard 3/3"}
    assert records[-1].body["verdict_counts"] == {"PASSED": 3}
    assert records[-1].body["exit_name"] == "OK"
    assert exit_code(records) is ExitCode.OK
    page = view_of(journal, run_id)
    assert (page.verdict, page.rows, page.finished) == ("PASSED", 3, True)
    assert [row[0] for table in page.tables for row in table["rows"]] == ["1/3", "2/3", "3/3"]
    assert len({row["number"] for group in page.groups for row in group.rows}) == 3


@pytest.mark.parametrize(
    ("began", "expected"), [(False, "shard 2/3 never began"), (True, "shard 2/3 never ended: it last wrote at")]
)
def test_a_missing_shard_is_reported_and_the_run_is_unknown(
    journal: Journal, tmp_path: Path, began: bool, expected: str
) -> None:
    """Not begun, or killed: UNKNOWN with its name and how to run it again, on the page, in the statement and in what
    verify makes of both.
    """
    run_id = whole(journal, 1, 3)
    if began:
        look(join(journal, 2), "wf002")
    records = journal.records(run_id=run_id)

    page = view_of(journal, run_id)
    rows = [row for row in page.decisions if row["key"] == STEP]

    assert (page.verdict, page.finished) == ("UNKNOWN", False)
    assert [row["subject"] for row in rows] == ["shard 2/3"]
    assert expected in rows[0]["text"]
    assert "Run it again: --shard 2/3 --run-name night" in rows[0]["text"]
    assert exit_code(records) is ExitCode.INCOMPLETE
    assert statement_of(records, {}, None)["predicate"]["result"] == "FAILED"
    write_evidence(journal, run_id, tmp_path / "report")
    assert verify(read_folder(tmp_path / "report"), FakeCheck()).problems == []


def test_a_shard_that_is_run_again_replaces_what_it_did(journal: Journal) -> None:
    """A killed or failed attempt stays on record and does not count; the run ends anew, whole and PASSED."""
    run_id = whole(journal, 1, 3)
    look(join(journal, 2), "wf002", Judgement(Verdict.FAILED, "half a row"))
    again = join(journal, 2)
    look(again, "wf002")
    joined = end_shard(again, {"PASSED": 1}, ExitCode.OK)
    records = journal.records(run_id=run_id)

    assert joined.missing == ()
    assert {record.writer for record in records} == {"", "shard 1/3", "shard 2/3", "shard 3/3", "shard 2/3, attempt 2"}
    assert chain_problems(records) == []
    page = view_of(journal, run_id)
    assert (page.verdict, page.rows) == ("PASSED", 3)
    assert [row[2] for table in page.tables for row in table["rows"]] == ["1", "2", "1"]


def test_a_failed_shard_may_be_mended_and_run_again(journal: Journal) -> None:
    """The run has ended FAILED; the new attempt ends it again, and the last end counts."""
    run_id = whole(journal, 1, 3)
    bad = join(journal, 2)
    look(bad, "wf002", Judgement(Verdict.FAILED, "no"))
    end_shard(bad, {"FAILED": 1}, ExitCode.FAILED)
    assert view_of(journal, run_id).verdict == "FAILED"

    again = join(journal, 2)
    assert view_of(journal, run_id).verdict == "UNKNOWN"  # while it runs nobody may rely on the end before
    look(again, "wf002")
    end_shard(again, {"PASSED": 1}, ExitCode.OK)

    records = journal.records(run_id=run_id)
    assert [record.body["exit_name"] for record in records if record.kind == "run_ended"] == ["FAILED", "OK"]
    assert view_of(journal, run_id).verdict == "PASSED"
    assert chain_problems(records) == []


def test_a_late_writer_of_an_earlier_attempt_does_not_count(journal: Journal) -> None:
    """A job that was given up and lives on: its rows and its end change nothing."""
    run_id = whole(journal, 1, 3)
    lost, again = join(journal, 2), join(journal, 2)
    look(again, "wf002")
    end_shard(again, {"PASSED": 1}, ExitCode.OK)
    look(lost, "wf002", Judgement(Verdict.FAILED, "late"))
    end_shard(lost, {"FAILED": 1}, ExitCode.FAILED)

    assert view_of(journal, run_id).verdict == "PASSED"
    assert chain_problems(journal.records(run_id=run_id)) == []


def test_a_whole_run_that_passed_is_not_joined_again(journal: Journal) -> None:
    """Its evidence stands; another run has another name."""
    whole(journal, 1, 2, 3)
    before = len(journal.records())

    with pytest.raises(
        InputError,
        match=r"--run-name night: run of .* is whole: all 3 shards ended, and it passed\. Expected: another name",
    ):
        join(journal, 2)
    assert len(journal.records()) == before


@pytest.mark.parametrize(
    ("other", "of", "message"),
    [
        ({"plan_digest": "e" * 64}, 3, "plan dddddddddddd, here eeeeeeeeeeee"),
        ({"asked": "b" * 64}, 3, "selection, inventory and waivers aaaaaaaaaaaa, here bbbbbbbbbbbb"),
        ({"version": "2"}, 3, "version 1, here 2"),
        ({"commit": "f" * 40}, 3, "commit cccccccccccc, here ffffffffffff"),
        ({}, 4, "3 shards, here 4"),
    ],
)
def test_a_shard_of_another_run_is_refused(journal: Journal, other: dict[str, Any], of: int, message: str) -> None:
    """Another plan, selection, version, checkout or number of shards: nothing is written into the run."""
    join(journal, 1)
    before = len(journal.records())

    with pytest.raises(InputError, match=message):
        join(journal, 2, of, **other)
    assert len(journal.records()) == before


def test_all_may_begin_and_end_at_once(journal: Journal) -> None:
    """Eight processes start the run and close it together: one beginning, one end, no record lost."""

    def work(number: int) -> None:
        run = join(journal, number, 8)
        look(run, f"wf{number}")
        end_shard(run, {"PASSED": 1}, ExitCode.OK)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(1, 9)))
    records = journal.records()

    assert [record.kind for record in records if not record.writer] == ["run_started", "run_ended"]
    assert records[-1].kind == "run_ended"
    assert chain_problems(records) == []
    assert exit_code(records) is ExitCode.OK


def test_tables_of_shards_become_one(journal: Journal) -> None:
    """Each wrote the rows of its own hosts."""
    for number in (1, 2):
        run = join(journal, number, 2)
        run.record("report_table", body={"title": "Backups", "columns": ["of"], "rows": [[f"wf00{number}"]]})
        look(run, f"wf00{number}")
        end_shard(run, {"PASSED": 1}, ExitCode.OK)

    tables = [record.body for record in counted(journal.records()) if record.kind == "report_table"]

    assert [table["rows"] for table in tables if table["title"] == "Backups"] == [[["wf001"], ["wf002"]]]


def test_a_cut_tail_of_a_shard_shows(journal: Journal) -> None:
    """The run's end holds the head of each shard's chain."""
    whole(journal, 1, 2, 3)
    records = journal.records()
    cut = [record for record in records if not (record.writer == "shard 2/3" and record.kind == "shard_ended")]

    assert 'the chain of writer "shard 2/3" lacks its end' in chain_problems(cut)[0]
    assert joined_of(cut).missing == (2,)


def test_the_gate_opens_only_for_a_whole_run(journal: Journal) -> None:
    """Migrate names the shard that is missing, and opens when it has ended."""
    scope = build_scope(make_inventory(), make_plan(), make_environment())
    runs = [join(journal, number, 2, plan_digest=scope.digest, code=code_digest()) for number in (1, 2)]
    for step in steps_of("preflight"):
        for host in ("wf001", "wf005") if step.about == "host" else (None,):
            look(runs[0], host, service="redis" if step.about == "service" else None, key=step.key)
    end_shard(runs[0], {"PASSED": 1}, ExitCode.OK)
    now = journal.clock()

    problems = preflight_problems("redis", scope, journal, now)
    assert len(problems) == 1
    assert "is not whole: shard 2/2 never ended" in problems[0]

    end_shard(runs[1], {}, ExitCode.OK)
    assert preflight_problems("redis", scope, journal, now) == []


def test_a_run_is_found_by_its_name(journal: Journal) -> None:
    """`report -- night` needs no id."""
    run_id = whole(journal, 1)

    assert find_run(journal.records(kind="run_started"), "night", "here").run_id == run_id
