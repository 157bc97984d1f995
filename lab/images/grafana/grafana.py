"""A stand-in for Grafana: the subset of its HTTP API that longshore uses, kept in /var/lib/grafana/grafana.db.

Written from the published documents (grafana.com/docs/grafana/latest/developers/http_api/<page>); the page is named at
each endpoint. It is not Grafana: no panels are drawn, no alert is ever sent, secrets are sealed by a scheme of its own.
"""

from __future__ import annotations

import base64
import datetime
import glob
import hashlib
import hmac
import json
import os
import re
import signal
import sqlite3
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

DATA = "/var/lib/grafana"
PROVISIONING = "/etc/grafana/provisioning/datasources/*.yaml"
VERSION = "12.2.0"
DEFAULT_KEY = "SW2YcwTIb9zpOOhoPsMm"  # documented default of security.secret_key
PASSWORD = os.environ.get("GF_SECURITY_ADMIN_PASSWORD", "admin")
KEY = os.environ.get("GF_SECURITY_SECRET_KEY", DEFAULT_KEY).encode()
LOCK = threading.RLock()
SCHEMA = """
CREATE TABLE IF NOT EXISTS dashboard (id INTEGER PRIMARY KEY, uid TEXT UNIQUE, version INTEGER, slug TEXT, title TEXT, data TEXT,
  folder_uid TEXT, created TEXT, updated TEXT);
CREATE TABLE IF NOT EXISTS folder (id INTEGER PRIMARY KEY, uid TEXT UNIQUE, title TEXT);
CREATE TABLE IF NOT EXISTS data_source (id INTEGER PRIMARY KEY, uid TEXT UNIQUE, name TEXT, type TEXT, url TEXT, access TEXT, is_default INTEGER,
  json_data TEXT, secure_json_data TEXT, read_only INTEGER);
CREATE TABLE IF NOT EXISTS alert_rule (id INTEGER PRIMARY KEY, uid TEXT UNIQUE, title TEXT, data TEXT, updated TEXT);
CREATE TABLE IF NOT EXISTS alert_configuration (name TEXT PRIMARY KEY, data TEXT);
"""


def log(level, message, **fields):
    print(
        " ".join([f"logger=stand-in level={level}", f'msg="{message}"', *(f'{k}="{v}"' for k, v in fields.items())]),
        flush=True,
    )


def seal(text):
    nonce = os.urandom(12)
    stream = hashlib.shake_256(KEY + nonce).digest(len(text.encode()))
    body = bytes(a ^ b for a, b in zip(text.encode(), stream))
    return base64.b64encode(nonce + hmac.new(KEY, nonce + body, "sha256").digest() + body).decode()


def unseal(text):
    raw = base64.b64decode(text)
    nonce, tag, body = raw[:12], raw[12:44], raw[44:]
    if not hmac.compare_digest(tag, hmac.new(KEY, nonce + body, "sha256").digest()):
        log("error", "failed to decrypt secure json data")
        raise Refused(500, "failed to decrypt data source secrets: cipher: message authentication failed")
    return bytes(a ^ b for a, b in zip(body, hashlib.shake_256(KEY + nonce).digest(len(body)))).decode()


class Refused(Exception):
    def __init__(self, status, message, /, **more):
        super().__init__(message)
        self.status, self.body = status, {"message": message, **more}


