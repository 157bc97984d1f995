"""n8n on the source host: workflows and credentials in postgres, its key in its volume and environment."""

from __future__ import annotations

from typing import Final

from lab.containers import NETWORK, address, run_container, wait_for_http
from lab.products.databases import make_database
from lab.products.n8n_seed import make_workflows
from lab.settings import N8N

RUN: Final = (
    "--name",
    "n8n",
    "--network",
    NETWORK,
    "--publish",
    "5678:5678",
    "--volume",
    "n8n_data:/home/node/.n8n",
    "--restart",
    "always",
    "--memory",
    "1500m",
    "--stop-timeout",
    "45",
    "--label",
    "team=automation",
    "--log-opt",
    "max-size=10m",
    N8N,
)
SETTINGS: Final = {
    "DB_TYPE": "postgresdb",
    "DB_POSTGRESDB_HOST": "postgres",
    "DB_POSTGRESDB_DATABASE": "n8n",
    "DB_POSTGRESDB_USER": "n8n",
    "N8N_HOST": "n8n.shop.internal",
    "N8N_PROTOCOL": "https",
    "WEBHOOK_URL": "https://n8n.shop.internal/",
    "N8N_PROXY_HOPS": "1",
    "GENERIC_TIMEZONE": "America/Sao_Paulo",
    "N8N_SECURE_COOKIE": "false",
    "N8N_DIAGNOSTICS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    "N8N_TEMPLATES_ENABLED": "false",
    "N8N_PERSONALIZATION_ENABLED": "false",
    "EXECUTIONS_DATA_PRUNE": "false",
}


def create(passwords: dict[str, str]) -> None:
    """Start it, and make its owner, credentials and workflows; its new API key joins the passwords."""
    make_database("n8n", passwords["n8n_database"])
    run_container(
        RUN,
        {**SETTINGS, "DB_POSTGRESDB_PASSWORD": passwords["n8n_database"], "N8N_ENCRYPTION_KEY": passwords["n8n_key"]},
    )
    wait_for_http("n8n", 5678, "/healthz/readiness", deadline_s=400)
    passwords["n8n_api_key"] = make_workflows(f"http://{address()}:5678", passwords)
