"""Damage done on purpose to applications: the fingerprint names what is lost, smoke what no longer works.

All run in containers of their own from the lab's images, on one postgres, so that what the damage leaves behind goes
with them.
"""

# ruff: noqa: S608 (SQL is made of our own constants)

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import docker
import pytest
import requests

from engine.verdict import Judgement
from lab.products.grafana_seed import make_dashboards, provisioning
from lab.products.keycloak_seed import CLIENT, REALM, make_realms
from lab.products.metabase_seed import make_questions
from lab.products.n8n_seed import PROBE_PATH, make_workflows
from lab.products.waha_seed import make_sessions
from lab.settings import GRAFANA, KEYCLOAK, METABASE, N8N, POSTGRES, PREFIX, PROMETHEUS, REDIS, WAHA, local_name
from services.fingerprints.compare import compare_fingerprints
from services.keycloak.product import admin_api
from tests.lab.at_container import Subject
from tests.lab.at_hand import wait_for

NONCE: Final = "longshore-0815"
PASSWORD: Final = "made-up-for-this-test"
KEY: Final = "0123456789abcdef0123456789abcdef"
START_S: Final = 240.0
SCRAPED: Final = (
    "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: self, static_configs: [{targets: "
    "['127.0.0.1:9090']}]}]\n"
)
SHOP: Final = """
CREATE TABLE customers AS SELECT i AS id, date '1970-01-01' AS born FROM generate_series(1, 20) i;
CREATE TABLE revenue AS SELECT i AS customer_id, i * 2 AS total FROM generate_series(1, 60) i;
CREATE TABLE orders AS SELECT i AS id, 'open' AS state FROM generate_series(1, 10) i;
CREATE TABLE products AS SELECT 'SKU-1' AS sku, 1 AS price;
CREATE TABLE order_lines AS SELECT 1 AS id, 1 AS order_id, 5 AS quantity;
CREATE TABLE documents AS SELECT 1 AS id;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reporting;
"""

pytestmark = [pytest.mark.lab, pytest.mark.full, pytest.mark.usefixtures("all_images")]


class Machine:
    """Containers on this machine's engine, on a network of their own, removed together."""

    def __init__(self, stack: ExitStack) -> None:
        self.engine = docker.from_env(timeout=60)
        self.stack = stack
        self.network = self.engine.networks.create(
            f"{PREFIX}-damaged-{secrets.token_hex(3)}", labels={"longshore.lab": "1"}
        )
        stack.callback(self.network.remove)

    def run(self, name: str, image: str, port: int, **given: Any) -> Subject:
        """Start a product under its own name; it is not waited for."""
        options, values = given.pop("options", {}), given.pop("secret_values", {})
        container = self.engine.containers.create(
            local_name(image), name=f"{self.network.name}-{name}", labels={"longshore.lab": "1"}, **given
        )
        self.stack.callback(container.remove, force=True, v=True)
        self.engine.networks.get("bridge").disconnect(container)
        self.network.connect(container, aliases=[name])
        container.start()
        subject = Subject(name, container, port)
        subject.options, subject.secrets = options, values
        return subject


def _ready(subject: Subject) -> None:
    wait_for(f"{subject.name} ready", subject._is_ready, START_S)


def _url(subject: Subject, port: int | None = None) -> str:
    return subject.at().at_port(port or subject.port).url("").rstrip("/")


def _sql(postgres: Subject, database: str, script: str) -> str:
    code, output = postgres.container.exec_run(
        ["psql", "-qAtU", "postgres", "-v", "ON_ERROR_STOP=1", database, "-c", script]
    )
    assert code == 0, output.decode()
    return str(output.decode()).strip()


@pytest.fixture(scope="module")
def machine(all_images: None) -> Iterator[Machine]:
    """Return an empty machine."""
    with ExitStack() as stack:
        yield Machine(stack)


