"""Which file knows which product."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from engine.contracts.product import Product
from engine.errors import InputError
from engine.finding import say

GENERIC: Final = "generic"
"""The product of a container with nothing known but its health."""


def _of(name: str) -> Callable[[], Product]:
    """Return how to make a product of `services/<name>/product.py`; its client library is loaded when it is made."""

    def make() -> Product:
        made: Product = import_module(f"services.{name}.product").Product()
        return made

    return make


def products_in(services: Path) -> dict[str, Callable[[], Product]]:
    """Return how to make each product: every folder with a product.py is one."""
    return {file.parent.name: _of(file.parent.name) for file in sorted(services.glob("*/product.py"))}


PRODUCTS: Final = products_in(Path(__file__).parent)


def product(name: str) -> Product:
    """Return what is known about a product; raises InputError for one that no file knows yet."""
    if name not in PRODUCTS:
        raise InputError(
            say(
                'inventory.yaml: product "{name}" has no folder in services/; known: {products}. Select services that '
                "are known with --service",
                name=name,
                products=", ".join(sorted(PRODUCTS)),
            )
        )
    return PRODUCTS[name]()


def product_or_generic(name: str) -> Product:
    """Return what is known about a product, of one that no folder knows what is known of any container."""
    return PRODUCTS.get(name, PRODUCTS[GENERIC])()


def by_image_name() -> dict[str, str]:
    """Return the product by the end of an image's name."""
    return {image: name for name, make in PRODUCTS.items() for image in make().image_names}
