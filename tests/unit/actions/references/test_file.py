"""A reference in a file: rewritten once, read again, put back exactly, and never written over somebody's edit."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from actions.common.route import Route
from actions.references.file import FileReference
from engine.config.reference_rules import Rewrite
from engine.contracts.container import CommandResult
from engine.errors import ActionError, ManualInterventionError, NotObservedError
from tests.fakes.fleet import FakeFleet

OLD = 'targets: ["orders:8080"]\n'
NEW = 'targets: ["192.0.2.5:8080"]\n'
PATH = "/srv/prometheus/prometheus.yml"
KEPT = "/var/lib/longshore/references/lab-prometheus-prometheus-orders-8080-0"
ENTRY: dict[str, Any] = {
    "kind": "file",
    "value": "{host}:{port}",
    "path": "/etc/prometheus/prometheus.yml",
    "pattern": r'targets: \["(orders:8080)"\]',
    "reload": {"signal": "HUP"},
}


class Disk:
    """A host with files; it does what the two scripts do, and dies where a test says."""

    def __init__(self, **files: str) -> None:
        """Start with these files."""
        self.files = files
        self.name = "wf001"
        self.signals: list[str] = []
        self.dies_at = ""

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run one of the commands that a reference uses."""
        words = argv[3:] if argv[0] == "sh" else argv
        code, out = self._do(words, stdin)
        return CommandResult(tuple(argv), code, out, b"", 0.0)

    def _do(self, words: list[str], stdin: bytes) -> tuple[int, bytes]:
        if words[0] == "read":
            return (0, self.files[words[1]].encode()) if words[1] in self.files else (4, b"")
        if words[0] == "write":
            return self._write(words[1], words[2], words[3], stdin.decode()), b""
        if words[0] == "touch":
            self.files[words[1]] = ""
        if words[0] == "rm":
            for path in words[3:]:
                self.files.pop(path, None)
        if words[0] == "test":
            return int(words[2] not in self.files), b""
        return 0, b""

    def _write(self, path: str, expected: str, kept: str, text: str) -> int:
        if hashlib.sha256(self.files[path].encode()).hexdigest() != expected:
            return 6
        self.files.setdefault(kept, self.files[path])
        self.files.pop(f"{kept}.loaded", None)
        self.files[f"{kept}.new"] = text
        if self.dies_at == "write":
            self.files[path] = text[:5]
            return 137
        self.files[path] = text
        del self.files[f"{kept}.new"]
        return 0

    # --- what Docker answers
    @property
    def api(self) -> Any:
        """Return itself."""
        return self

    def inspect_container(self, name: str) -> dict[str, Any]:
        """Return prometheus with its bind mount."""
        return {
            "Name": f"/{name}",
            "Mounts": [{"Type": "bind", "Source": "/srv/prometheus", "Destination": "/etc/prometheus"}],
        }

    def kill(self, name: str, signal: str) -> None:
        """Take a signal."""
        if self.dies_at == "reload":
            raise NotObservedError("cut off")
        self.signals.append(signal)


def reference(disk: Disk, **entry: Any) -> FileReference:
    """Return the reference of prometheus to orders."""
    fleet: Any = FakeFleet({"wf001": disk}, {"wf001": disk})
    route = Route(fleet, "prometheus", "prometheus", "wf001", "wf001", "lab/prometheus/1")
    return FileReference(route, Rewrite.model_validate({**ENTRY, **entry}), "192.0.2.5:8080", KEPT)


def test_it_is_written_read_again_and_put_back_exactly() -> None:
    """The old text is kept before, and goes only once it stands in its place again."""
    disk = Disk(**{PATH: OLD})
    one = reference(disk)

    changed = one.write()

    assert disk.files[PATH] == NEW
    assert disk.files[KEPT] == OLD
    assert one.is_done()
    assert changed == (
        "/etc/prometheus/prometheus.yml:1",
        '- targets: ["orders:8080"]',
        '+ targets: ["192.0.2.5:8080"]',
    )
    one.put_back()
    assert disk.files == {PATH: OLD}
    assert one.is_undone()
    assert disk.signals == ["SIGHUP", "SIGHUP"]


def test_twice_is_as_once() -> None:
    """Both ways."""
    disk = Disk(**{PATH: OLD})
    one = reference(disk)

    one.write()
    one.write()
    one.put_back()
    one.put_back()

    assert disk.files == {PATH: OLD}


@pytest.mark.parametrize("where", ["write", "reload"])
def test_what_was_cut_off_resumes(where: str) -> None:
    """Half a file, or one that nobody read again, is not taken for done."""
    disk = Disk(**{PATH: OLD})
    one = reference(disk)
    disk.dies_at = where
    with pytest.raises((ActionError, NotObservedError)):
        one.write()
    disk.dies_at = ""
    assert not one.is_done()

    one.write()

    assert disk.files[PATH] == NEW
    assert one.is_done()
    one.put_back()
    assert disk.files == {PATH: OLD}


def test_a_redo_after_a_cut_off_undo_is_read_again() -> None:
    """The mark that the file was read belongs to what stood there then."""
    disk = Disk(**{PATH: OLD})
    one = reference(disk)
    one.write()
    disk.dies_at = "reload"
    with pytest.raises(NotObservedError):
        one.put_back()
    with pytest.raises(NotObservedError):
        one.write()

    assert not one.is_done()


def test_somebodys_edit_of_the_reference_is_not_written_over() -> None:
    """The undo says where the old text is kept and how to compare."""
    disk = Disk(**{PATH: OLD})
    one = reference(disk)
    one.write()
    disk.files[PATH] = NEW.replace("192.0.2.5", "198.51.100.1")

    with pytest.raises(ManualInterventionError, match=rf"Compare: ssh wf001 diff {KEPT} {PATH}"):
        one.put_back()
    assert "198.51.100.1" in disk.files[PATH]
    assert disk.files[KEPT] == OLD


def test_a_file_that_changes_between_look_and_write_is_left_alone() -> None:
    """The write itself compares once more."""
    disk = Disk(**{PATH: OLD})
    one = reference(disk)

    with pytest.raises(ActionError, match=r"write /etc/prometheus/prometheus\.yml failed"):
        one._write("what it was not", NEW)
    assert disk.files == {PATH: OLD}


def test_what_points_there_already_is_no_deed_of_ours() -> None:
    """Nothing is kept, so that nothing is put back later."""
    disk = Disk(**{PATH: NEW})
    one = reference(disk, pattern=r'targets: \["([^"]+)"\]')

    assert one.is_done()
    one.put_back()
    assert disk.files == {PATH: NEW}


def test_a_file_in_the_container_itself_is_refused() -> None:
    """It would be lost with the container."""
    with pytest.raises(NotObservedError, match="lies on no mount of container prometheus"):
        reference(Disk(), path="/opt/prometheus.yml").foresee()


def test_the_pattern_is_named_with_how_often_it_fits() -> None:
    """And where."""
    with pytest.raises(
        ActionError,
        match=r"prometheus on wf001: /etc/prometheus/prometheus.yml \(container\): the pattern .* fits 2 times",
    ):
        reference(Disk(**{PATH: OLD + OLD})).foresee()


def test_a_hosts_own_file_is_taken_as_it_is() -> None:
    """A compose file needs nothing to be read again."""
    disk = Disk(**{"/srv/compose.yaml": OLD})
    one = reference(disk, path="/srv/compose.yaml", on="host", reload=None)

    one.write()

    assert disk.files["/srv/compose.yaml"] == NEW
    assert not disk.signals
