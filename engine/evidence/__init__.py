"""Evidence of a run, drawn from the journal."""

from engine.evidence.advice import command_line
from engine.evidence.bundle import Paths, folder_name, write_evidence
from engine.evidence.view import BACKUP

__all__ = ["BACKUP", "Paths", "command_line", "folder_name", "write_evidence"]
