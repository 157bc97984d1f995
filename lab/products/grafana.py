"""Grafana on the source host: dashboards in its volume, data sources provisioned from a file."""

from __future__ import annotations

from typing import Final

from lab.containers import NETWORK, address, run_container, wait_for_http, write_file
from lab.products.grafana_seed import make_dashboards, provisioning
from lab.settings import GRAFANA

KINDS: Final = ("prometheus", "loki")
RUN: Final = (
    "--name",
    "grafana",
    "--network",
    NETWORK,
    "--publish",
    "3000:3000",
    "--volume",
    "grafana_data:/var/lib/grafana",
    "--volume",
    "/srv/grafana/provisioning:/etc/grafana/provisioning:ro",
    "--restart",
    "unless-stopped",
    "--label",
    "team=observability",
    GRAFANA,
)


def create(passwords: dict[str, str]) -> None:
    """Start it, and make its dashboards and alert rules."""
    write_file("/srv/grafana/provisioning/datasources/shop.yaml", provisioning(KINDS).encode())
    env = {
        "GF_SECURITY_ADMIN_PASSWORD": passwords["grafana_admin"],
        "GF_SECURITY_SECRET_KEY": passwords["grafana_key"],
        "GF_SERVER_ROOT_URL": "https://grafana.shop.internal/",
    }
    run_container(RUN, env)
    wait_for_http("grafana", 3000, "/api/health")
    make_dashboards(f"http://{address()}:3000", passwords["grafana_admin"], KINDS)
