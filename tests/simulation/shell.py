"""A modelled host behind `Host.run`: the commands and shell programs that longshore sends, by what they do."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import IO, Any, Final

import docker.errors

from actions.copy import endpoints, locations, rsync, safety_copy, survey
from actions.replication import replica
from checks.containers import shared_mounts
from engine.contracts.container import CommandResult
from engine.contracts.host import Endpoint
from engine.errors import NotObservedError
from hosts.coordination import audit_log, lock
from tests.simulation.engine_api import all_labels, create, endpoint, image_id, remove_volume
from tests.simulation.process import EngineAway, Process
from tests.simulation.replication import said_by, source_of
from tests.simulation.world import Broken, Container, File, Machine, Volume, World

NO_ENGINE: Final = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
ROOT_FILES: Final = "/var/lib/longshore"
TAKES_VALUE: Final = frozenset(
    {
        "--name",
        "--network",
        "--label",
        "--mount",
        "--restart",
        "--log-driver",
        "--log-opt",
        "--env",
        "--memory",
        "--pids-limit",
        "--cap-drop",
        "--cap-add",
        "--network-alias",
        "--publish",
        "--user",
        "--entrypoint",
        "--workdir",
        "--volume",
        "--stop-timeout",
        "--tmpfs",
        "--security-opt",
        "--ulimit",
        "--cpus",
        "--hostname",
    }
)
Said = tuple[int, str, str]


class SimHost:
    """One modelled host as one process sees it."""

    def __init__(self, process: Process, name: str) -> None:
        """Know whose commands these are."""
        self.process, self.name = process, name
        self.address = process.world.machines[name].address
        self.programs: dict[str, Callable[[list[str], bytes], Said]] = {
            "take": self._take,
            "release": self._release,
            "audit": self._append_audit,
            "look": self._look_at_paths,
            "clock": lambda words, _: (
                0,
                (f"{int(self.world.now + self.machine.offset_s)} +0000\n{words[0]} STREAM\n"),
                "",
            ),
            "key": self._make_key,
            "authorize": self._authorize,
            "save": self._save,
            "stop": self._stop_labelled,
        }

    @property
    def world(self) -> World:
        """Return the world."""
        return self.process.world

    @property
    def machine(self) -> Machine:
        """Return the machine."""
        return self.process.world.machines[self.name]

    # the border

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run a command of ours on the modelled host."""
        code, out, error = self.process.call(self.name, brief(argv), lambda: self._do(list(argv), stdin))
        return CommandResult(tuple(argv), code, out.encode(), error.encode(), 0.1)

    @contextmanager
    def stream(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Iterator[IO[bytes]]:
        """Run a command and yield its output."""
        result = self.run(argv, stdin=stdin, timeout_s=timeout_s)
        yield io.BufferedReader(io.BytesIO(result.stdout))  # type: ignore[arg-type]
        if result.exit_code:
            raise NotObservedError(
                f"{self.name}: {brief(argv)} ended with {result.exit_code}: {result.error_text[-200:]}. Expected: 0"
            )

    def forward(self, port: int, address: str = "127.0.0.1") -> Endpoint:
        """Return an endpoint that reaches a port as seen from the host."""
        self.process.must_live()
        return Endpoint(f"{self.name}|{address}", port)

    def close(self) -> None:
        """Close nothing."""

    # commands

    def _do(self, argv: list[str], stdin: bytes) -> Said:
        first = argv[0]
        if first == "sh" and argv[1] == "-c":
            return self._script(argv[2], argv[3:], stdin)
        if first == "docker":
            return self._docker(argv[1:], stdin)
        if first == "sync":
            for name in self.machine.volumes:
                self._sync(name)
            return 0, "", ""
        if first == "cat" and argv[-1].endswith("/id.pub"):
            key = self.machine.run_files.get(argv[-1].rpartition("/")[0])
            return (0, f"{key} comment\n", "") if key else (1, "", "No such file or directory")
        if first == "cat":
            found = self.machine.files.get(argv[-1])
            return (
                (0, found.decode(), "") if found is not None else (1, "", f"cat: {argv[-1]}: No such file or directory")
            )
        if first == "ls" and argv[1] == "-d":
            there = argv[-1] in self.machine.run_files or argv[-1] in self.machine.files
            return (
                (0, f"{argv[-1]}\n", "")
                if there
                else (2, "", f"ls: cannot access '{argv[-1]}': No such file or directory")
            )
        if first == "ls":
            return (
                (0, f"-rw------- 1 0 0 10 Jan 1 00:00 {argv[-1]}\n", "")
                if argv[-1] in self.machine.files
                else (2, "", "No such file")
            )
        if first == "rm":
            for path in argv[argv.index("--") + 1 :]:
                self.machine.files.pop(path, None)
                self.machine.run_files.pop(path, None)
            return 0, "", ""
        if first in {"true", "test"}:
            return 0, "", ""
        raise Broken(f"no model of: {argv}")

    def _script(self, script: str, words: list[str], stdin: bytes) -> Said:
        if script == lock.READ:
            held = self.machine.lock
            return 0, f"{json.dumps(held['holder'])}\n{held['token']}" if held else "", ""
        if not words and audit_log.FILE in script:
            return 0, "".join(self.machine.audit), ""
        if "authorized_keys" in script and not words:
            found = [key.rsplit(" ", 1)[1] for key in self.machine.keys if " longshore:" in key]
            return 0, "\n".join(found), ""
        if script in (locations.MAKE_PATH, locations.REMOVE_PATH):
            raise Broken("the model has no bind paths")
        if words and words[0] == "fenced":
            return self._fenced(words[1:], stdin)
        if words and words[0] == "take":
            return self._take([script, *words[1:]], stdin)
        if words and words[0] == "run" and "nsenter" in script:
            return self._in_container(words[1], words[2:], stdin)
        if script == shared_mounts.LOOK:
            return self._look_at_mounts(words[1:])
        if words and words[0] == "save" and script.endswith(replica.KEEP_PRIVATE):
            self.machine.run_files[words[2]] = stdin.decode()
            return 0, "", ""
        if words and words[0] in self.programs:
            return self.programs[words[0]](words[1:], stdin)
        raise Broken(f"no model of the script {words[:1]}: {script[:120]}")

    # lock and audit log

    def _take(self, words: list[str], stdin: bytes) -> Said:
        script, token, held_token = words[0], words[1], words[2]
        machine = self.machine
        mine = {"token": token, "holder": json.loads(stdin)}
        if machine.full:
            return 1, "", "No space left on device"
        if script == lock.TAKE:
            if machine.lock is None:
                machine.lock = mine
                return 0, "taken\n", ""
            return 0, json.dumps(machine.lock["holder"]), ""
        if machine.lock is None or machine.lock["token"] != held_token:
            return 1, "", ""
        machine.lock = mine
        return 0, "taken\n", ""

    def _release(self, words: list[str], _stdin: bytes) -> Said:
        if self.machine.lock is None or self.machine.lock["token"] != words[0]:
            return 1, "", ""
        self.machine.lock = None
        return 0, "", ""

    def _fenced(self, words: list[str], stdin: bytes) -> Said:
        """Run a command while the lock is that of its token, as `hosts.coordination.fencing.FENCED` does."""
        held = self.machine.lock
        if not held or held["token"] != words[0]:
            return lock.LOST, "", f"the lock of this run is not here: {json.dumps(held['holder']) if held else ''}"
        return self._do(words[3:], stdin)

    def lost(self, token: str) -> Said | None:
        """Return what the token test says when the lock is not that of `token`."""
        held = self.machine.lock
        if not token or (held and held["token"] == token):
            return None
        return lock.LOST, json.dumps(held["holder"]) if held else "", ""

    def _append_audit(self, words: list[str], stdin: bytes) -> Said:
        refused = self.lost(words[0])
        if refused:
            return refused
        if self.machine.full:
            return 1, "", "sh: write error: No space left on device"
        self.machine.audit += stdin.decode().splitlines(keepends=True)
        return 0, "", ""

    # files and keys

    def _look_at_paths(self, words: list[str], _stdin: bytes) -> Said:
        return 0, "".join("missing\t0\t\n" for _ in words), ""

    def _look_at_mounts(self, items: list[str]) -> Said:
        lines = []
        for item in items:
            kind, _, name = item.partition(":")
            if kind != "volume":
                raise Broken("the model has no bind paths")
            if not self.world.engine_up(self.name):
                return 1, "", NO_ENGINE
            found = self.machine.volumes.get(name)
            path = f"/docker/volumes/{name}/_data"
            lines.append(
                f"directory\text4\t/dev/sda1\t{path}\t{'/'.join(sorted(found.files))}\n"
                if found
                else "missing\t\t\t\t\n"
            )
        return 0, "".join(lines), ""

    def _save(self, words: list[str], stdin: bytes) -> Said:
        if self.machine.full:
            return 1, "", "No space left on device"
        self.machine.files[words[2]] = stdin
        return 0, "", ""

    def _make_key(self, words: list[str], stdin: bytes) -> Said:
        directory, comment = words[1], words[2]
        key = f"ssh-ed25519 {sha256(f'{directory}{self.world.new_id()}'.encode()).hexdigest()}"
        self.machine.run_files[directory] = key
        return 0, f"{key} {comment}\n", ""

    def _authorize(self, words: list[str], stdin: bytes) -> Said:
        if self.machine.full:
            return 1, "", "cp: No space left on device"
        comment = words[1]
        self.machine.keys = [key for key in self.machine.keys if comment not in key]
        if stdin:
            self.machine.keys.append(stdin.decode().rstrip("\n"))
        return 0, "", ""

    def _stop_labelled(self, words: list[str], _stdin: bytes) -> Said:
        found = [
            one
            for one in self.machine.containers.values()
            if one.running and all_labels(one, [words[0].removeprefix("label=")])
        ]
        for one in found:
            one.host_config["RestartPolicy"] = {"Name": "no"}
            self.world.stop(self.machine, one)
        return 0, "".join(f"{one.id[:12]}\n" for one in found), ""

    # docker's command

    def _docker(self, words: list[str], stdin: bytes) -> Said:
        if not self.world.engine_up(self.name):
            return 1, "", NO_ENGINE
        verb = words[0]
        if verb in {"create", "run"}:
            return self._create(words)
        if verb == "ps":
            return self._ps(words[1:])
        if verb == "rm":
            names = [word for word in words[1:] if not word.startswith("--")]
            return self._rm(names, force="--force" in words)
        if verb == "start":
            return self._each(words[1:], lambda one: self.world.start(self.machine, one))
        if verb == "stop":
            return self._each(words[1:], lambda one: str(self.world.stop(self.machine, one) or ""))
        if verb == "logs":
            found = self.machine.container(words[-1])
            return (
                (0, "".join(f"{line}\n" for line in found.log), "")
                if found
                else (1, "", f"Error response from daemon: No such container: {words[-1]}")
            )
        if verb == "volume" and words[1] == "rm":
            said = "\n".join(text for text in (remove_volume(self.machine, name) for name in words[2:]) if text)
            return (1, "", said) if said else (0, words[2], "")
        if verb == "volume" and words[1] == "ls":
            return self._volumes(words[2:])
        if verb == "inspect":
            found = self.machine.container(words[-1])
            return (0, json.dumps([found.inspect()]), "") if found else (1, "[]", f"Error: No such object: {words[-1]}")
        if verb == "network" and words[1] == "connect":
            return self._each([words[3]], lambda one: one.networks.update({words[2]: endpoint(words[2], [])}) or "")
        if verb == "exec":
            return (
                self._in_container(words[2], words[3:], stdin)
                if words[1] == "-i"
                else self._in_container(words[1], words[2:], stdin)
            )
        if verb == "update":
            return self._update(words[1:])
        if verb == "rename":
            return self._each(words[1:2], lambda one: setattr(one, "name", words[2]) or "")
        raise Broken(f"no model of: docker {words}")

    def _update(self, words: list[str]) -> Said:
        policy = words[words.index("--restart") + 1]
        names = [word for word in words if word not in {"--restart", policy}]
        return self._each(
            names, lambda one: one.host_config.update({"RestartPolicy": {"Name": policy, "MaximumRetryCount": 0}}) or ""
        )

    def _each(self, names: list[str], do: Callable[[Container], str]) -> Said:
        for name in names:
            found = self.machine.container(name)
            if found is None:
                return 1, "", f"Error response from daemon: No such container: {name}"
            said = do(found)
            if said:
                return 1, "", f"Error response from daemon: {said}"
        return 0, "\n".join(names), ""

    def _ps(self, words: list[str]) -> Said:
        wanted = [words[at + 1].removeprefix("label=") for at, word in enumerate(words) if word == "--filter"]
        everything = "--all" in words or "-a" in words
        found = [
            one for one in self.machine.containers.values() if (everything or one.running) and all_labels(one, wanted)
        ]
        if "--format" not in words:
            return 0, "".join(f"{one.id[:12]}\n" for one in found), ""
        template = words[words.index("--format") + 1]
        return 0, "".join(f"{formatted(template, one)}\n" for one in found), ""

    def _volumes(self, words: list[str]) -> Said:
        filters = [words[at + 1] for at, word in enumerate(words) if word == "--filter"]
        wanted = {one.removeprefix("label=") for one in filters if one.startswith("label=")}
        used = {mount.get("Name") for one in self.machine.containers.values() for mount in one.mounts}
        found = [
            one.name
            for one in self.machine.volumes.values()
            if wanted <= {f"{key}={value}" for key, value in one.labels.items()}
            and not ("dangling=true" in filters and one.name in used)
        ]
        return 0, "".join(f"{name}\n" for name in found), ""

    def _rm(self, names: list[str], *, force: bool) -> Said:
        removed, refused = [], []
        for name in names:
            found = self.machine.container(name)
            if found is None:
                refused.append(f"Error response from daemon: No such container: {name}")
            elif found.running and not force:
                refused.append(f'Error response from daemon: cannot remove container "/{name}": container is running')
            else:
                self.machine.containers.pop(found.id)
                removed.append(name)
        return int(bool(refused) and not force), "\n".join(removed), "\n".join(refused)

    def _create(self, words: list[str]) -> Said:
        flags: dict[str, list[str]] = {}
        at = 1
        while words[at].startswith("--"):
            name, given, value = words[at].partition("=")
            if not given and name in TAKES_VALUE:
                at += 1
                value = words[at]
            flags.setdefault(name, []).append(value)
            at += 1
        image, command = words[at], words[at + 1 :]
        labels = dict(label.partition("=")[::2] for label in flags.get("--label", []))
        network = flags.get("--network", ["bridge"])[0]
        mounts = [mount for text in flags.get("--mount", []) if (mount := mount_of(text))["Source"]]
        for mount in mounts:
            if mount["Type"] == "volume" and mount["Source"] not in self.machine.volumes:
                self.machine.volumes[mount["Source"]] = Volume(mount["Source"], mount["Labels"])
        body: dict[str, Any] = {
            "Image": image_id(image),
            "Labels": labels,
            "Cmd": command,
            "Env": flags.get("--env", []),
        }
        body["HostConfig"] = {
            "NetworkMode": network,
            "RestartPolicy": {"Name": flags.get("--restart", ["no"])[0], "MaximumRetryCount": 0},
            "Mounts": mounts,
            "PortBindings": published_of(flags.get("--publish", [])),
        }
        if network not in {"host", "none"} and not network.startswith("container:"):
            body["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": flags.get("--network-alias")}}}
        command = [*flags["--entrypoint"], *command] if flags.get("--entrypoint", [""])[0] == "replicate" else command
        name = flags.get("--name", [f"nameless-{self.world.ids}"])[0]
        try:
            made = self.machine.containers[
                create(self.world, self.machine, body, name, auto_remove="--rm" in flags)["Id"]
            ]
        except docker.errors.APIError as error:
            return 125, "", f"docker: Error response from daemon: {error.explanation}"
        return (0, made.id, "") if words[0] == "create" else self._run(made, command, detached="--detach" in flags)

    def _run(self, made: Container, command: list[str], *, detached: bool) -> Said:
        said = self.world.start(self.machine, made)
        if said:
            if made.auto_remove:
                self.machine.containers.pop(made.id)
            return 125, "", f"docker: Error response from daemon: {said}"
        if made.role == "probe":
            name, port = command[4:6]
            made.probe = {
                "network": (made.host_config["NetworkMode"]), "name": name, "port": int(port),
                "state": None, "last_good": 0, "last": 0,
            }  # fmt: skip
        if detached:
            return 0, made.id, ""
        try:
            return self._program(made, command)
        finally:
            self.machine.containers.pop(made.id, None)

    # inside containers

    def inside(self, name: str, argv: list[str], stdin: bytes = b"") -> Said:
        """Run a command inside a container, as asked of the engine."""
        return self._in_container(name, argv, stdin)

    def _in_container(self, name: str, argv: list[str], stdin: bytes) -> Said:
        found = self.machine.container(name)
        if not self.world.engine_up(self.name):
            return 1, "", NO_ENGINE
        if found is None:
            return 1, "", f"Error response from daemon: No such container: {name}"
        if not found.running:
            return 1, "", f"{name} does not run"
        return self._program(found, argv)

    def _program(self, container: Container, argv: list[str]) -> Said:
        """Run a program with a container's eyes."""
        if argv[0] == "setpriv":
            argv = argv[next(at for at, word in enumerate(argv) if at and not word.startswith("--")) :]
        script, words = (argv[2], argv[4:]) if argv[:2] == ["sh", "-c"] else ("", [])
        if endpoints.END_STRAYS in script or script == getattr(endpoints, "RENEW", None):
            return 0, "0\n", ""
        if "&& mv /tmp/manifest_program" in script:
            return 0, "", ""
        if argv[3:4] == ["keys"]:
            return self._make_relay_keys(words)
        if script == getattr(safety_copy, "AND_FLUSH", None):
            answer = self._copy_within_host(container, ["rsync", *argv[5:]])
            if not answer[0]:
                self._sync(container.volume_at(argv[4]))
            return answer
        if argv[:3] == ["python3", "-c", getattr(endpoints, "OWN_ATTRIBUTES", None)]:
            return 0, "no\n" * len(argv[3:]), ""
        if script == rsync.RUN:
            return self._rsync(container, argv[4:])
        if "manifest" in script:
            return self._manifest(container, script)
        if argv[0] == "rsync":
            return self._copy_within_host(container, argv)
        if script == survey.USED:
            return 0, "".join(f"{self._used(container, word)} 1\n" for word in words), ""
        if script == survey.FREE:
            free = 0 if self.machine.full else 1 << 40
            return 0, "".join(f"{free} 1000000 2000000 /dev/sda1\n" for _ in words), ""
        if script == survey.FILES:
            return 0, "0 100\n", ""
        if argv[:2] == ["python3", "-c"]:
            return 0, "100 50 0.01\n", ""
        if script == endpoints.LINKED:
            return 0, "".join("no\n" for _ in words), ""
        if "/tmp/hash" in script:
            return 0, "", ""
        if argv[0] == "replicate":
            return 0, said_by(self.world, self.machine, container, argv[1]), ""
        if argv[0] == "socat":
            there = source_of(self.world, self.machine, argv[-1].rpartition(":")[2])
            return (0, "", "") if there else (1, "", "socat: connect: Connection refused")
        if argv[0] in {"sync", "true"} or "syncfs" in script or script.strip().startswith("sync"):
            for mount in container.mounts:
                self._sync(mount.get("Name"))
            return 0, "", ""
        raise Broken(f"no model inside {container.name}: {argv}")

    def _make_relay_keys(self, names: list[str]) -> Said:
        def certificate(name: str) -> str:
            body = base64.b64encode(f"{name} {self.world.new_id()}".encode()).decode()
            return f"{name}\n-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"

        return 0, "".join(certificate(name) for name in names), ""

    def _sync(self, volume: str | None) -> None:
        for file in self.machine.volumes[volume].files.values() if volume in self.machine.volumes else ():
            file.sync()

    def _used(self, container: Container, path: str) -> int:
        volume = self._volume(container, path)
        return 1000 * sum(len(file.records) for file in volume.files.values()) if volume else 0

    def _volume(self, container: Container, path: str) -> Volume | None:
        name = container.volume_at(path.rstrip("/"))
        return self.machine.volumes.get(name) if name else None

    def _manifest(self, container: Container, script: str) -> Said:
        root = re.search(r"(/data(?:/\d+)?)(?=\s)", script)
        volume = self._volume(container, root[1] if root else "/data")
        if volume is None:
            return 1, "", "no such place"
        if script.endswith(" >/dev/null") or "--remember" in script:
            return 0, "", ""
        return 0, manifest_of(volume), ""

    def _rsync(self, container: Container, words: list[str]) -> Said:
        """Copy a place to the other end; what befalls either host in the middle leaves half of it there."""
        what, there = words[-2].rstrip("/"), words[-1]
        source = self._volume(container, what)
        address, _, at = there.partition("@")[2].partition(":")
        target = next((one for one in self.world.machines.values() if one.address == address), None)
        trouble = self._no_way(container, target)
        if trouble or target is None:
            return 0, ended(255, trouble), ""
        end = target.container(container.name)
        name = end.volume_at(at.rstrip("/")) if end and end.running else None
        if end is None or name is None or name not in target.volumes or source is None:
            return 0, ended(255, f"{container.name} does not run"), ""
        into = target.volumes[name]
        writers = self.world.mounted_by_running(target, name)
        if writers:
            self.world.violate(f"copied into {name} on {target.name} under the running {writers[0]}")
        sent, checksum = 0, "--checksum" in words
        for file, content in list(source.files.items()):
            here = into.files.get(file)
            if here is not None and here.mtime == content.mtime and not (checksum and here.records != content.records):
                continue
            if target.full:
                return 0, ended(11, 'rsync: [receiver] write failed on "/data": No space left on device (28)'), ""
            before = here or File()
            into.files[file] = File(set(content.records), content.mtime, before.disk(), self.world.now)
            sent += 1000
            self.process.between(f"{self.name}: rsync, after {file}")
            trouble = self._no_way(container, target)
            if trouble or not end.running or not container.running:
                return 0, ended(12, trouble or "rsync error: error in rsync protocol data stream"), ""
        if "--delete" in words:
            for file in [one for one in into.files if one not in source.files]:
                into.files.pop(file)
        return 0, totals(source, sent) + ended(0, ""), ""

    def _no_way(self, container: Container, target: Machine | None) -> str:
        """Return why this host does not reach the other end of its copy."""
        if (
            target is None
            or not self.world.is_up(target.name)
            or frozenset((self.name, target.name)) in self.world.cuts
        ):
            return "ssh: connect to host: Connection timed out"
        keys = [key for path, key in self.machine.run_files.items() if "longshore-copy" in path]
        held = [line for line in target.keys if any(key in line for key in keys)]
        if not held:
            return "root@target: Permission denied (publickey)."
        return "" if self.world.engine_up(target.name) else "Cannot connect to the Docker daemon"

    def _copy_within_host(self, container: Container, argv: list[str]) -> Said:
        source, into = self._volume(container, argv[-2]), self._volume(container, argv[-1])
        if source is None or into is None:
            return 23, "", "rsync: link_stat failed: No such file or directory (2)"
        if self.machine.full:
            return 11, "", "rsync: write failed: No space left on device (28)"
        writers = self.world.mounted_by_running(self.machine, into.name)
        if writers:
            self.world.violate(f"copied into {into.name} on {self.name} under the running {writers[0]}")
        for file, content in list(source.files.items()):
            before = into.files.get(file) or File()
            into.files[file] = File(set(content.records), content.mtime, before.disk(), self.world.now)
            self.process.between(f"{self.name}: rsync within the host, after {file}")
            if not container.running:
                return 20, "", "rsync error: received SIGINT, SIGTERM, or SIGHUP"
        for file in [one for one in into.files if one not in source.files]:
            into.files.pop(file)
        return 0, totals(source, 1000), ""


