"""Waivers: a failed or unknown step that a named person takes the risk of, for a while; it stays visible with its
reason.

`waivers.yaml` says what is waived; each is signed by its approver like an approval. A waiver is for one row: one step
about one service, one host, or all. Actions are not waived: what failed there was undone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import rfc8785
from pydantic import AwareDatetime, Field

from engine.command_line import ANY, typed_command
from engine.config.environment import Person
from engine.config.inventory import Name
from engine.config.partial_model import PartialModel, read_draft
from engine.config.plan import Role
from engine.config.validation import Strict
from engine.constants import NAME, VERSION
from engine.contracts.phase import READING_PHASES, WRITING_PHASES
from engine.contracts.step import StepResult
from engine.errors import InputError
from engine.finding import joined, say
from engine.project import WAIVERS
from engine.signoff.signed_text import one_line, read_statement, statement_text
from engine.verdict import Effect, Judgement, Severity, Verdict, failed

FORMAT: Final = f"{NAME} waiver 1"
NAMESPACE: Final = f"{NAME}-waiver"
DEFAULT: Final = WAIVERS
WAIVABLE: Final = READING_PHASES
RESTS_ON: Final = "rests on"
COVERED: Final = frozenset({Verdict.FAILED, Verdict.UNKNOWN})


class Waiver(Strict):
    """One step that may fail for a while."""

    environment: str = Field(description="the one environment that it is for", examples=["production"])
    step: str = Field(
        pattern=r"^[a-z]+/[a-z0-9][a-z0-9-]*$", description="phase and key of the step", examples=["preflight/clock"]
    )
    service: Name | None = Field(None, description="the service that the step is about, if it is about one")
    host: Name | None = Field(None, description="the host that the step is about, if it is about one")
    reason: str = Field(min_length=1, description="why it may fail")
    risk: str = Field(min_length=1, description="what may go wrong because of it")
    approver: Person = Field(description="who takes the risk; one of the environment's approvers")
    role: Role = Field("technical", description="in which role")
    expires_at: AwareDatetime = Field(
        description="until when, with its UTC offset", examples=["2026-12-06T04:00:00-03:00"]
    )

    @property
    def phase(self) -> str:
        """Return the phase of the step."""
        return self.step.partition("/")[0]

    @property
    def about(self) -> str:
        """Return the row that it is for, in words."""
        return say("{step} of {service}", step=self.step, service=self.service or self.host or "all")

    def fields(self) -> dict[str, str]:
        """Return what is signed, apart from the time."""
        given = self.model_dump(mode="json", exclude={"expires_at"})
        return {
            **{name: one_line(str(value or "")) for name, value in given.items()},
            "expires at": self.expires_at.astimezone(UTC).isoformat(),
        }

    def kept(self) -> dict[str, str]:
        """Return what a row of evidence keeps of it."""
        return {
            "reason": self.reason,
            "risk": self.risk,
            "approver": self.approver,
            "role": self.role,
            "expires_at": self.expires_at.isoformat(),
        }

    @property
    def digest(self) -> str:
        """Return what names its signature's file: another word in it is another waiver."""
        return hashlib.sha256(rfc8785.dumps(dict(self.fields()))).hexdigest()

    def text(self, signed_at: datetime, rests_on: str) -> str:
        """Return the text that its approver signs; `rests_on` is the digest of the plan's part that its row
        is about.
        """
        statement = say(
            "{approver} takes this risk in environment {environment} until {expires_at}:\n{about} may fail.",
            approver=self.approver,
            environment=self.environment,
            expires_at=self.expires_at.isoformat(),
            about=self.about,
        )
        return statement_text(
            FORMAT,
            {
                **self.fields(),
                RESTS_ON: rests_on,
                "signed at": signed_at.isoformat(timespec="seconds"),
                "written by": f"{NAME} {VERSION}",
            },
            statement,
        )

    def differs_from(self, text: str, where: str, rests_on: str) -> str:
        """Return what a signed text says that is not so now, "" when it is exactly this waiver; raises InputError for
        one that is no waiver.
        """
        signed = read_statement(text, FORMAT, where, "waive")
        if any(signed.get(name) != value for name, value in self.fields().items()):
            return say("says something else")
        if signed.get(RESTS_ON) != rests_on:
            return say(
                "was signed for another plan: the part of it that this row is about (move, service, hosts) has "
                "changed since"
            )
        return ""


