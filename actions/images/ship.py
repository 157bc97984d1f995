"""Bring the container's exact image to its target, and the toolbox to every host, without a registry."""

from __future__ import annotations

import base64
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker
import docker.errors

from actions.common.base_action import RouteAction
from actions.common.route import docker_api, flush_disks, inspect_container, run_checked, write_audit
from actions.common.toolbox import remove_helpers, toolbox_argv
from actions.copy.ssh_channel import Peer, close_channel, has_key, open_channel, shell_line
from checks.containers.images import compare_images
from engine.command_line import ANY, typed_command
from engine.constants import TOOLBOX_IMAGE
from engine.contracts.action import Note
from engine.errors import ActionError, UnreachableError
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from hosts.facts.model import ImageFacts
from hosts.fleet import Fleet

PURPOSE: Final = "image"
ROLE: Final = "image"
LONGEST_SHIPPING_S: Final = 3600.0
FAST: Final = 1
PROGRAM: Final = (Path(__file__).parent / "layer_filter_program.py").read_text(encoding="utf-8")
LET_THROUGH: Final = (Path(__file__).parent / "archive_check_program.py").read_bytes()


@dataclass(frozen=True)
class ShipImage(RouteAction):
    """Load the image that the source's container runs into the target's engine, host to host, and tag it as there."""

    peer: Peer
    key = "image-shipped"

    def describe(self) -> str:
        """Return the dry run's line."""
        route = self.route
        return say(
            "ship those layers of {container}'s image that {target} lacks from {source}, unless it is there",
            container=route.container,
            target=route.target,
            source=route.source,
        )

    def do(self, note: Note) -> None:
        """Save on the source without the layers that the target has, compress, load there; nothing when the image is
        there already.
        """
        route = self.route
        source = self._source_image()
        note["image_id"], note["reference"] = source["Id"], self._reference()
        if read_image(route.fleet, route.target, source["Id"]) is None:
            self._ship_missing(source, note)
            flush_disks(route.fleet, route.target)
        elif has_key(route.fleet, route.source, move_label=route.move_label, purpose=PURPOSE):
            self._clear()  # of a run that was killed when the image had arrived
        self._tag(source["Id"], str(note["reference"]), note)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002 both engines are asked
        """Judge whether the target's image is the same (id, layers, architecture), and nothing of its way there is
        left.
        """
        route = self.route
        source = self._source_image()
        target = read_image(route.fleet, route.target, source["Id"])
        if target is None:
            return failed(
                say(
                    "{target}: no image {id} for {container}. Expected: shipped. Try: {command}",
                    target=route.target,
                    id=source["Id"][:19],
                    container=route.container,
                    command=route.command("prepare"),
                )
            )
        if has_key(route.fleet, route.source, move_label=route.move_label, purpose=PURPOSE):
            return failed(
                say(
                    "{source}: the key for the image of {container} is still there. Expected: removed. Run it again: "
                    "{command}",
                    source=route.source,
                    container=route.container,
                    command=route.command("prepare"),
                )
            )
        return compare_images(route.source, _facts(source), route.target, _facts(target))

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Leave the image: it changes nothing in service, and the next attempt needs it. Remove the temporary key."""
        self._clear()

    def _clear(self) -> None:
        """Remove the helper and the temporary key."""
        route = self.route
        remove_helpers(route.fleet, route.source, route.move_label, ROLE)
        close_channel(route.fleet, route.source, route.target, move_label=route.move_label, purpose=PURPOSE)

    def _reference(self) -> str:
        inspect = inspect_container(self.route.fleet, self.route.source, self.route.container)
        return str((inspect or {"Config": {}})["Config"].get("Image") or "")

    def _source_image(self) -> dict[str, Any]:
        route = self.route
        inspect = inspect_container(route.fleet, route.source, route.container)
        image = read_image(route.fleet, route.source, inspect["Image"]) if inspect else None
        if image is None:
            raise ActionError(
                say(
                    "{source}: no image of container {container}. Expected: the one it runs. Try: ssh {source} docker "
                    "inspect {container}",
                    source=route.source,
                    container=route.container,
                )
            )
        return image

    def _ship_missing(self, source: Mapping[str, Any], note: Note) -> None:
        """Ship what is missing; an engine that does not load it so (the containerd image store) gets all of it."""
        layers = _facts(source).layers
        self.route.fleet.forget_facts(self.route.target)
        there = layers_there(layers, (image.layers for image in self.route.fleet.facts(self.route.target).images))
        note["layers"] = f"{len(there)} of {len(set(layers))} layers were there"
        try:
            note["shipped_bytes"] = self._ship(source["Id"], there)
        except ActionError:
            if not there:
                raise
            note["layers"] += "; its engine wanted them all the same"
            note["shipped_bytes"] = self._ship(source["Id"], frozenset())

    def _ship(self, image_id: str, without: frozenset[str]) -> int:
        """Ship an image without these layers; return the bytes that were sent, before their compression."""
        route = self.route
        remove_helpers(route.fleet, route.source, route.move_label, ROLE)
        filtered = shell_line(["python3", "-c", PROGRAM, *sorted(without)])
        unpack = toolbox_argv(
            ["sh", "-c", f"zstd -dc | {let_through_line(image_id)}"],
            move_label=route.move_label,
            role=ROLE,
            interactive=True,
        )
        with open_channel(
            route.fleet,
            route.source,
            self.peer,
            move_label=route.move_label,
            purpose=PURPOSE,
            forced_command=say("{shell_line} | docker load", shell_line=shell_line(unpack)),
            valid_s=LONGEST_SHIPPING_S,
        ) as channel:
            send = toolbox_argv(
                [
                    "sh",
                    "-c",
                    f"{filtered} | zstd -{FAST} -T0 -c | {shell_line([*channel.ssh(), channel.destination(), 'load'])}",
                ],
                name=route.slug("image"),
                move_label=route.move_label,
                role=ROLE,
                mounts=[channel.mount()],
                network="host",
                interactive=True,
            )
            pipe = f"docker save {shell_line([image_id])} | {shell_line(send)}"
            doing = say("ship image {image_id} to {target}", image_id=image_id[:19], target=route.target)
            route.audit(route.source, self.key, doing)
            report = run_checked(
                route.fleet, route.source, ["sh", "-c", pipe], doing=doing, timeout_s=LONGEST_SHIPPING_S
            ).error_text
        return next(
            (int(json.loads(line)["sent"]) for line in report.splitlines() if line.startswith('{"left_out"')), 0
        )

    def _tag(self, image_id: str, reference: str, note: Note) -> None:
        route = self.route
        route.audit(route.target, self.key, f"tag {image_id[:19]} as {reference}")
        with docker_api(route.fleet, route.target, say("tag {reference}", reference=reference)) as api:
            apply_tag(api, reference, image_id, note)


def let_through_line(image_id: str) -> str:
    """Return the shell words that let one image of an archive through and nothing else; one line: authorized_keys holds
    it.
    """
    packed = base64.b64encode(zlib.compress(LET_THROUGH, 9)).decode()
    unpacked = f"import base64,zlib;exec(zlib.decompress(base64.b64decode('{packed}')))"
    return shell_line(["python3", "-c", unpacked, image_id])


def layers_there(layers: Sequence[str], others: Iterable[Sequence[str]]) -> frozenset[str]:
    """Return which layers need not travel: those below which, and with which, an image of the other engine begins
    alike.

    An engine knows a layer together with all below it. One that comes again further up must travel for that.
    """
    most = 0
    for other in others:
        alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(layers, other, strict=False))
        most = max(most, sum(1 for _ in alike))
    return frozenset(layers[:most]) - frozenset(layers[most:])


def read_image(fleet: Fleet, host: str, reference: str) -> dict[str, Any] | None:
    """Return `docker image inspect`, None when there is no such image."""
    with docker_api(fleet, host, say("inspect image {reference}", reference=reference)) as api:
        try:
            image: dict[str, Any] = api.inspect_image(reference)
        except docker.errors.ImageNotFound:
            return None
        return image


def apply_tag(api: Any, reference: str, image_id: str, note: Note) -> None:
    """Give the image its tag, unless the tag names another image there: that is somebody else's."""
    if not reference or reference.startswith("sha256:") or "@" in reference:
        return
    holders = [image["Id"] for image in api.images(name=reference)]
    if holders and holders != [image_id]:
        note["tag_not_applied"] = f"{reference} names {holders[0][:19]} there"
    elif not holders:
        repository, tag = split_reference(reference)
        api.tag(image_id, repository, tag, force=False)
        note["tag_applied"] = reference


