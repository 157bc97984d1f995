"""The services on wf005, run as a customer runs them: with many options, so that recreating them is a real question."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from lab import planted_secrets, seeds
from lab.containers import NETWORK, READY_S, SOURCE, answers, run_container, wait_for_http, wait_for_port
from lab.docker_engine import wait_until
from lab.hosts import ssh
from lab.settings import INNER_SUBNET, ORDERS, POSTGRES, PROMETHEUS, REDIS, Choice

LOOK_S: Final = 10
SLOW_S: Final = 400
SLOW: Final = (
    ("keycloak", 9000, "/health/ready"),
    ("n8n", 5678, "/healthz/readiness"),
    ("metabase", 3002, "/api/health"),
    ("parcels", 8090, "/health"),
)
"""What takes longest to start after a reboot of the source, on two cores all at once."""

POSTGRES_RUN: Final = (
    "--name",
    "postgres",
    "--hostname",
    "pg-shop",
    "--network",
    NETWORK,
    "--network-alias",
    "db",
    "--publish",
    "5432:5432",
    "--volume",
    "postgres_data:/var/lib/postgresql/data",
    "--shm-size",
    "256m",
    "--restart",
    "unless-stopped",
    "--stop-timeout",
    "60",
    "--memory",
    "1g",
    "--memory-reservation",
    "256m",
    "--ulimit",
    "nofile=4096:8192",
    "--health-cmd",
    "pg_isready -h 127.0.0.1 -U postgres",
    "--health-interval",
    "5s",
    "--health-timeout",
    "3s",
    "--health-retries",
    "5",
    "--health-start-period",
    "10s",
    "--log-driver",
    "json-file",
    "--log-opt",
    "max-size=10m",
    "--log-opt",
    "max-file=3",
    "--label",
    "team=platform",
    "--label",
    "backup=nightly",
    "--add-host",
    "ldap.internal:192.0.2.7",
    POSTGRES,
    "postgres",
    "-c",
    "max_connections=120",
    "-c",
    "shared_buffers=128MB",
    "-c",
    "log_min_duration_statement=500",
)
REDIS_RUN: Final = (
    "--name",
    "redis",
    "--network",
    NETWORK,
    "--publish",
    "6379:6379",
    "--volume",
    "redis_data:/data",
    "--mount",
    "type=bind,source=/srv/redis/redis.conf,target=/usr/local/etc/redis/redis.conf,readonly",
    "--restart",
    "always",
    "--init",
    "--sysctl",
    "net.core.somaxconn=1024",
    "--stop-signal",
    "SIGTERM",
    "--cpus",
    "1.5",
    "--pids-limit",
    "200",
    "--security-opt",
    "no-new-privileges:true",
    "--tmpfs",
    "/scratch:rw,size=16m,mode=1777",
    "--health-interval",
    "5s",
    "--health-timeout",
    "3s",
    "--label",
    "team=platform",
    REDIS,
    "redis-server",
    "/usr/local/etc/redis/redis.conf",
)
PROMETHEUS_RUN: Final = (
    "--name",
    "prometheus",
    "--network",
    NETWORK,
    "--publish",
    "9090:9090",
    "--volume",
    "prometheus_data:/prometheus",
    "--volume",
    "/srv/prometheus:/etc/prometheus:ro",
    "--restart",
    "unless-stopped",
    "--user",
    "65534:65534",
    "--cap-drop",
    "ALL",
    "--read-only",
    "--tmpfs",
    "/tmp:rw,size=32m",  # noqa: S108 a path in the container
    "--stop-timeout",
    "60",
    "--label",
    "team=observability",
    PROMETHEUS,
    "--config.file=/etc/prometheus/prometheus.yml",
    "--storage.tsdb.path=/prometheus",
    "--storage.tsdb.retention.time=10y",
    "--web.enable-lifecycle",
)
ORDERS_RUN: Final = (
    "--name",
    "orders",
    "--network",
    NETWORK,
    "--publish",
    "8080:8080",
    "--restart",
    "unless-stopped",
    "--label",
    "team=shop",
    ORDERS,
)
REDIS_CONF: Final = (
    "bind * -::*\nprotected-mode yes\nport 6379\nappendonly yes\nappendfsync everysec\nsave 3600 1 300 "
    "100\nrequirepass {password}\n"
)


CORE_PASSWORDS: Final = ("postgres", "orders_app", "reporting", "redis")
PASSWORDS: Final = (
    "minio",
    "minio_app_access_key",
    "minio_app_secret_key",
    "rabbitmq",
    "rabbitmq_reader",
    "parcels_amqp",
    "keycloak_database",
    "keycloak_admin",
    "keycloak_login",
    "n8n_database",
    "n8n_owner",
    "n8n_key",
    "grafana_admin",
    "grafana_key",
    "metabase_database",
    "metabase_owner",
    "metabase_key",
    "waha_api_key",
)
PRODUCTS: Final = {
    "rabbitmq": "exchanges of every type, queues with messages",
    "minio": "buckets, objects and their versions",
    "loki": "two weeks of lines",
    "temporal": "workflows and schedules",
    "keycloak": "realms with clients and users",
    "n8n": "workflows and credentials",
    "grafana": "dashboards and alert rules",
    "metabase": "questions and dashboards",
    "waha": "sessions",
    "caddy": "virtual hosts and their certificates",
    "parcels": "begins to work",
}
"""What a lab with all services has in addition to the core, in the order in which it is made: one file each in
`products/`.
"""


def make_passwords(choice: Choice) -> dict[str, str]:
    """Return new passwords for the services."""
    names = (*CORE_PASSWORDS, *PASSWORDS) if choice is Choice.ALL else CORE_PASSWORDS
    made = {
        name: secrets.token_hex(12) if name.startswith("minio_app") else secrets.token_urlsafe(18) for name in names
    }
    return made | planted_secrets.make_planted()


def create_services(passwords: dict[str, str], say: Callable[[str], None], choice: Choice) -> None:
    """Create, seed and start all services on the source host; it must be new."""
    ssh(SOURCE, "docker", "network", "create", "--subnet", INNER_SUBNET, NETWORK)
    _write_configuration(passwords)
    say("postgres: making the shop's data")
    env = {"POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": passwords["postgres"], "POSTGRES_DB": "shop"}
    run_container(
        POSTGRES_RUN,
        env | planted_secrets.planted_env(passwords, "postgres"),
        "--label",
        planted_secrets.planted_label(passwords),
    )
    wait_until("postgres", answers("docker", "exec", "postgres", "pg_isready", "-h", "127.0.0.1", "-q"), READY_S)
    script = seeds.postgres_script(passwords["orders_app"], passwords["reporting"])
    ssh(
        SOURCE,
        "docker",
        "exec",
        "-i",
        "postgres",
        "psql",
        "-qU",
        "postgres",
        "-v",
        "ON_ERROR_STOP=1",
        "shop",
        stdin=script,
    )
    ssh(
        SOURCE,
        "docker",
        "exec",
        "-i",
        "postgres",
        "psql",
        "-qU",
        "postgres",
        "shop",
        stdin=planted_secrets.planted_statement(passwords),
    )
    say("redis: making keys of every type")
    check = planted_secrets.planted_check(passwords, "redis-cli ping | grep -q PONG")
    run_container(
        REDIS_RUN,
        {"REDISCLI_AUTH": passwords["redis"]} | planted_secrets.planted_env(passwords, "redis"),
        "--health-cmd",
        check,
    )
    wait_until("redis", answers("docker", "exec", "redis", "redis-cli", "ping"), READY_S)
    ssh(SOURCE, "docker", "exec", "-i", "redis", "redis-cli", "--pipe", stdin=seeds.redis_commands())
    say("prometheus: making two weeks of history")
    _make_history()
    run_container(PROMETHEUS_RUN, {})
    for name, text in PRODUCTS.items() if choice is Choice.ALL else ():
        say(f"{name}: {text}")
        import_module(f"lab.products.{name}").create(passwords)  # with its client library, which the core does without
    env = {"ORDERS_DB_PASSWORD": passwords["orders_app"], "ORDERS_REDIS_PASSWORD": passwords["redis"]}
    run_container(ORDERS_RUN, env | planted_secrets.planted_env(passwords, "orders"))


def start_sessions() -> None:
    """Write the keys that expire, into a lab that is new."""
    ssh(SOURCE, "docker", "exec", "-i", "redis", "redis-cli", "--pipe", stdin=seeds.redis_sessions())


def wait_for_services(choice: Choice) -> None:
    """Wait until every service on the source does its work; in a lab with all, parcels and caddy stand for what is
    behind them.
    """
    for name, port, path in (("orders", 8080, "/health"), ("prometheus", 9090, "/-/ready")):
        wait_for_http(name, port, path)
    if choice is Choice.ALL:
        for name, port, path in SLOW:
            wait_for_http(name, port, path, deadline_s=SLOW_S)
        wait_for_port("caddy", 443)


def _write_configuration(passwords: dict[str, str]) -> None:
    write = "umask 077; mkdir -p $(dirname {path}); cat > {path}"
    conf = REDIS_CONF.format(password=passwords["redis"]).encode()
    ssh(SOURCE, write.format(path="/srv/redis/redis.conf"), stdin=conf)
    ssh(SOURCE, "chmod 0755 /srv/redis; chown 999:999 /srv/redis/redis.conf; chmod 0640 /srv/redis/redis.conf")
    folder = Path(__file__).parent / "prometheus"
    for file in sorted(folder.iterdir()):
        ssh(SOURCE, write.format(path=f"/srv/prometheus/{file.name}"), stdin=file.read_bytes())
    ssh(SOURCE, "chmod -R u=rwX,go=rX /srv/prometheus")


def _make_history() -> None:
    """Write blocks of a fixed past, with Prometheus' own tool."""
    run = (
        "docker",
        "run",
        "--rm",
        "-i",
        "--volume",
        "prometheus_data:/prometheus",
        "--entrypoint",
        "/bin/sh",
        PROMETHEUS,
        "-c",
    )
    make = (
        "'cat > /tmp/history.txt && promtool tsdb create-blocks-from openmetrics --quiet /tmp/history.txt /prometheus'"
    )
    ssh(SOURCE, *run, make, stdin=seeds.prometheus_history())


def state_of_services() -> dict[str, str]:
    """Return each container on the source with its state."""
    text = ssh(SOURCE, "docker", "ps", "--all", "--format", "'{{json .}}'", deadline_s=LOOK_S).decode()
    return {row["Names"]: row["Status"] for row in map(json.loads, text.splitlines())}
