"""Checks of what the target must be free of, and have: ports, names, image."""

from __future__ import annotations

import pytest

from checks.containers.images import judge_image_on_target
from checks.containers.name_conflicts import NamesNeeded, PathFacts, judge_names_free, read_paths
from checks.ports.free_ports import PortNeed, judge_ports_free
from engine.constants import LABEL_MOVE
from engine.errors import NotObservedError
from engine.verdict import Verdict
from tests.fakes.facts import LABEL, make_container, make_host, make_image, make_network, make_socket, make_volume
from tests.fakes.host import FakeHost

NEED = PortNeed("redis", 6379)
NAMES = NamesNeeded("redis", volumes=("redis_data",), networks=("shop",), paths=("/srv/redis",))
FREE = {"/srv/redis": PathFacts("/srv/redis", "missing", occupied=False, marker="")}


def test_port_held_by_a_process_is_named() -> None:
    """The text says which process listens where."""
    answer = judge_ports_free(make_host(listening=(make_socket(6379),)), [NEED])
    assert answer.verdict is Verdict.FAILED
    assert "nginx" in answer.text
    assert judge_ports_free(make_host(listening=(make_socket(80),)), [NEED]).passed


def test_port_held_by_a_container_is_named_by_container() -> None:
    """A container is a better answer than docker-proxy."""
    held = make_host(containers=(make_container(name="other"),), listening=(make_socket(6379, process="docker-proxy"),))
    answer = judge_ports_free(held, [NEED], LABEL)
    assert answer.verdict is Verdict.FAILED
    assert "container other" in answer.text


def test_own_container_holds_its_port_by_right() -> None:
    """A resumed move meets itself."""
    own = make_container(labels={LABEL_MOVE: LABEL})
    assert judge_ports_free(make_host(containers=(own,), listening=(make_socket(6379),)), [NEED], LABEL).passed


def test_other_protocol_and_other_address_do_not_clash() -> None:
    """UDP is not TCP, and two loopback-only listeners can share a number with another address."""
    assert judge_ports_free(make_host(listening=(make_socket(6379, protocol="udp"),)), [NEED]).passed
    other = PortNeed("redis", 6379, address="192.0.2.1")
    assert judge_ports_free(make_host(listening=(make_socket(6379, address="127.0.0.1"),)), [other]).passed


def test_strangers_names_are_refused_each_by_name() -> None:
    """Container, volume, network and path of somebody else: four problems, not one."""
    target = make_host(
        containers=(make_container(name="redis"),),
        volumes=(make_volume("redis_data"),),
        networks=(make_network("shop"),),
    )
    taken = {"/srv/redis": PathFacts("/srv/redis", "directory", occupied=True, marker="")}
    answer = judge_names_free(target, NAMES, taken, LABEL)
    assert answer.verdict is Verdict.FAILED
    assert len(answer.details) == 4
    assert "container redis" in answer.text


def test_own_labels_are_accepted_but_another_attempt_is_not() -> None:
    """What another attempt left behind is not this attempt's."""
    mine = make_host(volumes=(make_volume("redis_data", labels={LABEL_MOVE: LABEL}),))
    older = make_host(volumes=(make_volume("redis_data", labels={LABEL_MOVE: "lab/redis/0"}),))
    assert judge_names_free(mine, NAMES, FREE, LABEL).passed
    assert judge_names_free(older, NAMES, FREE, LABEL).verdict is Verdict.FAILED


def test_network_of_the_same_environment_is_shared() -> None:
    """Two moved services meet on one network; another environment's is a stranger's."""
    lab = make_host(networks=(make_network("shop", labels={LABEL_MOVE: "lab/postgres/3"}),))
    other = make_host(networks=(make_network("shop", labels={LABEL_MOVE: "production/postgres/3"}),))
    assert judge_names_free(lab, NAMES, FREE, LABEL).passed
    assert judge_names_free(other, NAMES, FREE, LABEL).verdict is Verdict.FAILED


def test_path_not_looked_at_is_not_free() -> None:
    """Nothing seen is no pass."""
    assert judge_names_free(make_host(), NAMES, {}, LABEL).verdict is Verdict.FAILED


def test_paths_are_read_in_one_exchange() -> None:
    """A full directory, an empty one and a missing one."""
    host = FakeHost("wf001", {"look": (0, "directory\t1\tlab/redis/1\ndirectory\t0\t\nmissing\t0\t\n", "")})
    facts = read_paths(host, ["/a", "/b", "/c"])  # type: ignore[arg-type]
    assert (facts["/a"].free, facts["/b"].free, facts["/c"].free) == (False, True, True)
    assert facts["/a"].marker == LABEL
    assert len(host.asked) == 1


def test_paths_that_can_not_be_read_are_no_answer() -> None:
    """A failing look is UNKNOWN's business."""
    with pytest.raises(NotObservedError, match="wf001"):
        read_paths(FakeHost("wf001", {"look": (2, "", "sh: broken")}), ["/a"])  # type: ignore[arg-type]


def test_image_missing_on_target_fails_with_the_way_to_ship_it() -> None:
    """The next command stands in the text."""
    answer = judge_image_on_target(make_host(host="wf005", images=(make_image(),)), make_host(), make_container())
    assert answer.verdict is Verdict.FAILED
    assert "nox -s prepare" in answer.text


def test_same_tag_on_another_image_is_reported() -> None:
    """A tag is not an identity."""
    source = make_host(host="wf005", images=(make_image(),))
    target = make_host(images=(make_image(id="sha256:" + "2" * 64),))
    answer = judge_image_on_target(source, target, make_container())
    assert answer.verdict is Verdict.FAILED
    assert "another image under this tag" in answer.text


def test_image_with_other_layers_fails() -> None:
    """Id, layers and architecture must all be equal."""
    source = make_host(host="wf005", images=(make_image(),))
    wrong = make_host(images=(make_image(layers=("sha256:a", "sha256:x")),))
    assert judge_image_on_target(source, wrong, make_container()).verdict is Verdict.FAILED
    assert judge_image_on_target(source, make_host(images=(make_image(),)), make_container()).passed


def test_unknown_source_image_is_unknown() -> None:
    """Nothing to compare with."""
    assert judge_image_on_target(make_host(host="wf005"), make_host(), make_container()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("unseen", [{"docker_version": ""}, {"listening_error": "no answer in time"}])
def test_a_port_that_was_not_looked_at_is_not_free(unseen: dict[str, str]) -> None:
    """With Docker or the socket list silent the answer is UNKNOWN."""
    with pytest.raises(NotObservedError, match="wf001"):
        judge_ports_free(make_host(**unseen), [NEED])
