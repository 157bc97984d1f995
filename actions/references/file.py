"""A reference in a file: on a mount of the dependant's container or on its host, rewritten in place, the old text kept
with our state.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from actions.common.route import Route, docker_api, look, run_checked
from actions.container.source import grace_of, need_container
from actions.references.text_edit import ReferenceState, Replaced, put_back, replace_group, standing_of
from engine.config.reference_rules import Rewrite
from engine.constants import HOST_STATE_DIR
from engine.errors import ActionError, ManualInterventionError, NotObservedError
from engine.finding import say

DIRECTORY: Final = f"{HOST_STATE_DIR}/references"
LARGEST_BYTES: Final = 4_000_000
READ_S: Final = 30.0
RELOAD_S: Final = 60.0
OPEN: Final = """\
set -eu; umask 077
[ -e "$path" ] || { echo "not there" >&2; exit 4; }
[ -f "$path" ] && [ ! -L "$path" ] || { echo "is no ordinary file" >&2; exit 5; }
exec 5< "$path"
file=/proc/$$/fd/5 real=$path
[ -z "$root" ] || real="$(readlink -f -- "$root")${path#"$root"}"
is_the_file() { [ "$(readlink -- "$file")" = "$real" ] && [ -f "$file" ]; }
is_the_file || { echo "is reached through a link, it is $(readlink -- "$file"); expected $real itself" >&2; exit 5; }
"""
"""Opens `$path` once and sees what was opened: who may write to its directory could put a link in its place at any
moment. All that follows is done with what was opened. Links are followed down to `$root` only, which is the host's own;
without it nowhere.
"""
READ: Final = f"""\
path=$1 root=${{3:-}}
{OPEN}[ "$(stat -L -c %s -- "$file")" -le "$2" ] || {{ echo "is larger than $2 bytes" >&2; exit 5; }}
cat -- "$file"
"""
WRITE: Final = f"""\
path=$1 expected=$2 kept=$3 wanted=$4 root=${{5:-}}
{OPEN}digest() {{ sha256sum < "$1" | cut -c1-64; }}
mkdir -p -- "${{kept%/*}}"; chmod 0700 -- "${{kept%/*}}"
cat > "$kept.part"
[ "$(digest "$kept.part")" = "$wanted" ] || {{ echo "the text did not arrive whole" >&2; exit 6; }}
[ "$(digest "$file")" = "$expected" ] || {{ echo "was changed by somebody else just now" >&2; exit 6; }}
sync -- "$kept.part"; mv -- "$kept.part" "$kept.new"
if [ ! -e "$kept" ]; then
    cp -p -- "$file" "$kept.part"; chmod 0600 -- "$kept.part"; sync -- "$kept.part"; mv -- "$kept.part" "$kept"
