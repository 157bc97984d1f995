"""A replica of a store on its new host, fed by the product's own replication through a tunnel, until it takes over.

The tunnel begins in the source container's own network, so that the store sees a client of its own machine; on the
target it ends at the loopback address. Its key can open this one port there and do nothing else.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from actions.common.labels import labels
from actions.common.route import Route, docker_api, inspect_container, look, remove_container, run_checked
from actions.common.toolbox import ToolboxMount, remove_helpers, toolbox_argv
from actions.container_spec.create_body import specification_of
from actions.container_spec.saved_spec import need_recorded, refuse_other_configuration
from actions.copy.earlier_attempts import remove_earlier
from actions.copy.locations import DataPlace
from actions.copy.ssh_channel import Peer, close_channel, has_key, key_comment, key_directory, list_keys, make_channel
from engine.constants import LABEL_MOVE, LABEL_ROLE
from engine.contracts.container import CommandResult
from engine.contracts.replication import Login, Replication
from engine.errors import ActionError, NotObservedError
from engine.finding import joined, say
from engine.polling import Polling
from hosts.coordination.fencing import change
from hosts.ssh.atomic_write import taking

ROLE: Final = "replica"
PURPOSE: Final = "replica"
LONGEST_S: Final = 6 * 3600.0
"""So long the tunnel's key lets somebody in; a tunnel that is open stays."""
LONGEST_BASE_COPY_S: Final = 14 * 86400.0
LONGEST_FLUSH_S: Final = 3600.0
FOLLOW_S: Final = 3600.0
TUNNEL_S: Final = 20.0
COMPLETE_S: Final = 60.0
STOP_S: Final = 120
FIRST_PORT: Final = 42_000
PORTS: Final = 2_000
WAIT_S: Final = 0.2

OPTIONS: Final = ("-o", "ExitOnForwardFailure=yes", "-N")
KEEP_PRIVATE: Final = (
    'set -eu; umask 077; rm -rf -- "$1"; mkdir -m 0700 -- "$1"; take "$1/password"; chown -R -- "$2" "$1"'
)
OWN: Final = 'chown "$1" /data && chmod "$2" /data'


