"""Is the container's image on the target exactly the same: id, layers and architecture."""

from __future__ import annotations

from engine.command_line import ANY, typed_command
from engine.contracts.container import ContainerFacts
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import HostFacts, ImageFacts


def judge_image_on_target(
    source: HostFacts, target: HostFacts, container: ContainerFacts, environment: str = ANY
) -> Judgement:
    """Judge whether the target has the image that the container runs on the source.

    Proof is an equal config digest (the image id), equal RootFS layers and equal architecture; repository digests are
    absent after `docker load`.
    """
    here = _image(source, container.image_id)
    if here is None:
        return unknown(
            say(
                "{host}: image {image_id} of {name} is not among {count} images. Expected: present. Try: ssh {host} "
                "docker image inspect {container_image_id}",
                host=source.host,
                image_id=_short(container.image_id),
                name=container.name,
                count=len(source.images),
                container_image_id=container.image_id,
            )
        )
    there = _image(target, container.image_id)
    if there is None:
        tagged = target.image_for(container.image_ref)
        seen = (
            say("another image under this tag: {tagged_id}", tagged_id=_short(tagged.id))
            if tagged
            else say("no image with this id")
        )
        return failed(
            say(
                "{host}: {seen}. Expected: {image_ref} as {image_id} for {name}. Ship it: {command}",
                host=target.host,
                seen=seen,
                image_ref=container.image_ref,
                image_id=_short(container.image_id),
                name=container.name,
                command=typed_command("prepare", environment=environment, service=container.name, apply=True),
            )
        )
    return compare_images(source.host, here, target.host, there)


def compare_images(source_host: str, source: ImageFacts, target_host: str, target: ImageFacts) -> Judgement:
    """Judge whether two images are the same by id, layers and architecture."""
    if not source.layers:
        return unknown(
            say(
                "{source_host}: image {source_id} shows no layers. Expected: at least 1. Inspect it",
                source_host=source_host,
                source_id=_short(source.id),
            )
        )
    pairs = {
        "id": (_short(source.id), _short(target.id)),
        "layers": (len(source.layers), len(target.layers)),
        "layer digests": (source.layers, target.layers),
        "architecture": (source.architecture, target.architecture),
    }
    wrong = [
        name if name == "layer digests" else say("{name} {there}, not {here}", name=name, there=there, here=here)
        for name, (here, there) in pairs.items()
        if here != there
    ]
    if wrong:
        return failed(
            say(
                "{target_host}: image differs from {source_host}'s: {wrong}. Expected: the same image. Remove it "
                "there and ship it again: ssh {target_host} docker image rm {target_id}",
                target_host=target_host,
                source_host=source_host,
                wrong=joined("; ", wrong),
                target_id=target.id,
            )
        )
    return passed(
        say(
            "{target_host}: image {target_id} with {count} layers ({architecture}), same as on {source_host}",
            target_host=target_host,
            target_id=_short(target.id),
            count=len(target.layers),
            architecture=target.architecture,
            source_host=source_host,
        ),
        layers=len(target.layers),
    )


def _image(facts: HostFacts, image_id: str) -> ImageFacts | None:
    return next((image for image in facts.images if image.id == image_id), None)


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
