"""WAHA on the source host: two sessions with their keys in its volume."""

from __future__ import annotations

from typing import Final

from lab.containers import NETWORK, address, run_container, wait_for_http
from lab.products.waha_seed import make_sessions
from lab.settings import WAHA

RUN: Final = (
    "--name",
    "waha",
    "--network",
    NETWORK,
    "--publish",
    "3001:3000",
    "--volume",
    "waha_sessions:/app/.sessions",
    "--volume",
    "waha_media:/app/.media",
    "--restart",
    "always",
    "--stop-timeout",
    "60",
    "--label",
    "team=support",
    WAHA,
)


def create(passwords: dict[str, str]) -> None:
    """Start it, and make its sessions."""
    run_container(
        RUN, {"WAHA_API_KEY": passwords["waha_api_key"], "WHATSAPP_DEFAULT_ENGINE": "NOWEB", "TZ": "America/Sao_Paulo"}
    )
    wait_for_http("waha", 3001, "/ping")
    make_sessions(f"http://{address()}:3001", passwords["waha_api_key"])
