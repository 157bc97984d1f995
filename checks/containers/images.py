"""Is the container's image on the target the very same one: id, layers and architecture."""

from __future__ import annotations

from engine.command_line import ANY, typed_command
from engine.contracts.container import ContainerFacts
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
            f"{source.host}: image {_short(container.image_id)} of {container.name} is not among {len(source.images)} "
            f"images. Expected: present. Try: ssh {source.host} docker image inspect {container.image_id}"
        )
    there = _image(target, container.image_id)
    if there is None:
        tagged = target.image_for(container.image_ref)
        seen = f"another image under this tag: {_short(tagged.id)}" if tagged else "no image with this id"
        return failed(
            f"{target.host}: {seen}. Expected: {container.image_ref} as {_short(container.image_id)} for "
            f"{container.name}. Ship it: "
            f"{typed_command('prepare', environment=environment, service=container.name, apply=True)}"
        )
    return compare_images(source.host, here, target.host, there)


def compare_images(source_host: str, source: ImageFacts, target_host: str, target: ImageFacts) -> Judgement:
    """Judge whether two images are the same by id, layers and architecture."""
    if not source.layers:
        return unknown(f"{source_host}: image {_short(source.id)} shows no layers. Expected: at least 1. Inspect it")
    pairs = {
        "id": (_short(source.id), _short(target.id)),
        "layers": (len(source.layers), len(target.layers)),
        "layer digests": (source.layers, target.layers),
        "architecture": (source.architecture, target.architecture),
    }
    wrong = [
        name if name == "layer digests" else f"{name} {there}, not {here}"
        for name, (here, there) in pairs.items()
        if here != there
    ]
    if wrong:
        return failed(
            f"{target_host}: image differs from {source_host}'s: {'; '.join(wrong)}. Expected: the same image. "
            f"Remove it there and ship it again: ssh {target_host} docker image rm {target.id}"
        )
    return passed(
        (
            f"{target_host}: image {_short(target.id)} with {len(target.layers)} layers ({target.architecture}), "
            f"same as on {source_host}"
        ),
        layers=len(target.layers),
    )


def _image(facts: HostFacts, image_id: str) -> ImageFacts | None:
    return next((image for image in facts.images if image.id == image_id), None)


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