def split_reference(reference: str) -> tuple[str, str]:
    """Return repository and tag; a colon before the last slash belongs to a registry's port."""
    last = reference.rsplit("/", 1)[-1]
    if ":" not in last:
        return reference, "latest"
    repository, _, tag = reference.rpartition(":")
    return repository, tag


def ship_toolbox(fleet: Fleet, host: str, move_label: str) -> Judgement:
    """Load the toolbox from this machine's own engine into a host's, unless the same image is there.

    It is the one image that comes from the operator's machine: it holds tools, no data.
    """
    own = _own_toolbox()
    present = read_image(fleet, host, TOOLBOX_IMAGE)
    if present is None or present["Id"] != own["Id"]:
        write_audit(fleet, host, move_label, "toolbox", f"load {TOOLBOX_IMAGE} {own['Id'][:19]}")
        stream = b"".join(compressed(_saved_toolbox()))
        run_checked(
            fleet, host, ["docker", "load"], doing=say("load the toolbox"), stdin=stream, timeout_s=LONGEST_SHIPPING_S
        )
        present = read_image(fleet, host, TOOLBOX_IMAGE)
    return judge_toolbox(host, own, present, move_label.split("/", 1)[0])


def judge_toolbox(
    host: str, own: Mapping[str, Any], present: Mapping[str, Any] | None, environment: str = ANY
) -> Judgement:
    """Judge whether a host has this machine's toolbox image."""
    if present is None or present["Id"] != own["Id"]:
        seen = str(present["Id"])[:19] if present else say("none")
        again = typed_command("prepare", environment=environment, apply=True)
        return failed(
            say(
                "{host}: toolbox image {seen}. Expected: {id}. Try: {again}",
                host=host,
                seen=seen,
                id=own["Id"][:19],
                again=again,
            ),
            image=seen,
        )
    return passed(
        say("{host}: toolbox image {id} is there", host=host, id=str(present["Id"])[7:19]), image=str(present["Id"])
    )


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress a stream with gzip at its fastest; `docker load` reads it as it is."""
    compressor = zlib.compressobj(FAST, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _own_toolbox() -> dict[str, Any]:
    try:
        api: Any = docker.from_env().api
        image: dict[str, Any] = api.inspect_image(TOOLBOX_IMAGE)
    except docker.errors.DockerException as error:
        raise UnreachableError(
            say(
                "this machine: no toolbox image: {error}. Expected: {toolbox_image} in its own engine. Build it: "
                "docker build --tag {toolbox_image} hosts/toolbox",
                error=error,
                toolbox_image=TOOLBOX_IMAGE,
            )
        ) from error
    return image


def _saved_toolbox() -> Iterator[bytes]:
    api: Any = docker.from_env().api
    chunks: Iterator[bytes] = api.get_image(TOOLBOX_IMAGE)
    return chunks


def _facts(image: Mapping[str, Any]) -> ImageFacts:
    return ImageFacts(
        id=image["Id"],
        tags=tuple(image.get("RepoTags") or ()),
        architecture=image.get("Architecture", ""),
        layers=tuple((image.get("RootFS") or {}).get("Layers") or ()),
        size_bytes=int(image.get("Size") or 0),
    )
