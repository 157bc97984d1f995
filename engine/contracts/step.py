"""What a step leaves behind: one row of evidence, and the `judge` that a runbook hands its answers to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import NotObservedError
from engine.finding import finding_of, joined, lines_of, recorded, recorded_lines
from engine.verdict import Effect, Judgement, Severity, Verdict


@dataclass
class Judge:
    """Takes the judgements of one step; a step that hands over none has measured nothing and can't pass."""

    given: list[Judgement] = field(default_factory=list)

    def __call__(self, *judgements: Judgement) -> None:
        """Record the judgements; raise AssertionError when one FAILED, CouldNotLookError when one is not PASSED."""
        __tracebackhide__ = True
        self.given.extend(judgements)
        wrong = [judgement for judgement in judgements if judgement.verdict is Verdict.FAILED]
        if wrong:
            raise AssertionError(joined("\n", _lines(wrong)))  # `python -O` leaves out assert statements
        unseen = [judgement for judgement in judgements if not judgement.passed]
        if unseen:
            raise NotObservedError(joined("\n", _lines(unseen)))

    def ask(self, question: Callable[[], Judgement]) -> None:
        """Ask a question and take its answer; a host that does not answer makes it UNKNOWN."""
        __tracebackhide__ = True
        self(question())


@dataclass(frozen=True)
class StepResult:
    """One row of evidence: one step, one sentence, one verdict."""

    phase: str
    key: str
    sentence: str
    subject: str
    service: str | None
    host: str | None
    wave: str | None
    effect: Effect
    severity: Severity
    judgement: Judgement
    duration_s: float
    waiver: Mapping[str, str] | None = None

    def body(self) -> dict[str, Any]:
        """Return the journal's record of this row."""
        return {
            "phase": self.phase,
            "sentence": self.sentence,
            "subject": self.subject,
            "service": self.service,
            "host": self.host,
            "wave": self.wave,
            "effect": self.effect.value,
            "severity": self.severity.value,
            "verdict": self.judgement.verdict.value,
            **recorded(self.judgement.text),
            "measured": dict(self.judgement.measured),
            **recorded_lines(self.judgement.details),
            "duration_s": round(self.duration_s, 3),
            **({"waiver": dict(self.waiver)} if self.waiver else {}),
        }

    @classmethod
    def of_body(cls, key: str, body: Mapping[str, Any]) -> StepResult:
        """Return the row of a record's key and body."""
        judgement = Judgement(Verdict(body["verdict"]), finding_of(body), dict(body["measured"]), lines_of(body))
        given = {name: body[name] for name in ("phase", "sentence", "subject", "service", "host", "wave", "duration_s")}
        return cls(
            key=key,
            **given,
            effect=Effect(body["effect"]),
            severity=Severity(body["severity"]),
            judgement=judgement,
            waiver=body.get("waiver"),
        )


def _lines(judgements: list[Judgement]) -> list[str]:
    return [line for judgement in judgements for line in (judgement.text, *judgement.details)]