@pytest.fixture(scope="module")
def postgres(machine: Machine) -> Subject:
    """Return the database that the applications share."""
    env = {"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "shop"}
    subject = machine.run(
        "postgres", POSTGRES, 5432, environment=env, options={"user": "postgres"}, secret_values={"password": PASSWORD}
    )
    _ready(subject)
    for name in ("keycloak", "n8n", "metabase", "reporting"):
        _sql(subject, "postgres", f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    for name in ("keycloak", "n8n", "metabase"):
        _sql(subject, "postgres", f"CREATE DATABASE {name} OWNER {name}")
    _sql(subject, "shop", SHOP)
    return subject


@pytest.fixture(scope="module")
def starting(machine: Machine, postgres: Subject) -> dict[str, Subject]:
    """Start the two slow ones at once."""
    keycloak = {
        "KC_DB": "postgres",
        "KC_DB_URL": "jdbc:postgresql://postgres:5432/keycloak",
        "KC_DB_USERNAME": "keycloak",
        "KC_DB_PASSWORD": PASSWORD,
        "KC_HEALTH_ENABLED": "true",
        "KC_METRICS_ENABLED": "true",
        "KC_HTTP_ENABLED": "true",
        "KC_HOSTNAME": "https://sso.example.org",
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
        "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
    }
    login = {"login": {"realm": REALM, "client": CLIENT, "user": "probe"}, "health": {"path": "/health/ready"}}
    n8n = {
        "DB_TYPE": "postgresdb",
        "DB_POSTGRESDB_HOST": "postgres",
        "DB_POSTGRESDB_DATABASE": "n8n",
        "DB_POSTGRESDB_USER": "n8n",
        "DB_POSTGRESDB_PASSWORD": PASSWORD,
        "N8N_ENCRYPTION_KEY": KEY,
        "N8N_SECURE_COOKIE": "false",
        "N8N_DIAGNOSTICS_ENABLED": "false",
    }
    machine.run("redis", REDIS, 6379, command=["redis-server", "--requirepass", PASSWORD])
    return {
        "keycloak": machine.run(
            "keycloak",
            KEYCLOAK,
            9000,
            command=["start"],
            environment=keycloak,
            options=login,
            secret_values={"admin_password": PASSWORD, "login_password": PASSWORD},
        ),
        "n8n": machine.run(
            "n8n",
            N8N,
            5678,
            environment=n8n,
            options={"probe_webhook": PROBE_PATH, "test_credentials": ["Shop database"]},
            secret_values={"encryption_key": KEY},
        ),
    }


@pytest.fixture(scope="module")
def grafana(machine: Machine, starting: dict[str, Subject], tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Return dashboards over a real Prometheus."""
    folder = tmp_path_factory.mktemp("grafana")
    folder.chmod(0o755)
    (folder / "shop.yaml").write_text(provisioning(("prometheus",)), encoding="utf-8")
    (folder / "prometheus.yml").write_text(SCRAPED, encoding="utf-8")
    mount = {str(folder): {"bind": "/etc/prometheus", "mode": "ro"}}
    _ready(machine.run("prometheus", PROMETHEUS, 9090, volumes=mount))
    mounts = {
        str(folder): {"bind": "/etc/grafana/provisioning/datasources", "mode": "ro"},
        f"{machine.network.name}-g": {"bind": "/var/lib/grafana"},
    }
    machine.stack.callback(lambda: machine.engine.volumes.get(f"{machine.network.name}-g").remove())
    subject = machine.run(
        "grafana",
        GRAFANA,
        3000,
        volumes=mounts,
        environment={"GF_SECURITY_ADMIN_PASSWORD": PASSWORD},
        secret_values={"admin_password": PASSWORD},
    )
    _ready(subject)
    make_dashboards(_url(subject), PASSWORD, ("prometheus",))
    wait_for("grafana's data source answers", lambda: _smoke(subject).passed, 30.0)
    return subject


@pytest.fixture(scope="module")
def metabase(machine: Machine, starting: dict[str, Subject]) -> Subject:
    """Return questions over the shop."""
    env = {
        "MB_DB_TYPE": "postgres",
        "MB_DB_HOST": "postgres",
        "MB_DB_DBNAME": "metabase",
        "MB_DB_USER": "metabase",
        "MB_DB_PASS": PASSWORD,
        "MB_ENCRYPTION_SECRET_KEY": KEY,
    }
    subject = machine.run("metabase", METABASE, 3000, environment=env, secret_values={"encryption_key": KEY})
    _ready(subject)
    subject.secrets["api_key"] = make_questions(_url(subject), {"metabase_owner": PASSWORD, "reporting": PASSWORD})
    return subject


@pytest.fixture(scope="module")
def waha(machine: Machine, starting: dict[str, Subject]) -> Subject:
    """Return two sessions."""
    volume = f"{machine.network.name}-w"
    machine.stack.callback(lambda: machine.engine.volumes.get(volume).remove())
    subject = machine.run(
        "waha",
        WAHA,
        3000,
        environment={"WAHA_API_KEY": PASSWORD},
        volumes={volume: {"bind": "/app/.sessions"}},
        secret_values={"api_key": PASSWORD},
        options={"sessions": ["default", "support"]},
    )
    _ready(subject)
    make_sessions(_url(subject), PASSWORD)
    return subject


@pytest.fixture(scope="module")
def n8n(starting: dict[str, Subject], grafana: Subject, metabase: Subject, waha: Subject) -> Subject:
    """Return workflows; the quick ones come first, while it starts."""
    subject = starting["n8n"]
    _ready(subject)
    subject.secrets["api_key"] = make_workflows(
        _url(subject), {"n8n_owner": "Owner-12345", "reporting": PASSWORD, "redis": PASSWORD}
    )
    return subject


@pytest.fixture(scope="module")
def keycloak(starting: dict[str, Subject], n8n: Subject) -> Subject:
    """Return realms."""
    subject = starting["keycloak"]
    _ready(subject)
    make_realms(_url(subject, 8080), PASSWORD, PASSWORD)
    return subject


def _smoke(subject: Subject) -> Judgement:
    return subject.product.smoke(subject.at(), NONCE)


def _lost(subject: Subject, damage: Callable[[], object]) -> str:
    """Return what the fingerprint says after the damage; without it, it says that all is equal."""
    before = subject.product.fingerprint(subject.at(), None)
    damage()
    seen = compare_fingerprints(before, subject.product.fingerprint(subject.at(), before))
    assert not seen.passed, seen.text
    assert len(seen.details) == 1, seen.details
    return seen.text


def _broken(subject: Subject, damage: Callable[[], object]) -> str:
    """Return what smoke says after the damage; before it, it passes."""
    good = _smoke(subject)
    assert good.passed, good.text
    damage()
    seen = _smoke(subject)
    assert not seen.passed, seen.text
    return seen.text


def _in_sqlite(subject: Subject, root: str, file: str, script: str) -> None:
    with sqlite3.connect(subject.volume(root) / file, timeout=10) as database:
        database.execute(script)


def test_lost_panel_is_named(grafana: Subject) -> None:
    """A dashboard that lost a panel without a new version is named; no other is."""
    lose = "UPDATE dashboard SET data = json_remove(data, '$.panels[1]') WHERE uid = 'shop-3'"

    assert "dashboards: changed Shop 3 (shop-3)" in _lost(
        grafana, lambda: _in_sqlite(grafana, "/var/lib/grafana", "grafana.db", lose)
    )


def test_data_source_on_the_old_address_is_named(grafana: Subject) -> None:
    """A data source whose address nobody serves any more is named, with the address."""
    move = "UPDATE data_source SET url = 'http://127.0.0.1:9' WHERE uid = 'prometheus'"
    text = _broken(grafana, lambda: _in_sqlite(grafana, "/var/lib/grafana", "grafana.db", move))

    assert "data source Prometheus (http://127.0.0.1:9): health 400" in text


def test_card_that_left_its_dashboard_is_named(metabase: Subject, postgres: Subject) -> None:
    """A dashboard that lost a card is named."""
    lose = (
        "DELETE FROM report_dashboardcard WHERE dashboard_id = 2 AND card_id = (SELECT max(card_id) FROM "
        "report_dashboardcard WHERE dashboard_id = 2)"
    )

    assert "dashboards: changed Shop 2 (2)" in _lost(metabase, lambda: _sql(postgres, "metabase", lose))


def test_database_that_refuses_metabase_is_named(metabase: Subject, postgres: Subject) -> None:
    """A question whose database no longer lets Metabase in is named, with the reason."""
    text = _broken(metabase, lambda: _sql(postgres, "postgres", "ALTER ROLE reporting PASSWORD 'another'"))
    _sql(postgres, "postgres", f"ALTER ROLE reporting PASSWORD '{PASSWORD}'")

    assert "of database Shop: failed: " in text
    assert "password authentication failed" in text


def test_changed_session_is_named(waha: Subject) -> None:
    """A session whose webhook leads elsewhere is named."""
    change = (
        "UPDATE sessions SET config = replace(config, 'http://n8n:5678', 'http://elsewhere:5678') WHERE name = "
        "'support'"
    )

    assert "sessions: changed support" in _lost(
        waha, lambda: _in_sqlite(waha, "/app/.sessions", "webjs/waha.sqlite3", change)
    )


def test_session_without_its_keys_is_named(waha: Subject) -> None:
    """A session that lost its keys wants a code again, and is named."""

    def lose() -> None:
        (waha.volume("/app/.sessions") / "webjs" / "default" / "creds.json").unlink()
        requests.post(
            f"{_url(waha)}/api/sessions/default/restart", headers={"X-Api-Key": PASSWORD}, timeout=10
        ).raise_for_status()

    assert "session default: SCAN_QR_CODE" in _broken(waha, lose)


def test_deleted_workflow_is_named(n8n: Subject) -> None:
    """One deleted workflow is named; the other twelve are not."""
    headers = {"X-N8N-API-KEY": n8n.secrets["api_key"]}
    found = requests.get(f"{_url(n8n)}/api/v1/workflows", headers=headers, timeout=10).json()["data"]
    gone = next(item for item in found if item["name"] == "Order step 4")
    text = _lost(
        n8n,
        lambda: requests.delete(
            f"{_url(n8n)}/api/v1/workflows/{gone['id']}", headers=headers, timeout=10
        ).raise_for_status(),
    )

    assert f"workflows: missing Order step 4 ({gone['id']})" in text


def test_credential_of_another_key_is_named(n8n: Subject, postgres: Subject) -> None:
    """With a credential that another encryption key wrote, the webhook that needs it fails and says so."""
    other = n8n.shell(
        """printf '{"host":"postgres"}' |
        openssl enc -aes-256-cbc -md md5 -salt -pass pass:another-key -base64 -A 2>/dev/null"""
    ).strip()
    damage = f"UPDATE credentials_entity SET data = '{other}' WHERE name = 'Shop database'"
    text = _broken(n8n, lambda: _sql(postgres, "n8n", damage))

    assert f"POST /webhook/{PROBE_PATH}: 500" in text
    with pytest.raises(AssertionError, match="can't be decrypted"):
        n8n.product.fingerprint(n8n.at(), None)


def test_lost_user_is_named(keycloak: Subject) -> None:
    """One user less in one realm is named; no other part differs."""

    def lose() -> None:
        api = admin_api(keycloak.at())
        user = api.get(f"/admin/realms/{REALM}/users", username="person0007", exact="true")[0]
        api.ask("DELETE", f"/admin/realms/{REALM}/users/{user['id']}")

    assert f"{REALM}: users: missing {keycloak.at().sealed('person0007')}" in _lost(keycloak, lose)


def test_disabled_client_is_named(keycloak: Subject) -> None:
    """Nobody can log in with a client that is switched off: it is named, with what Keycloak says."""

    def disable() -> None:
        api = admin_api(keycloak.at())
        client = api.get(f"/admin/realms/{REALM}/clients", clientId=CLIENT)[0]
        api.ask("PUT", f"/admin/realms/{REALM}/clients/{client['id']}", json={**client, "enabled": False})

    text = _broken(keycloak, disable)

    assert f"client {CLIENT} of realm {REALM}: 401" in text
    assert "invalid_client" in text
