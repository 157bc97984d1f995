"""Keycloak on the source host: its realms in postgres, its themes in a volume."""

from __future__ import annotations

from typing import Final

from lab.containers import NETWORK, address, run_container, wait_for_http
from lab.products.databases import make_database
from lab.products.keycloak_seed import make_realms
from lab.settings import KEYCLOAK

RUN: Final = (
    "--name",
    "keycloak",
    "--hostname",
    "sso",
    "--network",
    NETWORK,
    "--publish",
    "8081:8080",
    "--publish",
    "127.0.0.1:9000:9000",
    "--volume",
    "keycloak_data:/opt/keycloak/data",
    "--volume",
    "keycloak_themes:/opt/keycloak/themes",
    "--restart",
    "unless-stopped",
    "--memory",
    "1500m",
    "--stop-timeout",
    "60",
    "--label",
    "team=identity",
    KEYCLOAK,
    "start",
)
SETTINGS: Final = {
    "KC_DB": "postgres",
    "KC_DB_URL": "jdbc:postgresql://postgres:5432/keycloak",
    "KC_DB_USERNAME": "keycloak",
    "KC_DB_POOL_MAX_SIZE": "15",
    "KC_HEALTH_ENABLED": "true",
    "KC_METRICS_ENABLED": "true",
    "KC_HTTP_ENABLED": "true",
    "KC_HOSTNAME": "https://keycloak.shop.internal",
    "KC_PROXY_HEADERS": "xforwarded",
    "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
    "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1 -Xmx512m",
}
"""Only the first compiler: on a busy machine of two cores it starts in half the time."""


def create(passwords: dict[str, str]) -> None:
    """Start it, and import its realms."""
    make_database("keycloak", passwords["keycloak_database"])
    run_container(
        RUN,
        {
            **SETTINGS,
            "KC_DB_PASSWORD": passwords["keycloak_database"],
            "KC_BOOTSTRAP_ADMIN_PASSWORD": passwords["keycloak_admin"],
        },
    )
    wait_for_http("keycloak", 9000, "/health/ready", deadline_s=400)
    make_realms(f"http://{address()}:8081", passwords["keycloak_admin"], passwords["keycloak_login"])
