"""Evidence of a run, drawn from the journal."""

from engine.evidence.bundle import Paths, write_evidence

__all__ = ["Paths", "write_evidence"]