def brief(argv: list[str]) -> str:
    """Return a command in a few words."""
    if argv[:2] == ["sh", "-c"]:
        words = [word for word in argv[3:] if len(word) < 60]
        return f"sh {' '.join(words[:6])}"[:140] if words else f"sh -c {argv[2][:50]!r}"
    return " ".join(word for word in argv[:12] if len(word) < 80)[:140]


def formatted(template: str, container: Container) -> str:
    """Return a line of `docker ps --format`."""
    text = (
        template.replace("{{.Names}}", container.name)
        .replace("{{.State}}", container.status)
        .replace("{{.ID}}", container.id[:12])
    )
    return re.sub(r'\{\{\.Label "([^"]+)"\}\}', lambda found: container.labels.get(found[1], ""), text)


def mount_of(text: str) -> dict[str, Any]:
    """Return a mount of the create call from `--mount`."""
    words = [word.partition("=")[::2] for word in text.split(",")]
    given = dict(words)
    labels = dict(value.partition("=")[::2] for name, value in words if name == "volume-label")
    return {
        "Type": given["type"],
        "Source": given.get("source", ""),
        "Target": given["target"],
        "ReadOnly": "readonly" in given,
        "Labels": labels,
    }


def published_of(texts: list[str]) -> dict[str, Any]:
    """Return port bindings from `--publish`."""
    bindings: dict[str, Any] = {}
    for text in texts:
        address, outside, inside = text.rsplit(":", 2)
        bindings.setdefault(f"{inside}/tcp", []).append({"HostIp": address, "HostPort": outside})
    return bindings


