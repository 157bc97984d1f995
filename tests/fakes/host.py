"""Hosts that answer without a connection: from a script, and with files in memory."""

from __future__ import annotations

from engine.contracts.container import CommandResult


class FakeHost:
    """A host that answers from a script: the first answer whose words all stand in argv."""

    def __init__(
        self, name: str, answers: dict[str, tuple[int, str, str]] | None = None, address: str = "192.0.2.5"
    ) -> None:
        """Take answers by words of the command: exit code, stdout, stderr; what is not there answers 0 and nothing."""
        self.name = name
        self.address = address
        self.answers = answers or {}
        self.asked: list[tuple[list[str], bytes]] = []

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Answer from the script and remember what was asked."""
        assert timeout_s > 0
        self.asked.append((argv, stdin))
        line = " ".join(argv)
        for words, (code, out, error) in self.answers.items():
            if all(word in line for word in words.split()):
                return CommandResult(tuple(argv), code, out.encode(), error.encode(), 0.0)
        return CommandResult(tuple(argv), 0, b"", b"", 0.0)


class HostWithFiles(FakeHost):
    """A host on which files are written, read, listed and removed; all else it answers from its script."""

    def __init__(self, name: str = "wf005") -> None:
        """Start without files."""
        super().__init__(name)
        self.files: dict[str, bytes] = {}

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Write, read, list and remove."""
        path = argv[-1]
        answer = super().run(argv, stdin=stdin, timeout_s=timeout_s)
        if argv[:2] == ["sh", "-c"] and stdin:
            self.files[path] = stdin
        elif argv[0] in {"cat", "ls"} and path not in self.files:
            text = f"{argv[0]}: {path}: No such file or directory"
            return CommandResult(tuple(argv), 1 if argv[0] == "cat" else 2, b"", text.encode(), 0.0)
        elif argv[0] == "cat":
            return CommandResult(tuple(argv), 0, self.files[path], b"", 0.0)
        elif argv[0] == "ls":
            return CommandResult(tuple(argv), 0, b"-rw------- 1 0 0 1 x", b"", 0.0)
        elif argv[0] == "rm":
            self.files.pop(path, None)
        return answer
