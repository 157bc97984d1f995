"""Which file knows which product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.errors import InputError
from engine.model import Service
from services import generic, postgres, prometheus, redis

PRODUCTS: Final[dict[str, Callable[[], Service]]] = {
    "generic": generic.Product,
    "postgres": postgres.Product,
    "prometheus": prometheus.Product,
    "redis": redis.Product,
}


def product(name: str) -> Service:
    """Return what is known about a product; raises InputError for one that no file knows yet."""
    if name not in PRODUCTS:
        raise InputError(
            f'inventory.yaml: product "{name}" has no file in services/; known: {", ".join(sorted(PRODUCTS))}. '
            "Select services that are known with --service"
        )
    return PRODUCTS[name]()
