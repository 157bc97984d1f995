"""A stand-in for Metabase: the subset of its HTTP API that longshore uses, its state in the application database in postgres.

Written from the published documents (metabase.com/docs/latest/api/<page> and .../databases/encrypting-details-at-rest); the
page is named at each endpoint. It is not Metabase: only native queries, no permissions, a sealing scheme of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

VERSION = "v0.56.4"
KEY = os.environ.get("MB_ENCRYPTION_SECRET_KEY", "").encode()
SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (key text PRIMARY KEY, value text);
CREATE TABLE IF NOT EXISTS databasechangelog (id text, author text, filename text, dateexecuted timestamptz);
CREATE TABLE IF NOT EXISTS core_user (id serial PRIMARY KEY, email text UNIQUE, first_name text, is_superuser boolean, password text, password_salt text);
CREATE TABLE IF NOT EXISTS core_session (id text PRIMARY KEY, user_id int, created_at timestamptz DEFAULT now());
CREATE TABLE IF NOT EXISTS api_key (id serial PRIMARY KEY, name text, key_hash text);
CREATE TABLE IF NOT EXISTS metabase_database (id serial PRIMARY KEY, name text, engine text, details text);
CREATE TABLE IF NOT EXISTS collection (id serial PRIMARY KEY, name text, entity_id text);
CREATE TABLE IF NOT EXISTS report_card (id serial PRIMARY KEY, entity_id text, name text, display text, database_id int, dataset_query text,
  collection_id int, archived boolean DEFAULT false, updated_at timestamptz DEFAULT now());
CREATE TABLE IF NOT EXISTS report_dashboard (id serial PRIMARY KEY, entity_id text, name text, collection_id int, archived boolean DEFAULT false,
  updated_at timestamptz DEFAULT now());
CREATE TABLE IF NOT EXISTS report_dashboardcard (id serial PRIMARY KEY, dashboard_id int, card_id int, row int, col int, size_x int, size_y int);
INSERT INTO databasechangelog SELECT 'v56.2025-01-01T00:00:00', 'stand-in', 'migrations/056', now() WHERE NOT EXISTS (SELECT FROM databasechangelog);
"""


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(str(body))
        self.status, self.body = status, body


def log(level, message):
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {level} metabase.stand-in :: {message}", flush=True)


def connect():
    e = os.environ
    return psycopg.connect(
        host=e["MB_DB_HOST"],
        port=e.get("MB_DB_PORT", "5432"),
        dbname=e["MB_DB_DBNAME"],
        user=e["MB_DB_USER"],
        password=e["MB_DB_PASS"],
        connect_timeout=3,
        autocommit=True,
        row_factory=dict_row,
    )


def rows(sql, *values):
    with connect() as connection:
        return connection.execute(sql, values).fetchall()


def write(sql, *values):
    with connect() as connection:
        answer = connection.execute(sql, values)
        return answer.fetchone() if answer.description else None


def seal(text):
    if not KEY:
        return text
    nonce = os.urandom(16)
    body = bytes(a ^ b for a, b in zip(text.encode(), hashlib.shake_256(KEY + nonce).digest(len(text.encode()))))
    return base64.b64encode(nonce + hmac.new(KEY, nonce + body, "sha256").digest() + body).decode()


def unseal(text):
    """databases/encrypting-details-at-rest: without the key, or with another one, details can't be read."""
    if text.startswith("{"):
        return text
    raw = base64.b64decode(text)
    nonce, tag, body = raw[:16], raw[16:48], raw[48:]
    if not KEY or not hmac.compare_digest(tag, hmac.new(KEY, nonce + body, "sha256").digest()):
        log(
            "WARN",
            "Cannot decrypt encrypted String. Have you changed or forgot to set MB_ENCRYPTION_SECRET_KEY? Message seems corrupt or manipulated",
        )
        raise Refused(
            500, "Cannot decrypt encrypted String. Have you changed or forgot to set MB_ENCRYPTION_SECRET_KEY?"
        )
    return bytes(a ^ b for a, b in zip(body, hashlib.shake_256(KEY + nonce).digest(len(body)))).decode()


def start():
    """Make the application database, and refuse one that another key encrypted (src/metabase/app_db/setup.clj)."""
    with connect() as connection:
        connection.execute(SCHEMA)
    check = rows("SELECT value FROM setting WHERE key = 'encryption-check'")
    if not check:
        write("INSERT INTO setting VALUES ('encryption-check', %s)", seal(json.dumps({"id": str(uuid.uuid4())})))
        return
    if not check[0]["value"].startswith("{") and not KEY:
        raise SystemExit(
            _gone("Database is encrypted but the MB_ENCRYPTION_SECRET_KEY environment variable was NOT set")
        )
    try:
        unseal(check[0]["value"])
    except Refused:
        raise SystemExit(
            _gone("Database was encrypted with a different key than the MB_ENCRYPTION_SECRET_KEY environment contains")
        ) from None


def _gone(message):
    log("ERROR", f"Metabase Initialization FAILED: {message}")
    return 1


def password_hash(password, salt):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 20000).hex()


