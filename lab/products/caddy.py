"""Caddy on the source host: a virtual host for every web service that the lab has, with certificates of its own
authority.
"""

from __future__ import annotations

from typing import Final

from lab.containers import NETWORK, run_container, wait_for_port, write_file
from lab.settings import CADDY, SERVICES

RUN: Final = (
    "--name",
    "caddy",
    "--network",
    NETWORK,
    "--publish",
    "80:80",
    "--publish",
    "443:443",
    "--publish",
    "443:443/udp",
    "--volume",
    "caddy_data:/data",
    "--volume",
    "caddy_config:/config",
    "--volume",
    "/srv/caddy/Caddyfile:/etc/caddy/Caddyfile:ro",
    "--restart",
    "unless-stopped",
    "--cap-add",
    "NET_ADMIN",
    "--stop-timeout",
    "30",
    "--label",
    "team=platform",
    CADDY,
)
UPSTREAMS: Final = {
    "n8n": "n8n:5678",
    "keycloak": "keycloak:8080",
    "grafana": "grafana:3000",
    "minio": "minio:9000",
    "rabbitmq": "rabbitmq:15672",
    "waha": "waha:3000",
    "metabase": "metabase:3000",
    "orders": "orders:8080",
}
"""What is behind each service's virtual host: the links from caddy of the inventory, and the lab's own application."""

HEAD: Final = """{
	grace_period 10s
	skip_install_trust
}

(own) {
	tls {
		issuer internal {
			lifetime 144h
		}
	}
}
"""
SITE: Final = """
{name}.shop.internal {{
	import own
	reverse_proxy {upstream}
}}
"""


def create(passwords: dict[str, str]) -> None:  # noqa: ARG001 it has no password
    """Start it; it makes its certificates automatically."""
    write_file("/srv/caddy/Caddyfile", caddyfile(SERVICES).encode())
    run_container(RUN, {})
    wait_for_port("caddy", 443)


def caddyfile(services: tuple[str, ...]) -> str:
    """Return the configuration for those services that are there."""
    return HEAD + "".join(
        SITE.format(name=name, upstream=upstream) for name, upstream in UPSTREAMS.items() if name in services
    )
