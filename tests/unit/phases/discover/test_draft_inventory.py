"""What runs becomes a draft of the inventory: complete enough to load, and honest about what a person must decide."""

from __future__ import annotations

from dataclasses import replace

from engine.config.inventory import Inventory
from engine.contracts.container import MountFacts
from phases.discover.draft_inventory import draft_inventory, draft_moves, product_of
from tests.fakes.facts import make_container, make_host

SOCKET = MountFacts("bind", "/var/run/docker.sock", "/var/run/docker.sock", read_only=False)
DATABASE = make_container(
    name="postgres", image_ref="postgres:17", env={}, mounts=(MountFacts("volume", "pg", "/data", read_only=False),)
)
WEB = make_container(
    name="n8n",
    image_ref="docker.n8n.io/n8nio/n8n:2.40.7",
    env={
        "DB_POSTGRESDB_HOST": "postgres",
        "DB_POSTGRESDB_PORT": "5432",
        "URL": "http://postgres:5432/x",
        "OTHER": "mypostgres:1",
    },
    mounts=(SOCKET, MountFacts("volume", "a" * 64, "/files", read_only=False)),
)


def test_the_draft_is_an_inventory() -> None:
    """It loads through the typed model as it stands, with products, rules and links."""
    draft = draft_inventory([make_host(host="wf005", containers=(DATABASE, WEB))])
    loaded = Inventory.model_validate(draft)
    assert {name: entry.product for name, entry in loaded.services.items()} == {"postgres": "postgres", "n8n": "n8n"}
    assert [(link.from_, link.to, link.name, link.port) for link in loaded.links] == [
        ("n8n", "postgres", "postgres", 5432)
    ]
    assert [mount.rule for mount in loaded.services["n8n"].mounts] == ["same_on_target", "copy"]


def test_what_a_person_must_decide_is_said() -> None:
    """An anonymous volume may hold data or nothing: only a person can know."""
    draft = draft_inventory([make_host(host="wf005", containers=(WEB,))])
    assert "/files is an anonymous volume" in draft["services"]["n8n"]["notes"]


def test_no_secret_is_in_the_draft() -> None:
    """Environment values are read for names of other containers only; none of them is written down."""
    secret = replace(WEB, env={"PASSWORD": "made-up-value", "DB_POSTGRESDB_HOST": "postgres"})
    assert "made-up-value" not in str(draft_inventory([make_host(host="wf005", containers=(DATABASE, secret))]))


def test_providers_move_before_those_that_need_them() -> None:
    """The drafted order follows the links; a circle does not stop it."""
    host = WEB.host
    draft = draft_inventory([make_host(host="wf005", containers=(WEB, DATABASE))])
    assert [move["service"] for move in draft_moves(draft, host, "wf001")] == ["postgres", "n8n"]
    draft["links"].append({"from": "postgres", "to": "n8n", "name": "n8n", "port": 5678})
    assert len(draft_moves(draft, host, "wf001")) == 2


def test_products_are_known_by_their_images() -> None:
    """A registry, a tag and a digest do not hide a product; what is not known is generic."""
    digest = "@sha256:" + "0" * 64
    images = {
        "registry.example:5000/team/redis:8": "redis",
        f"postgres:17{digest}": "postgres",
        "temporalio/server:1.30": "temporal",
        "synchat:latest": "generic",
    }
    assert {image: product_of(image) for image in images} == images
