"""Which file knows which product."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final

from engine.contracts.product import Product
from engine.errors import InputError


def _of(name: str) -> Callable[[], Product]:
    """Return how to make a product of `services/<name>/product.py`; its client library is loaded when it is made."""

    def make() -> Product:
        made: Product = import_module(f"services.{name}.product").Product()
        return made

    return make


PRODUCTS: Final[dict[str, Callable[[], Product]]] = {
    name: _of(name)
    for name in (
        "caddy",
        "generic",
        "grafana",
        "keycloak",
        "loki",
        "metabase",
        "minio",
        "n8n",
        "postgres",
        "prometheus",
        "rabbitmq",
        "redis",
        "temporal",
        "waha",
    )
}


def product(name: str) -> Product:
    """Return what is known about a product; raises InputError for one that no file knows yet."""
    if name not in PRODUCTS:
        raise InputError(
            f'inventory.yaml: product "{name}" has no folder in services/; known: {", ".join(sorted(PRODUCTS))}. '
            "Select services that are known with --service"
        )
    return PRODUCTS[name]()