def setup(body, _m):  # api/setup: the token is in session/properties
    if rows("SELECT 1 FROM core_user"):
        raise Refused(
            403, "The /api/setup route can only be used to create the first user, however a user currently exists."
        )
    user, salt = body["user"], secrets.token_hex(8)
    made = write(
        "INSERT INTO core_user (email, first_name, is_superuser, password, password_salt) VALUES (%s,%s,true,%s,%s) RETURNING id",
        user["email"],
        user.get("first_name"),
        password_hash(user["password"], salt),
        salt,
    )
    return new_session(made["id"])


def new_session(user_id):
    identity = str(uuid.uuid4())
    write("INSERT INTO core_session (id, user_id) VALUES (%s, %s)", identity, user_id)
    return {"id": identity}


def log_in(body, _m):  # api/session
    found = rows("SELECT * FROM core_user WHERE email = %s", body["username"])
    if not found or not hmac.compare_digest(
        found[0]["password"], password_hash(body["password"], found[0]["password_salt"])
    ):
        raise Refused(401, {"errors": {"password": "did not match stored password"}})
    return new_session(found[0]["id"])


def make_key(body, _m):  # api/api-key
    key = "mb_" + base64.b64encode(os.urandom(32)).decode()
    write(
        "INSERT INTO api_key (name, key_hash) VALUES (%s, %s)", body["name"], hashlib.sha256(key.encode()).hexdigest()
    )
    return {"name": body["name"], "unmasked_key": key, "masked_key": key[:7] + "********"}


def make_database(body, _m):  # api/database
    made = write(
        "INSERT INTO metabase_database (name, engine, details) VALUES (%s,%s,%s) RETURNING id",
        body["name"],
        body["engine"],
        seal(json.dumps(body["details"])),
    )
    return {"id": made["id"], "name": body["name"]}


def shown_database(d):
    details = json.loads(unseal(d["details"]))
    return {
        "id": d["id"],
        "name": d["name"],
        "engine": d["engine"],
        "details": {**details, "password": "**MetabasePass**"},
    }


def make_card(body, _m):  # api/card
    made = write(
        "INSERT INTO report_card (entity_id, name, display, database_id, dataset_query, collection_id) VALUES (%s,%s,%s,%s,%s,%s) RETURNING id",
        secrets.token_urlsafe(15)[:21],
        body["name"],
        body["display"],
        body["dataset_query"]["database"],
        json.dumps(body["dataset_query"]),
        body.get("collection_id"),
    )
    return card(made["id"])


def card(identity):
    found = rows("SELECT * FROM report_card WHERE id = %s", identity)
    if not found:
        raise Refused(404, "Not found.")
    c = found[0]
    return {
        **c,
        "dataset_query": json.loads(c["dataset_query"]),
        "updated_at": c["updated_at"].isoformat(),
        "visualization_settings": {},
    }


def run_card(identity):  # api/card, "POST /api/card/:card-id/query": 202 with status completed or failed
    asked = card(identity)
    query = asked["dataset_query"]
    started = time.monotonic()
    found = rows("SELECT * FROM metabase_database WHERE id = %s", query["database"])
    if not found:
        raise Refused(404, "Not found.")
    details = json.loads(unseal(found[0]["details"]))
    try:
        with psycopg.connect(
            host=details["host"],
            port=details["port"],
            dbname=details["dbname"],
            user=details["user"],
            password=details["password"],
            connect_timeout=5,
            options="-c statement_timeout=20000 -c default_transaction_read_only=on",
        ) as connection:
            cursor = connection.execute(query["native"]["query"])
            names = [c.name for c in cursor.description]
            values = [list(map(str, row)) for row in cursor.fetchmany(2000)]
    except psycopg.Error as error:
        return {
            "status": "failed",
            "class": type(error).__name__,
            "error": str(error).strip(),
            "row_count": 0,
            "data": {"rows": [], "cols": []},
        }
    return {
        "status": "completed",
        "row_count": len(values),
        "running_time": int((time.monotonic() - started) * 1000),
        "database_id": query["database"],
        "data": {"rows": values, "cols": [{"name": name} for name in names]},
    }


def make_dashboard(body, _m):  # api/dashboard
    made = write(
        "INSERT INTO report_dashboard (entity_id, name, collection_id) VALUES (%s,%s,%s) RETURNING id",
        secrets.token_urlsafe(15)[:21],
        body["name"],
        body.get("collection_id"),
    )
    return dashboard(made["id"])


def put_dashboard(body, match):  # api/dashboard, "PUT /api/dashboard/:id" with dashcards
    write("DELETE FROM report_dashboardcard WHERE dashboard_id = %s", int(match[1]))
    for c in body.get("dashcards", []):
        write(
            "INSERT INTO report_dashboardcard (dashboard_id, card_id, row, col, size_x, size_y) VALUES (%s,%s,%s,%s,%s,%s)",
            int(match[1]),
            c["card_id"],
            c["row"],
            c["col"],
            c["size_x"],
            c["size_y"],
        )
    write("UPDATE report_dashboard SET updated_at = now() WHERE id = %s", int(match[1]))
    return dashboard(int(match[1]))


