"""A stand-in for WAHA: the subset of its HTTP API that longshore uses, kept in /app/.sessions. It reaches no WhatsApp.

Written from the published documents (waha.devlike.pro/docs/how-to/<page>); the page is named at each endpoint. A session is
"paired" by asking for a code, and "works" while its keys are in its folder; what is sent goes to the session's webhooks alone.
"""

from __future__ import annotations

import hmac
import json
import os
import pathlib
import re
import secrets
import signal
import sqlite3
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ENGINE = os.environ.get("WHATSAPP_DEFAULT_ENGINE", "WEBJS")
NAMESPACE = os.environ.get("WAHA_NAMESPACE", ENGINE.lower())  # storages: the namespace defaults to the engine's name
STORE = pathlib.Path("/app/.sessions") / NAMESPACE
KEY = os.environ.get("WAHA_API_KEY") or secrets.token_hex(16)  # security: unset means a random one at each start
STARTING_S = 1.5
LOCK = threading.RLock()
SINCE = {}  # session -> when it was started, this run


class Refused(Exception):
    def __init__(self, status, **body):
        super().__init__(str(body))
        self.status, self.body = status, body


def open_database():
    STORE.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(STORE / "waha.sqlite3", check_same_thread=False, isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS sessions (name TEXT PRIMARY KEY, config TEXT, started INTEGER)")
    return database


def rows(sql, *values):
    with LOCK:
        return DB.execute(sql, values).fetchall()


def keys_of(name):
    file = STORE / name / "creds.json"
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def session(name):  # sessions, "Get session"
    found = rows("SELECT name, config, started FROM sessions WHERE name = ?", name)
    if not found:
        raise Refused(404, statusCode=404, message="Session not found", error="Not Found")
    _, config, started = found[0]
    keys = keys_of(name)
    me = {"id": keys["me"], "pushName": "Shop"} if keys and started else None
    return {
        "name": name,
        "status": status(name, started, keys),
        "config": json.loads(config),
        "me": me,
        "engine": {"engine": ENGINE},
        "assignedWorker": None,
    }


def status(name, started, keys):
    if not started:
        return "STOPPED"
    if time.monotonic() - SINCE.setdefault(name, time.monotonic()) < STARTING_S:
        return "STARTING"
    return "WORKING" if keys else "SCAN_QR_CODE"


def create(body):  # sessions, "Create session"
    name = body.get("name") or "default"
    if rows("SELECT 1 FROM sessions WHERE name = ?", name):
        raise Refused(
            422,
            statusCode=422,
            message=f"Session '{name}' already exists. Use PUT to update it.",
            error="Unprocessable Entity",
        )
    rows(
        "INSERT INTO sessions VALUES (?, ?, ?)",
        name,
        json.dumps(body.get("config") or {}),
        int(body.get("start", True)),
    )
    (STORE / name).mkdir(exist_ok=True)
    return session(name)


def switch(name, started):  # sessions, "Start session", "Stop session"
    session(name)
    rows("UPDATE sessions SET started = ? WHERE name = ?", started, name)
    SINCE[name] = time.monotonic()
    return session(name)


def pair(name, body):  # sessions, "Get pairing code"; here nobody has to type it
    session(name)
    number = re.sub(r"\D", "", str(body["phoneNumber"]))
    keys = {
        "me": f"{number}@c.us",
        "noiseKey": secrets.token_hex(32),
        "signedIdentityKey": secrets.token_hex(32),
        "registered": True,
    }
    (STORE / name / "creds.json").write_text(json.dumps(keys))
    return {"code": "STND-INXX"}


def send_text(body):  # send-messages, "Send Text"
    name = body.get("session", "default")
    seen = session(name)
    if seen["status"] != "WORKING":
        raise Refused(
            422,
            error="Session status is not as expected. Try again later or restart the session",
            session=name,
            status=seen["status"],
            expected=["WORKING"],
        )
    identity = f"true_{body['chatId']}_{secrets.token_hex(10).upper()}"
    event = {
        "event": "message.any",
        "session": name,
        "me": seen["me"],
        "payload": {"id": identity, "to": body["chatId"], "body": body["text"], "fromMe": True},
    }
    for hook in seen["config"].get("webhooks") or ():
        threading.Thread(target=notify, args=(hook["url"], event), daemon=True).start()
    return {
        "id": identity,
        "timestamp": int(time.time()),
        "from": seen["me"]["id"],
        "to": body["chatId"],
        "body": body["text"],
        "fromMe": True,
    }


def notify(url, event):  # events, "Webhooks"
    try:
        urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(event).encode(), {"Content-Type": "application/json"}), timeout=5
        ).close()
    except OSError as error:
        print(f"WARN webhook {url}: {error}", flush=True)


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def answer(self, method):
        url = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            code, body = self.route(method, url.path.rstrip("/"), parse_qs(url.query), raw)
        except Refused as error:
            code, body = error.status, error.body
        except (ValueError, KeyError, TypeError):
            code, body = 400, {"statusCode": 400, "message": "Bad Request"}
        self.send(code, body)

    def route(self, method, path, params, raw):
        if path == "/ping":  # observability, "Ping"
            return 200, {"message": "pong"}
        if not hmac.compare_digest((self.headers.get("X-Api-Key") or "").encode(), KEY.encode()):  # security
            raise Refused(401, message="Unauthorized", statusCode=401)
        if method == "GET":
            return 200, self.look(path, params)
        return 201, self.do(path, json.loads(raw) if raw.strip() else {})

    def look(self, path, params):
        if path == "/health":  # observability, "Health check"
            return {"status": "ok", "info": {}, "error": {}, "details": {}}
        if path == "/api/server/version":  # observability, "Get version"
            return {"version": "2026.7.1", "engine": ENGINE, "tier": "CORE", "browser": None, "standIn": True}
        if path == "/api/sessions":  # sessions, "List sessions": stopped ones only with all=true
            found = [session(row[0]) for row in rows("SELECT name FROM sessions ORDER BY name")]
            return found if params.get("all") == ["true"] else [s for s in found if s["status"] != "STOPPED"]
        if match := re.fullmatch(r"/api/sessions/([\w.-]+)", path):
            return session(match[1])
        raise Refused(404, statusCode=404, message=f"Cannot GET {path}", error="Not Found")

    def do(self, path, body):
        if path == "/api/sessions":
            return create(body)
        if path == "/api/sendText":
            return send_text(body)
        if match := re.fullmatch(r"/api/sessions/([\w.-]+)/(start|stop|restart)", path):
            return switch(match[1], int(match[2] != "stop"))
        if match := re.fullmatch(r"/api/([\w.-]+)/auth/request-code", path):
            return pair(match[1], body)
        raise Refused(404, statusCode=404, message=f"Cannot POST {path}", error="Not Found")

    def send(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Stand-In", "waha")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing: requests are not news."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    DB = open_database()
    print(f"WAHA (a stand-in): engine {ENGINE}, sessions in {STORE}, listening on 3000", flush=True)
    ThreadingHTTPServer(("", 3000), Answers).serve_forever()
