"""The lab's own application on rabbitmq, minio, loki and temporal."""

from __future__ import annotations

from typing import Final

from lab.containers import NETWORK, run_container
from lab.settings import PARCELS

RUN: Final = (
    "--name",
    "parcels",
    "--network",
    NETWORK,
    "--publish",
    "8090:8090",
    "--restart",
    "unless-stopped",
    "--label",
    "team=shop",
    PARCELS,
)


def create(passwords: dict[str, str]) -> None:
    """Start it; its stores are there."""
    env = {
        "PARCELS_AMQP_PASSWORD": passwords["parcels_amqp"],
        "PARCELS_S3_ACCESS_KEY": passwords["minio_app_access_key"],
        "PARCELS_S3_SECRET_KEY": passwords["minio_app_secret_key"],
    }
    run_container(RUN, env)