def dashboard(identity):
    found = rows("SELECT * FROM report_dashboard WHERE id = %s", identity)
    if not found:
        raise Refused(404, "Not found.")
    cards = rows("SELECT * FROM report_dashboardcard WHERE dashboard_id = %s ORDER BY row, col, id", identity)
    return {**found[0], "updated_at": found[0]["updated_at"].isoformat(), "dashcards": cards}


def delete_card(identity):  # api/card, "DELETE /api/card/:id"
    card(identity)
    write("DELETE FROM report_card WHERE id = %s", identity)


GET = {
    r"/api/database": lambda m: {
        "data": [shown_database(d) for d in rows("SELECT * FROM metabase_database ORDER BY id")],
        "total": len(rows("SELECT 1 FROM metabase_database")),
    },
    r"/api/card": lambda m: [card(c["id"]) for c in rows("SELECT id FROM report_card WHERE NOT archived ORDER BY id")],
    r"/api/card/(\d+)": lambda m: card(int(m[1])),
    r"/api/dashboard": lambda m: [
        {k: v for k, v in dashboard(d["id"]).items() if k != "dashcards"}
        for d in rows("SELECT id FROM report_dashboard WHERE NOT archived ORDER BY id")
    ],
    r"/api/dashboard/(\d+)": lambda m: dashboard(int(m[1])),
    r"/api/collection": lambda m: [
        {"id": "root", "name": "Our analytics"},
        *rows("SELECT id, name, entity_id FROM collection ORDER BY id"),
    ],
    r"/api/user": lambda m: {
        "data": rows("SELECT id, email, first_name, is_superuser FROM core_user ORDER BY id"),
        "total": len(rows("SELECT 1 FROM core_user")),
    },
}
POST = {
    r"/api/api-key": (200, make_key),
    r"/api/database": (200, make_database),
    r"/api/card": (200, make_card),
    r"/api/card/(\d+)/query": (202, lambda body, m: run_card(int(m[1]))),
    r"/api/dashboard": (200, make_dashboard),
}
OPEN = {r"/api/setup": (200, setup), r"/api/session": (200, log_in)}


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def do_PUT(self):
        self.answer("PUT")

    def do_DELETE(self):
        self.answer("DELETE")

    def answer(self, method):
        path = urlsplit(self.path).path.rstrip("/")
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, body = self.route(method, path, json.loads(raw) if raw.strip() else {})
        except Refused as error:
            status, body = error.status, error.body
        except psycopg.Error as error:
            log(
                "ERROR",
                f"Unable to connect to Metabase postgres DB. {str(error).strip().splitlines()[0] if str(error) else type(error).__name__}",
            )
            status, body = 503, {"message": "Unable to connect to Metabase postgres DB."}
        except (ValueError, KeyError, TypeError) as error:
            status, body = 400, {"errors": {"body": f"{type(error).__name__}"}}
        self.send(status, body)

    def route(self, method, path, body):
        if path == "/api/health":  # src/metabase/server/routes.clj
            rows("SELECT 1")
            return 200, {"status": "ok"}
        if path == "/api/session/properties":  # api/session
            return 200, {
                "version": {"tag": VERSION},
                "has-user-setup": bool(rows("SELECT 1 FROM core_user")),
                "setup-token": "stand-in",
            }
        for pattern, (status, action) in OPEN.items() if method == "POST" else ():
            if match := re.fullmatch(pattern, path):
                return status, action(body, match)
        self.authenticate()
        for pattern, (status, action) in POST.items() if method == "POST" else ():
            if match := re.fullmatch(pattern, path):
                return status, action(body, match)
        for pattern, look in GET.items() if method == "GET" else ():
            if match := re.fullmatch(pattern, path):
                return 200, look(match)
        if method == "PUT" and (match := re.fullmatch(r"/api/dashboard/(\d+)", path)):
            return 200, put_dashboard(body, match)
        if method == "DELETE" and (match := re.fullmatch(r"/api/card/(\d+)", path)):
            delete_card(int(match[1]))
            return 204, None
        return 404, "API endpoint does not exist."

    def authenticate(self):  # people-and-groups/api-keys (x-api-key), api/session (X-Metabase-Session)
        key, session = self.headers.get("x-api-key"), self.headers.get("X-Metabase-Session")
        if key and rows("SELECT 1 FROM api_key WHERE key_hash = %s", hashlib.sha256(key.encode()).hexdigest()):
            return
        if session and rows("SELECT 1 FROM core_session WHERE id = %s", session):
            return
        raise Refused(401, "Unauthenticated")

    def send(self, status, body):
        data = b"" if body is None else json.dumps(body, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Stand-In", "metabase")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing: requests are not news."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    deadline = time.monotonic() + 60
    while True:
        try:
            start()
            break
        except psycopg.OperationalError as error:
            log("ERROR", f"Unable to connect to Metabase postgres DB. {str(error).strip().splitlines()[0]}")
            if time.monotonic() > deadline:
                sys.exit(1)
            time.sleep(1)
    log("INFO", "Metabase Initialization COMPLETE (a stand-in, not Metabase)")
    ThreadingHTTPServer(("", 3000), Answers).serve_forever()
