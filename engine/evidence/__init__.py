"""Evidence of a run, drawn from the journal."""

from engine.evidence.next_steps import command_line
from engine.evidence.page.page import BACKUP
from engine.evidence.writer import Paths, folder_name, write_evidence

__all__ = ["BACKUP", "Paths", "command_line", "folder_name", "write_evidence"]
