"""Public keys."""

from __future__ import annotations


def key_material(public_key: str) -> str:
    """Return the part of a public key that makes it this key."""
    return public_key.split()[1] if len(public_key.split()) > 1 else public_key