def signed_at(text: str, where: str) -> datetime:
    """Return when a signed text says that it was signed; raises InputError when it does not."""
    signed_at = read_statement(text, FORMAT, where, "waive").get("signed at", "")
    try:
        at = datetime.fromisoformat(signed_at)
    except ValueError as error:
        raise InputError(
            say(
                '{where}: signed at "{signed_at}". Expected: a time. Sign again: {command}',
                where=where,
                signed_at=signed_at,
                command=typed_command("waive", environment=ANY),
            )
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class WaiverFile(Strict):
    """All waivers, of all environments."""

    version: Literal[1] = Field(description="version of this format")
    waivers: tuple[Waiver, ...] = Field((), description="each for one row of evidence")


def read_waivers(path: Path) -> PartialModel[WaiverFile]:
    """Return the waivers of a file as far as they can be judged; raises InputError when it can't be read."""
    return read_draft(WaiverFile, path, {"version": 1})


def problems_of(
    draft: PartialModel[WaiverFile], environment: str, services: Collection[str], hosts: Collection[str]
) -> Iterator[str]:
    """Yield what can never match, or is no waiver, although the shape is right; those of other environments are left
    alone.
    """
    seen: set[tuple[str, str | None, str | None]] = set()
    for position, waiver in enumerate(draft.rough.waivers if draft.rough else ()):
        if waiver.environment != environment:
            continue
        path, row = f"waivers/{position}", (waiver.step, waiver.service, waiver.host)
        if waiver.phase not in WAIVABLE:
            why = "an action that failed is undone, not waived" if waiver.phase in WRITING_PHASES else "no such phase"
            yield f"{path}/step: {waiver.step}: {why}; expected a step of {' or '.join(WAIVABLE)}"
        if waiver.service and waiver.host:
            yield f"{path}: names a service and a host; a row is about one of them"
        if waiver.service and waiver.service not in services:
            yield (
                f"{path}/service: {waiver.service} is not moved in environment {environment}; known: "
                f"{', '.join(sorted(services))}"
            )
        if waiver.host and waiver.host not in hosts:
            yield (
                f"{path}/host: {waiver.host} is not a host of environment {environment}; known: "
                f"{', '.join(sorted(hosts))}"
            )
        if row in seen:
            yield f"{path}: {waiver.about} is waived twice; expected once"
        seen.add(row)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Waivers:
    """The signed waivers of one run's environment."""

    file: str = str(DEFAULT)
    waivers: tuple[Waiver, ...] = ()
    clock: Callable[[], datetime] = _now
    _needless: list[Waiver] = field(default_factory=list, init=False)

    def judge(self, row: StepResult) -> StepResult:
        """Return a row as it counts: failed or unknown under a waiver that still holds, it is WAIVED, and says why."""
        waiver = next(
            (
                one
                for one in self.waivers
                if (one.step, one.service, one.host) == (f"{row.phase}/{row.key}", row.service, row.host)
            ),
            None,
        )
        seen = row.judgement
        if waiver is None or seen.verdict not in COVERED:
            self._needless += [waiver] if waiver and seen.passed else []
            return row
        until, by = f"{waiver.expires_at:%Y-%m-%d %H:%M %z}", f"{waiver.approver} ({waiver.role})"
        if waiver.expires_at <= self.clock():
            late = say("{text}. Its waiver by {by} expired at {until}", text=seen.text, by=by, until=until)
            return replace(row, judgement=Judgement(seen.verdict, late, seen.measured, seen.details))
        reason = say(
            "waived until {until} by {by}: {reason}. Risk: {risk}. Seen: {verdict_value}: {text}",
            until=until,
            by=by,
            reason=waiver.reason,
            risk=waiver.risk,
            verdict_value=seen.verdict.value,
            text=seen.text,
        )
        return replace(
            row, judgement=Judgement(Verdict.WAIVED, reason, seen.measured, seen.details), waiver=waiver.kept()
        )

    def refuse_unknown(
        self, phase: str, rows: Collection[tuple[str, str | None, str | None]], subjects: Collection[str]
    ) -> None:
        """Raise InputError for a waiver that no step of this phase can match; `rows` are key, service and host of all
        steps.

        A service that this run does not look at (`--service`) is none of its business.
        """
        wrong = [
            say(
                "  {about}: no such step; known here: {rows}",
                about=one.about,
                rows=", ".join(sorted({row[0] for row in rows if row[1:] == (one.service, one.host)})) or say("none"),
            )
            for one in self.waivers
            if one.phase == phase and (one.service is None or one.service in subjects)
            if (one.step.partition("/")[2], one.service, one.host) not in rows
        ]
        if wrong:
            raise InputError(
                joined(
                    "\n",
                    [
                        say("{file}: waivers that match nothing in {phase}", file=self.file, phase=phase),
                        *wrong,
                        say("Correct or remove them"),
                    ],
                )
            )

    def needless_row(self, phase: str) -> StepResult | None:
        """Return the row that names waivers whose step passed, None when there are none: nothing is waived
        in advance.
        """
        if not self._needless:
            return None
        named = ", ".join(one.about for one in self._needless)
        judgement = failed(
            say(
                "{file}: {named} passed. Expected: a waiver only for what fails. Remove it there, then run this phase "
                "again",
                file=self.file,
                named=named,
            )
        )
        return StepResult(
            phase,
            "waivers-needed",
            "Every waiver was needed.",
            "all",
            None,
            None,
            None,
            Effect.READ_ONLY,
            Severity.BLOCKER,
            judgement,
            0.0,
        )