def ended(code: int, said: str) -> str:
    """Return the end of what RUN says."""
    return (f"{said}\n" if said else "") + f"\nrsync ended with {code}\n"


def totals(volume: Volume, sent: int) -> str:
    """Return rsync's totals."""
    size = 1000 * sum(len(file.records) for file in volume.files.values())
    return (
        f"Number of files: {len(volume.files) + 1}\nNumber of regular files transferred: {sent // 1000}\n"
        f"Total file size: {size}\nTotal bytes sent: {sent}\n"
    )


def manifest_of(volume: Volume) -> str:
    """Return a manifest as the program prints it."""
    common = {"uid": 0, "gid": 0, "xattrs": {}}
    lines = [{"path": ".", "type": "directory", "mode": 0o40755, **common, "mtime_ns": 0}]
    for name in sorted(volume.files):
        file = volume.files[name]
        digest = sha256(repr(sorted(file.records)).encode()).hexdigest()
        lines.append(
            {
                "path": name,
                "type": "file",
                "mode": 0o100644,
                **common,
                "mtime_ns": file.mtime,
                "size": len(file.records),
                "content": digest,
            }
        )
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    size = sum(len(file.records) for file in volume.files.values())
    last = {"end": True, "entries": len(lines), "files": len(volume.files), "bytes": size, "read": size, "reused": 0}
    return text + json.dumps(last, separators=(",", ":")) + "\n"


def run_inside(api: Any, host: str, container: str, command: Any) -> CommandResult:
    """Run a command inside a container, as `hosts.docker.exec.run_inside` does over the engine's API."""
    from engine.errors import UnreachableError  # noqa: PLC0415

    here = SimHost(api.process, host)
    try:
        code, out, error = api.process.call(
            host,
            f"exec in {container}: {brief(list(command.argv))}",
            lambda: here.inside(container, list(command.argv)),
            needs=lambda: api.world.engine_up(host),
        )
    except EngineAway:
        raise UnreachableError(f"{host}: Docker does not answer: ConnectionError. Try: ssh {host} docker ps") from None
    return CommandResult(tuple(command.argv), code, out.encode(), error.encode(), 0.1)
