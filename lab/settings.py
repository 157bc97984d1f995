"""The lab's names and places: one set per machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
STATE: Final = ROOT / "state" / "lab"
"""What `up` generates and `down` removes: keys, ssh config, identities, passwords."""

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longshore"

PREFIX: Final = "longshore-lab"
LABEL: Final = "longshore.lab"
NETWORK: Final = PREFIX
HOST_IMAGE: Final = f"{PREFIX}/host:1"
SUBNETS: Final = ("172.31.250.0/24", "10.213.77.0/24", "192.168.213.0/24")
INNER_SUBNET: Final = "172.30.5.0/24"


@dataclass(frozen=True)
class HostPlan:
    """One lab host: its name, the last number of its address, and the images it has from the start."""

    name: str
    last_octet: int
    images: tuple[str, ...]

    @property
    def container(self) -> str:
        """Return the name of the container that plays this host."""
        return f"{PREFIX}-{self.name}"

    @property
    def volume(self) -> str:
        """Return the name of the volume that is this host's disk."""
        return f"{PREFIX}-{self.name}-disk"


POSTGRES: Final = "postgres:17"
REDIS: Final = "redis:8"
PROMETHEUS: Final = "prom/prometheus:v2.53.3"
RABBITMQ: Final = "rabbitmq:4-management"
CADDY: Final = "caddy:2"
MINIO: Final = "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"
LOKI: Final = "grafana/loki:3.5.5"
KEYCLOAK: Final = "quay.io/keycloak/keycloak:26.4.7"
N8N: Final = "docker.n8n.io/n8nio/n8n:2.40.7"
GRAFANA: Final = "grafana/grafana:12.2.0"
METABASE: Final = "metabase/metabase:v0.56.4"
WAHA: Final = "devlikeapro/waha:latest-2026.7.1"
TEMPORAL: Final = f"{PREFIX}/temporal:1"
ORDERS: Final = f"{PREFIX}/orders:1"
PARCELS: Final = f"{PREFIX}/parcels:1"
TOOLBOX: Final = "longshore/toolbox:1"

SOURCE_IMAGES: Final = (
    POSTGRES, REDIS, PROMETHEUS, RABBITMQ, CADDY, MINIO, LOKI, TEMPORAL, KEYCLOAK, N8N, GRAFANA, METABASE, WAHA, ORDERS, PARCELS, TOOLBOX,
)  # fmt: skip
HOSTS: Final = (
    HostPlan("wf005", 15, SOURCE_IMAGES),
    HostPlan("wf001", 11, (PROMETHEUS, RABBITMQ, MINIO, LOKI, TEMPORAL, N8N, GRAFANA, TOOLBOX)),  # not redis, so that an image really travels
    HostPlan("wf002", 12, (POSTGRES, CADDY, KEYCLOAK, METABASE, WAHA, TOOLBOX)),
)


def local_name(reference: str) -> str:
    """Return the name that this machine's engine keeps an image of the lab under: one that is nobody else's."""
    if reference.startswith((f"{PREFIX}/", "longshore/")):
        return reference
    return f"{PREFIX}/{reference.replace('/', '-')}"


SERVICES: Final = (
    "n8n", "postgres", "keycloak", "grafana", "prometheus", "loki", "redis", "minio", "rabbitmq", "caddy", "waha", "metabase", "temporal",
    "orders", "parcels",
)  # fmt: skip
OWN_PROGRAM: Final = "a program with its HTTP API"
STAND_INS: Final = {
    MINIO: ("minio", "SeaweedFS"), LOKI: ("loki", OWN_PROGRAM), GRAFANA: ("grafana", OWN_PROGRAM), METABASE: ("metabase", OWN_PROGRAM),
    WAHA: ("waha", OWN_PROGRAM + ", without WhatsApp"),
}  # fmt: skip
"""What plays an image that no registry gives: its service, and what it is."""


class LabError(Exception):
    """The lab can't do that; the text says where, what was seen, what was expected, what to do next."""


class WrongWordsError(LabError):
    """The command line is not understood."""