@dataclass(frozen=True)
class Replica:
    """One store's replica: how it is made, asked, promoted and removed.

    `approved` is the digest of the container's configuration that people signed: the replica runs with it on the
    target.
    """

    route: Route
    peer: Peer
    kind: Replication
    login: Login
    place: DataPlace | None  # where its data lies, None when the container has no mount there
    make_place: Callable[[], None] = field(repr=False, compare=False)
    approved: str = ""

    @property
    def name(self) -> str:
        """Return the name of the replica's container on the target, and of the tunnel's on the source."""
        return self.route.slug(ROLE)

    @property
    def port(self) -> int:
        """Return the port of the target's loopback address at which the source's store answers; the same in
        every run.
        """
        return FIRST_PORT + zlib.crc32(self.route.move_label.encode()) % PORTS

    @property
    def _password(self) -> str:
        return self.login.password.reveal() if self.login.password else ""

    @property
    def _folder(self) -> str:
        return key_directory(self.route.move_label, "standby")

    def why_not(self) -> str:
        """Return why this store can't replicate, empty when it can."""
        if self.place is None:
            return f"no copied mount lies at {self.kind.data_at}"
        argv, stdin = self.kind.conditions(self.login.user)
        answer = self._ask(self.route.source, self.route.container, argv, stdin)
        return self.kind.why_not(answer, need_recorded(self.route).inspect)

    def start(self) -> None:
        """Open the tunnel, make the first copy, start the replica and wait until it follows closely."""
        inspect = need_recorded(self.route).inspect
        refuse_other_configuration(self.route.source, inspect, self.approved)
        self.remove()
        remove_earlier(self.route)
        self.make_place()
        self._open_tunnel()
        owner, mode = self._owner() if self.kind.wants_owner else ("0:0", "0755")
        secret = self.kind.password_file(self.login.user, self._password).encode()
        folder = taking(KEEP_PRIVATE, "save", secret, self._folder, owner)
        run_checked(
            self.route.fleet, self.route.target, folder, doing=say("keep the replica's password on tmpfs"), stdin=secret
        )
        if self.kind.wants_owner:
            own = ["sh", "-c", OWN, "own", owner, mode]
            self._toolbox(
                self.route.target, own, (self._mount("/data"),), doing=say("prepare the replica's data directory")
            )
        for program in (self.kind.base_copy(self.login.user, self.port), self.kind.before_standby()):
            if program:
                self._once(self.route.target, inspect, program, owner)
        self._create(inspect, owner if self.kind.wants_owner else "")
        self._wait(say("the replica to follow"), self.kind.why_not_following, FOLLOW_S, connect=True)

    def runs(self) -> bool:
        """Return whether the replica runs."""
        inspect = inspect_container(self.route.fleet, self.route.target, self.name)
        return inspect is not None and bool(inspect["State"].get("Running"))

    def status(self) -> str:
        """Return where the replica stands, as it tells."""
        argv, stdin = self.kind.status(self.login.user)
        return self._ask(self.route.target, self.name, argv, stdin)

    def standing(self) -> str:
        """Return in words whether it runs and where it stands; raises CouldNotLookError when it runs and
        does not say.
        """
        if not self.runs():
            return "it does not run"
        try:
            return f"it says {' '.join(self.status().split())[:200]}"
        except ActionError as error:
            raise NotObservedError(
                say(
                    "{target}: the replica of {service} gives no answer: {error}",
                    target=self.route.target,
                    service=self.route.service,
                    error=error,
                )
            ) from error

    def take_over(self) -> str:
        """Prove that the replica holds all that the stopped source held, make it a primary, stop it; return where that
        ended.
        """
        end = self._end_of_source()
        self._wait(
            say("the replica to hold everything up to {end}", end=end),
            lambda seen: self.kind.why_not_complete(seen, end),
            COMPLETE_S,
        )
        argv, stdin = self.kind.promote(self.login.user)
        self._ask(self.route.target, self.name, argv, stdin)
        self._wait(say("the replica to be a primary"), self.kind.why_not_promoted, COMPLETE_S)
        with docker_api(self.route.fleet, self.route.target, say("stop {name}", name=self.name)) as api:
            api.stop(self.name, timeout=STOP_S)
            code = int(api.inspect_container(self.name)["State"]["ExitCode"])
        if code not in {0, 143}:
            raise ActionError(
                say(
                    "{target}: the promoted replica ended with {code}. Expected: 0, so that its files are whole",
                    target=self.route.target,
                    code=code,
                )
            )
        remove_container(self.route.fleet, self.route.target, self.name)
        self._toolbox(
            self.route.target,
            ["sync", "--file-system", "--", "/data"],
            (self._mount("/data"),),
            doing=say("flush the replica's data"),
        )
        return end

    def remove(self) -> None:
        """Remove replica, tunnel, key and password; the data stays to whoever made its place."""
        route = self.route
        for host in (route.target, route.source):
            remove_helpers(route.fleet, host, route.move_label, ROLE)
        run_checked(
            route.fleet, route.target, ["rm", "-rf", "--", self._folder], doing=say("remove the replica's password")
        )
        close_channel(route.fleet, route.source, route.target, move_label=route.move_label, purpose=PURPOSE)

    def left(self) -> str:
        """Return what of the replica or its tunnel is still on either host, "" for nothing."""
        route = self.route
        for host in (route.target, route.source):
            if inspect_container(route.fleet, host, self.name) is not None:
                return f"{host}: {self.name} is still there"
        if key_comment(route.move_label, PURPOSE) in list_keys(route.fleet, route.target):
            return f"{route.target}: the tunnel's key is still there"
        if has_key(route.fleet, route.source, move_label=route.move_label, purpose=PURPOSE):
            return f"{route.source}: the tunnel's key is still there"
        return ""

    def _open_tunnel(self) -> None:
        route = self.route
        there = f"127.0.0.1:{self.port}"
        permits = f'port-forwarding,permitlisten="{there}",permitopen="127.0.0.1:1"'
        channel = make_channel(
            route.fleet,
            route.source,
            self.peer,
            move_label=route.move_label,
            purpose=PURPOSE,
            forced_command="false",
            valid_s=LONGEST_S,
            permits=permits,
        )
        argv = [*channel.ssh(), *OPTIONS, "-R", f"{there}:127.0.0.1:{self.kind.port}", channel.destination()]
        words = toolbox_argv(
            argv,
            name=self.name,
            move_label=route.move_label,
            role=ROLE,
            mounts=[channel.mount()],
            network=f"container:{route.container}",
            flags=("--detach",),
        )
        run_checked(route.fleet, route.source, words, doing=say("open a tunnel for the replica"), timeout_s=60.0)
        knock = toolbox_argv(
            ["socat", "-u", "OPEN:/dev/null", f"TCP:{there}"], move_label=route.move_label, role=ROLE, network="host"
        )
        tunnel = Polling("the tunnel is open", TUNNEL_S, first_s=WAIT_S, longest_s=WAIT_S).until(
            lambda: change(route.fleet, route.target, knock, timeout_s=30.0), lambda answer: not answer.exit_code
        )
        if not tunnel.good:
            raise ActionError(
                say(
                    "{target}: no tunnel from {source} at {there} within {tunnel_s:.0f} s: {error_text}",
                    target=route.target,
                    source=route.source,
                    there=there,
                    tunnel_s=TUNNEL_S,
                    error_text=tunnel.answer.error_text[-160:],
                )
            )

    def _owner(self) -> tuple[str, str]:
        said = self._ask(
            self.route.source, self.route.container, ["stat", "-c", "%u:%g %a", self.kind.data_at], b""
        ).split()
        return said[0], said[1]

    def _once(
        self,
        host: str,
        inspect: Mapping[str, Any],
        program: list[str],
        owner: str,
        *,
        network: str = "host",
        read_only: bool = False,
    ) -> str:
        """Run one of the product's programs over the data, in the container's own image."""
        data = self._mount(self.kind.data_at, read_only=read_only)
        mounts = [
            data,
            *([ToolboxMount("bind", self._folder, "/replica", read_only=True)] if network == "host" else []),
        ]
        words = [
            "docker",
            "run",
            "--rm",
            "--network",
            network,
            "--log-driver",
            "none",
            "--user",
            owner,
            "--entrypoint",
            program[0],
        ]
        words += ["--label", f"{LABEL_MOVE}={self.route.move_label}", "--label", f"{LABEL_ROLE}={ROLE}"]
        words += [word for mount in mounts for word in ("--mount", mount.flag())]
        words += [str(inspect["Image"]), *program[1:]]
        return run_checked(
            self.route.fleet,
            host,
            words,
            doing=say("run {first_program} for the replica", first_program=program[0]),
            timeout_s=LONGEST_BASE_COPY_S,
        ).text

    def _create(self, inspect: Mapping[str, Any], user: str) -> None:
        """Create and start the replica: the container as it is on its source, but in the host's network and reachable
        by nobody.
        """
        body = specification_of(inspect, move_label=self.route.move_label)
        entrypoint, command = self.kind.standby(
            [str(word) for word in inspect["Config"].get("Cmd") or ()], self.login.user, self.port
        )
        settings = {
            **body.pop("HostConfig"),
            "NetworkMode": "host",
            "PortBindings": {},
            "RestartPolicy": {"Name": "no"},
            "ExtraHosts": [],
            "Sysctls": {},
        }
        settings["Binds"] = [*(settings.get("Binds") or []), f"{self._folder}:/replica:ro"]
        body |= {
            "Cmd": command,
            "Labels": labels(self.route.move_label, ROLE),
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": settings,
        }
        body |= {"Entrypoint": entrypoint} if entrypoint else {}
        body |= {"User": user} if user else {}
        for name in ("NetworkingConfig", "Hostname", "Domainname", "ExposedPorts", "MacAddress"):
            body.pop(name, None)
        self.route.audit(self.route.target, ROLE, f"start a replica of {self.route.container} of {self.route.source}")
        with docker_api(self.route.fleet, self.route.target, say("start a replica")) as api:
            api.create_container_from_config(body, self.name)
            api.start(self.name)

    def _end_of_source(self) -> str:
        program = self.kind.end_of_source()
        if program:
            said = self._once(
                self.route.source, need_recorded(self.route).inspect, program, "0:0", network="none", read_only=True
            )
        else:
            said = self._log_since_its_start()
        if self.kind.end_in_data():
            words = ["python3", "-c", self.kind.end_in_data()]
            said += self._toolbox(
                self.route.source,
                words,
                (self._mount("/data", read_only=True),),
                doing=say("read where the source ended"),
            ).text
        end = self.kind.end_position(said)
        if not end:
            raise ActionError(
                say(
                    "{source}: {container} did not tell that its replica holds everything it held ({said}). Expected: "
                    "a clean end that says so. Run the move again with strategy precopy",
                    source=self.route.source,
                    container=self.route.container,
                    said=repr(said.strip()[-200:]),
                )
            )
        return end

    def _log_since_its_start(self) -> str:
        """Return what the source has logged since it was last started: what it said when an earlier attempt stopped it
        is not this stop's.
        """
        route = self.route
        inspect = inspect_container(route.fleet, route.source, need_recorded(route).inspect["Id"])
        if inspect is None:
            raise ActionError(
                say(
                    "{source}: no container {container}. Expected: the stopped source. Look: ssh {source} docker ps -a",
                    source=route.source,
                    container=route.container,
                )
            )
        words = ["docker", "logs", "--since", str(inspect["State"]["StartedAt"]), "--tail", "500", str(inspect["Id"])]
        log = run_checked(
            route.fleet, route.source, words, doing=say("read the log of {container}", container=route.container)
        )
        return f"{log.text}\n{log.error_text}\n"

    def _wait(self, what: str, why_not: Callable[[str], str], longest_s: float, *, connect: bool = False) -> None:
        """Ask the replica until it is so; with `connect` it is told to follow as soon as it answers.

        Raises ActionError for an answer that is wrong until the deadline, CouldNotLookError when there is no answer
        then.
        """
        connected = not connect

        def look() -> tuple[str, bool]:
            """Return why it is not so yet, "" when it is, and whether there was no answer."""
            nonlocal connected
            try:
                if not connected:
                    argv, stdin = self.kind.connect(self._password, self.port)
                    connected = not argv or bool(self._ask(self.route.target, self.name, argv, stdin))
                return why_not(self.status()), False
            except (ActionError, NotObservedError) as error:
                if self._has_ended():
                    raise ActionError(
                        say(
                            "{target}: the replica ended while waiting for {what}: {last_words}",
                            target=self.route.target,
                            what=what,
                            last_words=self._last_words(),
                        )
                    ) from error
                return str(error), True

        seen = Polling(what, longest_s, first_s=WAIT_S, longest_s=WAIT_S).until(look, lambda one: not one[0])
        reason, silent = seen.answer
        if reason:
            told = say(
                "{target}: waited {longest_s:.0f} s for {what} (last: {reason}). Expected: within that time. Read: "
                "ssh {target} docker logs --tail 20 {name}",
                target=self.route.target,
                longest_s=longest_s,
                what=what,
                reason=reason,
                name=self.name,
            )
            raise NotObservedError(told) if silent else ActionError(told)

    def _has_ended(self) -> bool:
        """Return whether the replica was seen not to run; nobody who answers is no end of it."""
        try:
            return not self.runs()
        except NotObservedError:
            return False

    def _last_words(self) -> str:
        log = look(self.route.fleet, self.route.target, ["docker", "logs", "--tail", "5", self.name])
        return joined(" / ", f"{log.text}\n{log.error_text}".strip().splitlines()[-3:])

    def _ask(self, host: str, container: str, argv: list[str], stdin: bytes) -> str:
        words = ["docker", "exec", "-i", container, *argv]
        return run_checked(
            self.route.fleet,
            host,
            words,
            doing=say("ask {container} with {argv}", container=container, argv=shlex.join(argv[:1])),
            stdin=stdin,
        ).text

    def _mount(self, at: str, *, read_only: bool = False) -> ToolboxMount:
        if self.place is None:
            raise ActionError(
                say(
                    "{service}: no mount at {data_at}. Expected: one that is copied",
                    service=self.route.service,
                    data_at=self.kind.data_at,
                )
            )
        return ToolboxMount(self.place.kind, self.place.source, at, read_only=read_only)

    def _toolbox(self, host: str, argv: list[str], mounts: tuple[ToolboxMount, ...], *, doing: str) -> CommandResult:
        words = toolbox_argv(argv, move_label=self.route.move_label, role=ROLE, mounts=mounts)
        return run_checked(self.route.fleet, host, words, doing=doing, timeout_s=LONGEST_FLUSH_S)
