"""The kinds of records in the journal, each with one sentence; docs/journal.md is generated from this table."""

from __future__ import annotations

from enum import StrEnum


class RecordKind(StrEnum):
    """What a record is about; the value is what the journal, journal.jsonl and the hosts' audit logs hold."""

    description: str

    def __new__(cls, value: str, description: str = "") -> RecordKind:  # noqa: PYI034 an enum's member is no other class
        """Return a member that is its value and knows its sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    RUN_STARTED = (
        "run_started",
        "A run began: command line, operator, environment, version, plan digest, end of the journal.",
    )
    RUN_ENDED = (
        "run_ended",
        "A run ended: its exit status, the number of results by verdict, and the head of each of its chains.",
    )
    SHARD_STARTED = "shard_started", "One attempt of one shard began, as a writer with a chain of its own."
    SHARD_ENDED = "shard_ended", "One attempt of one shard ended, with its exit status."
    SCOPE = "scope", "The moves that the run is about, with source, target, wave and strategy."
    PLAN = "plan", "The digest of the plan and of each of its parts."
    PLAN_PART = "plan_part", "The text of one part of the plan, written once; its key is the text's digest."
    PLAN_FROZEN = "plan_frozen", "The plan with which a move started; its retries and its rollback use this plan."
    PLAN_CHANGE_IGNORED = (
        "plan_change_ignored",
        "Services that continue with the plan they started with although the plan has changed since.",
    )
    APPROVAL = "approval", "A signed approval of the plan: its text and its signature."
    ATTESTATION = "attestation", "A signed attestation that a person did a manual step."
    SIGNED_WAIVER = "signed_waiver", "A signed waiver that is in force: its text and its signature."
    WAIVER = "waiver", "A waiver was signed: the step, the reason, the risk and the date until which it holds."
    LOCK_BROKEN = "lock_broken", "The lock of another run on a host was broken, and why."
    RESULT = "result", "The result of one check or step: its verdict, text, severity and duration."
    STEP_SKIPPED = "step_skipped", "A step that does not apply to this run, and why."
    MOVE_STATE = "move_state", "The state that a move entered."
    INTENT = "intent", "An action is about to change a host; written to disk before it does."
    NOTE = "note", "What a running action must know again after a crash."
    OUTCOME = "outcome", "An action ended: whether it succeeded, what it verified, and its notes."
    UNDO_INTENT = "undo_intent", "The undo of an action is about to change a host."
    UNDO_OUTCOME = "undo_outcome", "The undo of an action ended: whether it succeeded."
    DRIFT = "drift", "Something that a finished action had left on a host has changed since."
    FOUND_COMMITTED = "found_committed", "A move without a recorded commit was found committed on its hosts."
    SOURCE_OBSERVED = (
        "source_observed",
        "The source container as a run observed it: the digest of its configuration, image and mounts.",
    )
    SOURCE_VERIFIED = "source_verified", "Whether the source serves again after a move was undone."
    HOST_OBSERVED = (
        "host_observed",
        "A host as a run observed it: address, SSH key, operating system, engine and image digests.",
    )
    TOOLBOX_SEEN = "toolbox_seen", "The toolbox image that a host had; its key is the host."
    HOST_LOST = "host_lost", "The operator declared a host lost, and why."
    TARGET_WRITES_DISCARDED = (
        "target_writes_discarded",
        "The operator agreed to lose what was written on the target since the cutover, and why.",
    )
    RECOVERED_HOST_STOPPED = (
        "recovered_host_stopped",
        "A host that was declared lost is reachable again; moved containers on it were stopped.",
    )
    HOST_CONFIGURATION_SAVED = "host_configuration_saved", "A host's configuration was backed up and read back."
    NETWORK_TEST = (
        "network_test",
        "One connection between hosts was tested: from where, to which address and port, and the outcome.",
    )
    PATH_THROUGHPUT = "path_throughput", "The measured throughput from one host to another, in bytes a second."
    FINGERPRINT = "fingerprint", "What a service held at one moment: a digest and counts for each part of its data."
    OUTAGE = "outage", "The measured outage of a move, with the prediction."
    REPOINT_STARTED = "repoint_started", "The repointing of a service's dependants began, with their links."
    REPOINTED = "repointed", "Whether one link leads to the new host directly."
    BASELINE_UPDATED = (
        "baseline_updated",
        "Parts of a dependant's fingerprint that repointing changed on purpose: the new baseline.",
    )
    CONTAINER_LOG = "container_log", "The last lines of a container's log."
    REPORT_TABLE = "report_table", "A table of the report."
    REPORT_GRAPH = "report_graph", "A graph of the report."
    LOAD_TEST = "load_test", "A load test of a service: rate, latencies, errors, and what its host used meanwhile."
    INCIDENT_OPENED = (
        "incident_opened",
        "An incident: when it began, severity, who reported it, ticket; its key is its id.",
    )
    INCIDENT_NOTED = "incident_noted", "What a person added to an incident."
    INCIDENT_CLOSED = "incident_closed", "A person closed an incident, and how it ended."
    JOURNAL_REBUILT = "journal_rebuilt", "The journal was rebuilt from the audit logs of the hosts."


def journal_page() -> str:
    """Return docs/journal.md: all kinds of records, in the order of this table."""
    rows = "".join(f"| `{kind.value}` | {kind.description} |\n" for kind in RecordKind)
    return f"{HEAD}\n| kind | content |\n| --- | --- |\n{rows}"


HEAD = """\
# The journal's records

<!-- Generated from engine/journal/kinds.py by `python -m commands schema`. -->

The journal of an environment is a sequence of records. Each record has a kind, and where it applies a service and a key
(of a step, an action or a host). `journal.jsonl` in the folder of a run holds all records of that run, one a line.

A `text` or `describe` is in English. Where it is a finding, its record also holds `template` and `fields`, from which
any language shows the same sentence; a field is a text, a number, such a finding again, or `parts` with a `separator`.
`details_said` holds the same for lines of `details`, each with its number, and a cell of a table may be such a mapping.
`verify` checks that template and fields give the text.
"""
