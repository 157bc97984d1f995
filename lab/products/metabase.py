"""Metabase on the source host: no volume, all its state in postgres."""

from __future__ import annotations

from typing import Final

from lab.containers import NETWORK, address, run_container, wait_for_http
from lab.products.databases import make_database
from lab.products.metabase_seed import make_questions
from lab.settings import METABASE

RUN: Final = (
    "--name",
    "metabase",
    "--network",
    NETWORK,
    "--publish",
    "3002:3000",
    "--restart",
    "unless-stopped",
    "--memory",
    "2g",
    "--stop-timeout",
    "60",
    "--label",
    "team=analytics",
    METABASE,
)
SETTINGS: Final = {
    "MB_DB_TYPE": "postgres",
    "MB_DB_HOST": "postgres",
    "MB_DB_PORT": "5432",
    "MB_DB_DBNAME": "metabase",
    "MB_DB_USER": "metabase",
    "MB_SITE_URL": "https://metabase.shop.internal",
    "JAVA_TIMEZONE": "America/Sao_Paulo",
}


def create(passwords: dict[str, str]) -> None:
    """Start it, and make its questions and dashboards; its new API key joins the passwords."""
    make_database("metabase", passwords["metabase_database"])
    run_container(
        RUN,
        {
            **SETTINGS,
            "MB_DB_PASS": passwords["metabase_database"],
            "MB_ENCRYPTION_SECRET_KEY": passwords["metabase_key"],
        },
    )
    wait_for_http("metabase", 3002, "/api/health", deadline_s=300)
    passwords["metabase_api_key"] = make_questions(f"http://{address()}:3002", passwords)