def open_database():
    database = sqlite3.connect(f"{DATA}/grafana.db", check_same_thread=False, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode=DELETE")
    database.executescript(SCHEMA)
    return database


def rows(sql, *values):
    with LOCK:
        return [dict(row) for row in DB.execute(sql, values).fetchall()]


def write(sql, *values):
    with LOCK:
        try:
            return DB.execute(sql, values)
        except sqlite3.OperationalError as error:
            log("error", str(error))
            raise Refused(500, f"{error}") from None


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def provision():
    """Data sources of the files win over what was edited, at each start (administration/provisioning)."""
    for path in sorted(glob.glob(PROVISIONING)):
        for source in (yaml.safe_load(open(path, encoding="utf-8")) or {}).get("datasources") or []:
            secrets = {k: seal(os.path.expandvars(v)) for k, v in (source.get("secureJsonData") or {}).items()}
            write("DELETE FROM data_source WHERE uid = ?", source["uid"])
            write(
                "INSERT INTO data_source (uid, name, type, url, access, is_default, json_data, secure_json_data, read_only) VALUES (?,?,?,?,?,?,?,?,1)",
                source["uid"],
                source["name"],
                source["type"],
                source["url"],
                source.get("access", "proxy"),
                int(source.get("isDefault", False)),
                json.dumps(source.get("jsonData") or {}),
                json.dumps(secrets),
            )


def fetch(source, path, **params):
    """Ask a data source; like the real one, its secrets are decrypted for every question."""
    for sealed in json.loads(source["secure_json_data"] or "{}").values():
        unseal(sealed)
    url = source["url"].rstrip("/") + path + "?" + urllib.parse.urlencode(params)
    with urllib.request.urlopen(url, timeout=8) as answer:
        return json.load(answer)


def data_source(uid):
    found = rows("SELECT * FROM data_source WHERE uid = ?", uid)
    if not found:
        raise Refused(404, "Data source not found")
    return found[0]


def shown_source(s):
    return {
        "id": s["id"],
        "uid": s["uid"],
        "orgId": 1,
        "name": s["name"],
        "type": s["type"],
        "typeName": s["type"].title(),
        "access": s["access"],
        "url": s["url"],
        "user": "",
        "database": "",
        "basicAuth": False,
        "isDefault": bool(s["is_default"]),
        "jsonData": json.loads(s["json_data"]),
        "readOnly": bool(s["read_only"]),
    }


def health(uid):  # data_source, "Check data source health by uid"
    source = data_source(uid)
    ask = {
        "prometheus": ("/api/v1/query", {"query": "1+1"}),
        "loki": ("/loki/api/v1/query", {"query": "vector(1)+vector(1)"}),
    }
    if source["type"] not in ask:
        raise Refused(404, "Plugin not found")
    path, params = ask[source["type"]]
    try:
        fetch(source, path, **params)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Refused(400, f"{getattr(error, 'reason', error)}", status="ERROR") from None
    return {
        "status": "OK",
        "message": "Successfully queried the Prometheus API."
        if source["type"] == "prometheus"
        else "Data source successfully connected.",
    }


def when(text):
    """from/to: milliseconds or now-<n><unit> (data_source, "Query a data source")."""
    current = datetime.datetime.now().timestamp()
    match = re.fullmatch(r"now(?:-(\d+)([smhd]))?", str(text))
    if match:
        return current - (int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match[1] else 0)
    return float(text) / 1000


def query(body):  # data_source, "Query a data source"
    results, worst = {}, 200
    for asked in body["queries"]:
        source = data_source(asked["datasource"]["uid"])
        start, end = when(body["from"]), when(body["to"])
        try:
            frames = (
                _metrics(source, asked, start, end)
                if source["type"] == "prometheus"
                else _lines(source, asked, start, end)
            )
            results[asked["refId"]] = {"status": 200, "frames": frames}
        except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
            worst = 400 if isinstance(error, urllib.error.HTTPError) else 502
            results[asked["refId"]] = {"status": worst, "error": str(getattr(error, "reason", error)), "frames": []}
    return worst, {"results": results}


def _metrics(source, asked, start, end):
    step = max(1, int((end - start) / 100))
    found = fetch(source, "/api/v1/query_range", query=asked["expr"], start=start, end=end, step=step)["data"]["result"]
    return [
        _frame(
            asked["refId"],
            series["metric"],
            "number",
            [[int(float(t) * 1000) for t, _ in series["values"]], [float(v) for _, v in series["values"]]],
        )
        for series in found
    ]


def _lines(source, asked, start, end):
    found = fetch(
        source, "/loki/api/v1/query_range", query=asked["expr"], start=int(start * 1e9), end=int(end * 1e9), limit=100
    )["data"]["result"]
    return [
        _frame(
            asked["refId"],
            stream.get("stream") or stream.get("metric"),
            "string",
            [[int(int(t) / 1e6) for t, _ in stream["values"]], [line for _, line in stream["values"]]],
        )
        for stream in found
    ]


def _frame(ref, labels, kind, values):
    fields = [{"name": "Time", "type": "time"}, {"name": "Value", "type": kind, "labels": labels}]
    return {"schema": {"refId": ref, "fields": fields}, "data": {"values": values}}


def search(params):  # folder_dashboard_search
    limit, page = int(params.get("limit", ["1000"])[0]), int(params.get("page", ["1"])[0])
    found = rows("SELECT * FROM dashboard ORDER BY title LIMIT ? OFFSET ?", limit, limit * (page - 1))
    return [
        {
            "id": d["id"],
            "uid": d["uid"],
            "title": d["title"],
            "uri": f"db/{d['slug']}",
            "url": f"/d/{d['uid']}/{d['slug']}",
            "slug": "",
            "type": "dash-db",
            "tags": json.loads(d["data"]).get("tags", []),
            "isStarred": False,
            "folderUid": d["folder_uid"] or "",
        }
        for d in found
    ]


def dashboard(uid):  # dashboard, "Get dashboard by uid"
    found = rows("SELECT * FROM dashboard WHERE uid = ?", uid)
    if not found:
        raise Refused(404, "Dashboard not found")
    d = found[0]
    content = {**json.loads(d["data"]), "id": d["id"], "uid": d["uid"], "version": d["version"], "title": d["title"]}
    return {
        "dashboard": content,
        "meta": {
            "type": "db",
            "slug": d["slug"],
            "url": f"/d/{uid}/{d['slug']}",
            "version": d["version"],
            "created": d["created"],
            "updated": d["updated"],
            "folderUid": d["folder_uid"] or "",
        },
    }


def save_dashboard(body):  # dashboard, "Create / Update dashboard"
    content = dict(body["dashboard"])
    uid = content.get("uid") or base64.b32encode(os.urandom(8)).decode().rstrip("=").lower()
    slug = re.sub(r"[^a-z0-9]+", "-", content["title"].lower()).strip("-")
    for key in ("id", "uid", "version"):
        content.pop(key, None)
    old = rows("SELECT id, version FROM dashboard WHERE uid = ?", uid)
    if old and not body.get("overwrite") and body["dashboard"].get("version") != old[0]["version"]:
        raise Refused(412, "The dashboard has been changed by someone else", status="version-mismatch")
    version = old[0]["version"] + 1 if old else 1
    if old:
        write(
            "UPDATE dashboard SET version=?, slug=?, title=?, data=?, updated=? WHERE uid=?",
            version,
            slug,
            content["title"],
            json.dumps(content),
            now(),
            uid,
        )
    else:
        write(
            "INSERT INTO dashboard (uid, version, slug, title, data, folder_uid, created, updated) VALUES (?,?,?,?,?,?,?,?)",
            uid,
            version,
            slug,
            content["title"],
            json.dumps(content),
            body.get("folderUid"),
            now(),
            now(),
        )
    return {
        "id": rows("SELECT id FROM dashboard WHERE uid=?", uid)[0]["id"],
        "uid": uid,
        "url": f"/d/{uid}/{slug}",
        "status": "success",
        "version": version,
        "slug": slug,
    }


def delete_dashboard(uid):  # dashboard, "Delete dashboard by uid"
    title = dashboard(uid)["dashboard"]["title"]
    write("DELETE FROM dashboard WHERE uid = ?", uid)
    return {"title": title, "message": f"Dashboard {title} deleted", "id": 0}


def save_folder(body):  # folder, "Create folder"
    write("INSERT INTO folder (uid, title) VALUES (?, ?)", body["uid"], body["title"])
    return {"uid": body["uid"], "title": body["title"]}


def save_rule(body):  # alerting_provisioning, "Create a new alert rule"
    body = {**body, "updated": now(), "provenance": "api"}
    write(
        "INSERT INTO alert_rule (uid, title, data, updated) VALUES (?,?,?,?)",
        body["uid"],
        body["title"],
        json.dumps(body),
        body["updated"],
    )
    return body


def configured(name, default):
    found = rows("SELECT data FROM alert_configuration WHERE name = ?", name)
    return json.loads(found[0]["data"]) if found else default


def save_contact_point(body):  # alerting_provisioning, "Create a contact point"
    body = {**body, "settings": {k: seal(v) if k in ("url", "password") else v for k, v in body["settings"].items()}}
    points = [*configured("contact-points", []), body]
    write("INSERT OR REPLACE INTO alert_configuration VALUES ('contact-points', ?)", json.dumps(points))
    return body


def contact_points():
    """Secrets are decrypted to be used and shown as [REDACTED]."""
    points = configured("contact-points", [])
    for point in points:
        for key in ("url", "password"):
            if key in point["settings"]:
                unseal(point["settings"][key])
                point["settings"][key] = "[REDACTED]"
    return points


def get_rules():
    return [json.loads(r["data"]) for r in rows("SELECT data FROM alert_rule ORDER BY id")]


GET = {
    r"/api/org": lambda m, p: {"id": 1, "name": "Main Org."},  # org
    r"/api/search": lambda m, p: search(p),
    r"/api/dashboards/uid/([\w-]+)": lambda m, p: dashboard(m[1]),
    r"/api/folders": lambda m, p: [
        {"id": f["id"], "uid": f["uid"], "title": f["title"]} for f in rows("SELECT * FROM folder ORDER BY id")
    ],  # folder
    r"/api/datasources": lambda m, p: [
        shown_source(s) for s in rows("SELECT * FROM data_source ORDER BY id")
    ],  # data_source
    r"/api/datasources/uid/([\w-]+)/health": lambda m, p: health(m[1]),
    r"/api/org/users": lambda m, p: [
        {"orgId": 1, "userId": 1, "login": "admin", "email": "admin@localhost", "role": "Admin"}
    ],  # org
    r"/api/v1/provisioning/alert-rules": lambda m, p: get_rules(),  # alerting_provisioning
    r"/api/v1/provisioning/contact-points": lambda m, p: contact_points(),
    r"/api/v1/provisioning/policies": lambda m, p: configured("policies", {"receiver": "grafana-default-email"}),
    r"/api/v1/provisioning/mute-timings": lambda m, p: configured("mute-timings", []),
}
POST = {
    r"/api/dashboards/db": (200, save_dashboard),
    r"/api/folders": (200, save_folder),
    r"/api/v1/provisioning/alert-rules": (201, save_rule),
    r"/api/v1/provisioning/contact-points": (202, save_contact_point),
}


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def do_DELETE(self):
        self.answer("DELETE")

    def answer(self, method):
        url = urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        try:
            status, body = self.route(method, url.path.rstrip("/") or "/", urllib.parse.parse_qs(url.query), raw)
        except Refused as error:
            status, body = error.status, error.body
        except (ValueError, KeyError, TypeError):
            status, body = 400, {"message": "bad request data"}
        self.send(status, body)

    def route(self, method, path, params, raw):
        if path == "/api/health":  # other, "Health API"
            try:
                rows("SELECT 1 FROM dashboard LIMIT 1")
            except sqlite3.Error:
                return 503, {"database": "failing", "version": VERSION}
            return 200, {"database": "ok", "version": VERSION, "commit": "stand-in"}
        self.authenticate()
        if method == "POST" and path == "/api/ds/query":
            return query(json.loads(raw))
        if method == "DELETE" and (match := re.fullmatch(r"/api/dashboards/uid/([\w-]+)", path)):
            return 200, delete_dashboard(match[1])
        if method == "POST" and path in POST:
            status, action = POST[path]
            return status, action(json.loads(raw))
        for pattern, look in GET.items() if method == "GET" else ():
            if match := re.fullmatch(pattern, path):
                return 200, look(match, params)
        return 404, {"message": "Not found"}

    def authenticate(self):  # authentication, "Basic auth"
        given = (self.headers.get("Authorization") or "").partition(" ")[2]
        try:
            user, _, password = base64.b64decode(given).decode().partition(":")
        except ValueError:
            user = password = ""
        if user != "admin" or not hmac.compare_digest(password.encode(), PASSWORD.encode()):
            message = "Invalid username or password" if given else "Unauthorized"
            raise Refused(401, message, messageId="password-auth.failed", statusCode=401, traceID="")

    def send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Stand-In", "grafana")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing: requests are not news."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    DB = open_database()
    provision()
    log("info", "HTTP Server Listen (a stand-in, not Grafana)", address="[::]:3000")
    ThreadingHTTPServer(("", 3000), Answers).serve_forever()