fi
rm -f -- "$kept.loaded"
cat -- "$kept.new" > "$file"; sync -- "$file"
if cmp -s -- "$file" "$kept"; then touch -r "$kept" -- "$file"; fi
cmp -s -- "$file" "$kept.new"
is_the_file || {{ echo "was replaced by another file while it was written" >&2; exit 6; }}
rm -f -- "$kept.new"
"""
"""In place, so that owner, mode and the inode that a container may have mounted stay; the copy is whole before anything
is written.
"""
NOT_THERE: Final = 4


@dataclass(frozen=True)
class FileReference:
    """One reference in one file of a dependant; `route` names its container, whose host is both source and target."""

    route: Route
    rewrite: Rewrite
    value: str
    kept: str  # where the old text is kept on the host
    grace_s: int = 30

    @property
    def name(self) -> str:
        """Return how messages call it."""
        return say(
            "{service} on {source}: {rewrite}",
            service=self.route.service,
            source=self.route.source,
            rewrite=self.rewrite.text(),
        )

    @property
    def restarts(self) -> bool:
        """Return whether the container is stopped and started for the file to be read again."""
        reload = self.rewrite.reload
        return reload is not None and not reload.argv and not reload.signal

    def describe(self) -> str:
        """Return the dry run's words."""
        reload = self.rewrite.reload
        return say(
            "{name}: let {pattern} say {value}, then {reload}",
            name=self.name,
            pattern=repr(self.rewrite.pattern),
            value=self.value,
            reload=reload.text() if reload else say("nothing"),
        )

    def foresee(self) -> tuple[str, ...]:
        """Return what would change, as lines; raises ActionError when the pattern does not fit exactly once."""
        return self._replaced(self._kept() or self._text()).lines(self.rewrite.path)

    def standing(self) -> ReferenceState:
        """Return what the file says now."""
        current, kept = self._text(), self._kept()
        if kept is None:
            replaced = self._replaced(current)
            return ReferenceState.NEW if replaced.text == current else ReferenceState.OLD
        return standing_of(current, kept, self._replaced(kept), writing=self._is_there(f"{self.kept}.new"))

    def is_done(self) -> bool:
        """Return whether the file says it and was read again since."""
        return self.standing() is ReferenceState.NEW and (self._kept() is None or self._is_there(f"{self.kept}.loaded"))

    def is_undone(self) -> bool:
        """Return whether nothing of ours is left to put back: what was kept goes only once the file says it again."""
        return self._kept() is None

    def write(self) -> tuple[str, ...]:
        """Rewrite it and let it be read again; return the difference as lines."""
        current, kept = self._text(), self._kept()
        replaced = self._replaced(kept if kept is not None else current)
        standing = self.standing()
        if standing is ReferenceState.OTHER:
            raise ActionError(
                say(
                    "{name}: says neither the old nor the new. Expected: one of them. Compare: {compare}",
                    name=self.name,
                    compare=self._compare(),
                )
            )
        if standing is not ReferenceState.NEW:
            base = kept if kept is not None and standing is ReferenceState.TORN else current
            self._write(current, self._replaced(base).text)
        if self._kept() is not None:
            self._reload()
            run_checked(
                self.route.fleet,
                self.route.source,
                ["touch", f"{self.kept}.loaded"],
                doing=say("note that {path} was read again", path=self.rewrite.path),
            )
        return replaced.lines(self.rewrite.path)

    def put_back(self) -> None:
        """Let it say what it said before, whatever else was edited since, and let it be read again."""
        kept = self._kept()
        if kept is None:
            return
        current = self._text()
        try:
            self._write(
                current, put_back(current, kept, self._replaced(kept), writing=self._is_there(f"{self.kept}.new"))
            )
        except ActionError as error:
            raise ManualInterventionError(
                say(
                    "{name}: {error}. What it was: {kept}. Compare: {compare}",
                    name=self.name,
                    error=error,
                    kept=self.kept,
                    compare=self._compare(),
                )
            ) from error
        self._reload()
        if self.standing() is not ReferenceState.OLD:
            raise ManualInterventionError(
                say(
                    "{name}: does not say again what it said. What it was: {kept}. Compare: {compare}",
                    name=self.name,
                    kept=self.kept,
                    compare=self._compare(),
                )
            )
        argv = ["rm", "-f", "--", f"{self.kept}.loaded", f"{self.kept}.new", f"{self.kept}.part", self.kept]
        run_checked(self.route.fleet, self.route.source, argv, doing=say("remove {kept}", kept=self.kept))

    def _compare(self) -> str:
        return f"ssh {self.route.source} diff {shlex.quote(self.kept)} {shlex.quote(self.path())}"

    def path(self) -> str:
        """Return the file's path on the host; raises CouldNotLookError when it lies on no mount of the container."""
        return self._located()[1]

    def _located(self) -> tuple[str, str]:
        """Return the directory (or file) of the host below which no link is followed, "" for none, and the
        file's path.
        """
        if self.rewrite.on == "host":
            return "", self.rewrite.path
        wanted = PurePosixPath(self.rewrite.path)
        mounts = need_container(self.route, self.route.source, self.route.container).get("Mounts") or []
        holding = [mount for mount in mounts if mount.get("Source") and wanted.is_relative_to(mount["Destination"])]
        if not holding:
            raise NotObservedError(
                say(
                    "{name}: lies on no mount of container {container}. Expected: on a volume or bind mount: what is "
                    "in the container itself is lost with it",
                    name=self.name,
                    container=self.route.container,
                )
            )
        mount = max(holding, key=lambda one: len(one["Destination"]))
        return str(PurePosixPath(mount["Source"])), str(
            PurePosixPath(mount["Source"]) / wanted.relative_to(mount["Destination"])
        )

    def _replaced(self, text: str) -> Replaced:
        try:
            return replace_group(text, self.rewrite.pattern, self.value)
        except ActionError as error:
            raise ActionError(say("{name}: {error}", name=self.name, error=error)) from error

    def _text(self) -> str:
        root, path = self._located()
        text = self._read(path, root)
        if text is None:
            raise NotObservedError(
                say(
                    "{name}: {path} is not there. Expected: the file that holds the reference",
                    name=self.name,
                    path=path,
                )
            )
        return text

    def _kept(self) -> str | None:
        return self._read(self.kept)

    def _is_there(self, path: str) -> bool:
        return look(self.route.fleet, self.route.source, ["test", "-e", path]).exit_code == 0

    def _read(self, path: str, root: str = "") -> str | None:
        argv = ["sh", "-c", READ, "read", path, str(LARGEST_BYTES), *([root] if root else [])]
        answer = look(self.route.fleet, self.route.source, argv, timeout_s=READ_S)
        if answer.exit_code == NOT_THERE:
            return None
        if answer.exit_code:
            raise NotObservedError(
                say(
                    "{name}: {path} could not be read: {error_text}. Expected: an ordinary file",
                    name=self.name,
                    path=path,
                    error_text=answer.error_text,
                )
            )
        return answer.stdout.decode("utf-8", "surrogateescape")

    def _write(self, current: str, text: str) -> None:
        expected = hashlib.sha256(_bytes(current)).hexdigest()
        root, path = self._located()
        argv = [
            "sh",
            "-c",
            WRITE,
            "write",
            path,
            expected,
            self.kept,
            hashlib.sha256(_bytes(text)).hexdigest(),
            *([root] if root else []),
        ]
        run_checked(
            self.route.fleet,
            self.route.source,
            argv,
            doing=say("write {path}", path=self.rewrite.path),
            stdin=_bytes(text),
        )

    def _reload(self) -> None:
        route, reload = self.route, self.rewrite.reload
        if reload is None:
            return
        doing = say(
            "let {container} read {path} again ({reload})",
            container=route.container,
            path=self.rewrite.path,
            reload=reload.text(),
        )
        if reload.argv:
            run_checked(
                route.fleet,
                route.source,
                ["docker", "exec", route.container, *reload.argv],
                doing=doing,
                timeout_s=RELOAD_S,
            )
            return
        with docker_api(route.fleet, route.source, doing) as api:
            if reload.signal:
                api.kill(route.container, f"SIG{reload.signal}")
            else:
                inspect = need_container(route, route.source, route.container)
                api.restart(route.container, timeout=grace_of(self.grace_s, inspect))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
