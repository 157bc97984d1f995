"""Stands in for Loki: push, query, query_range, labels, series, ready, metrics, kept in its volume.

Written from the documentation "Loki HTTP API"; the source of an answer is named at its function. It is no Loki: streams lie as
lines of JSON below <path_prefix>/chunks/fake ("fake" is Loki's tenant without authentication), nothing is compacted or deleted.
"""

import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from logql import Metric, ParseError, duration_ns, parse

LONGEST_QUERY_NS = 721 * 3600 * 10**9  # max_query_length 30d1h
MAX_ENTRIES = 5000  # max_entries_limit_per_query
MAX_STEPS = 11000
LOCK = threading.RLock()
COUNTS = defaultdict(int)


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Store:
    """Streams on disk: a file of labels and a file of lines each."""

    def __init__(self, folder, oldest_age_ns):
        self.folder, self.oldest_age_ns = os.path.join(folder, "chunks", "fake"), oldest_age_ns
        os.makedirs(self.folder, exist_ok=True)
        self.streams = {}
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".labels.json"):
                with open(os.path.join(self.folder, name)) as file:
                    self.streams[name.split(".")[0]] = json.load(file)

    def push(self, labels, values):
        key = hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
        known = {(at, line) for at, line in self.lines(key, min(v[0] for v in values), max(v[0] for v in values) + 1)}
        new = [value for value in dict.fromkeys(values) if value not in known]  # exact duplicates are dropped
        with LOCK:
            if key not in self.streams:
                with open(os.path.join(self.folder, f"{key}.labels.json"), "w") as file:
                    json.dump(labels, file, sort_keys=True)
                self.streams[key] = labels
            with open(os.path.join(self.folder, f"{key}.lines"), "a") as file:
                file.writelines(json.dumps(value) + "\n" for value in new)

    def lines(self, key, start, end):
        """Return the (time, line) pairs of a stream in [start, end), in order of time."""
        try:
            with LOCK, open(os.path.join(self.folder, f"{key}.lines")) as file:
                found = [tuple(json.loads(line)) for line in file]
        except FileNotFoundError:
            return []
        return sorted((at, line) for at, line in found if start <= at < end)

    def select(self, selector, start, end):
        for key, labels in sorted(self.streams.items()):
            if selector.takes_stream(labels):
                lines = [(at, line) for at, line in self.lines(key, start, end) if selector.takes_line(line)]
                if lines:
                    yield labels, lines


def shown(labels):
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def pushed(store, body):
    """POST /loki/api/v1/push: 204; times are strings of nanoseconds; too old lines are refused with their time."""
    try:
        streams = json.loads(body)["streams"]
        wanted = []
        for stream in streams:
            values = [entry(value) for value in stream["values"]]
            if not stream["stream"]:
                raise Refused(400, "error at least one label pair is required per stream")
            wanted.append((dict(stream["stream"]), values))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(400, f"loghttp.PushRequest.Streams: {error}") from error
    oldest = time.time_ns() - store.oldest_age_ns if store.oldest_age_ns else 0
    for labels, values in wanted:
        for at, _ in values:
            if at < oldest:
                raise Refused(
                    400,
                    f"entry for stream '{shown(labels)}' has timestamp too old: {stamp(at)}, oldest acceptable timestamp is: {stamp(oldest)}",
                )
        if values:
            store.push(labels, values)
            COUNTS["lines"] += len(values)


def entry(value):
    at, line = value[0], value[1]
    if not isinstance(at, str) or not isinstance(line, str):
        raise ValueError("Value looks like Number/Boolean/None, but can't find its end: ',' or '}' symbol")
    return int(at), line


def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 10**9))


def moment(text, default):
    """Times are nanoseconds, seconds with a fraction, or RFC 3339."""
    if text is None:
        return default
    if re.fullmatch(r"\d+", text):
        return int(text) if len(text) > 11 else int(text) * 10**9
    if re.fullmatch(r"\d+\.\d+", text):
        return int(float(text) * 10**9)
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z", text)
    if not match:
        raise Refused(400, f'could not parse "{text}" as time')
    import calendar

    return calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S")) * 10**9


class Question:
    """The parameters of a query, with Loki's defaults."""

    def __init__(self, values):
        now = time.time_ns()
        self.values = values
        self.end = moment(self.one("end"), now)
        self.start = moment(self.one("start"), self.end - 3600 * 10**9)
        self.time = moment(self.one("time"), now)
        self.limit = int(self.one("limit") or 100)
        self.forward = (self.one("direction") or "backward") == "forward"

    def one(self, name):
        return self.values.get(name, [None])[0]

    def query(self):
        return parse(self.one("query") or "")

    def check(self):
        if self.end < self.start:
            raise Refused(400, "end timestamp must not be before or equal to start time")
        if self.end - self.start > LONGEST_QUERY_NS:
            raise Refused(
                400,
                f"the query time range exceeds the limit (query length: {(self.end - self.start) // 10**9}s, limit: 30d1h)",
            )
        if self.limit > MAX_ENTRIES:
            raise Refused(
                400,
                f"max entries limit per query exceeded, limit > max_entries_limit_per_query ({self.limit} > {MAX_ENTRIES})",
            )


def answered(kind, result):
    return {"status": "success", "data": {"resultType": kind, "result": result, "stats": {}}}


def query_range(store, asked):
    asked.check()
    query = asked.query()
    if isinstance(query, Metric):
        return answered("matrix", matrix(store, asked, query))
    return answered("streams", streams(store, query, asked))


def streams(store, selector, asked):
    found = [
        (at, line, shown(labels), labels)
        for labels, lines in store.select(selector, asked.start, asked.end)
        for at, line in lines
    ]
    found.sort(key=lambda item: item[0], reverse=not asked.forward)
    grouped = {}
    for at, line, name, labels in found[: asked.limit]:
        grouped.setdefault(name, (labels, []))[1].append([str(at), line])
    return [{"stream": labels, "values": values} for labels, values in grouped.values()]


def values_at(store, metric, at):
    totals = {}
    for labels, lines in store.select(metric.selector, at - metric.range_ns + 1, at + 1):
        group = metric.group(labels)
        key = json.dumps(group, sort_keys=True)
        totals[key] = totals.get(key, 0) + metric.value([line for _, line in lines])
    return totals


def text_of(value):
    return str(int(value)) if value == int(value) else str(value)


SUM_OF_VECTORS = re.compile(r"\s*vector\(([\d.]+)\)\s*\+\s*vector\(([\d.]+)\)\s*")


def instant(store, asked):
    constant = SUM_OF_VECTORS.fullmatch(asked.one("query") or "")
    if constant:  # what Grafana asks for the health of a data source
        return answered(
            "vector", [{"metric": {}, "value": [asked.time / 1e9, text_of(float(constant[1]) + float(constant[2]))]}]
        )
    query = asked.query()
    if not isinstance(query, Metric):
        raise Refused(
            400,
            "log queries are not supported as an instant query type, please change your query to a range query type",
        )
    if query.range_ns > LONGEST_QUERY_NS:
        raise Refused(400, "the query time range exceeds the limit")
    totals = values_at(store, query, asked.time)
    return answered(
        "vector",
        [
            {"metric": json.loads(key), "value": [asked.time / 1e9, text_of(value)]}
            for key, value in sorted(totals.items())
        ],
    )


def matrix(store, asked, query):
    step = (
        duration_ns(asked.one("step"))
        if re.search(r"[a-z]", asked.one("step") or "")
        else int(float(asked.one("step") or 60) * 10**9)
    )
    if (asked.end - asked.start) // max(step, 1) > MAX_STEPS:
        raise Refused(
            400,
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
        )
    series, at = {}, asked.start
    while at <= asked.end:
        for key, value in values_at(store, query, at).items():
            series.setdefault(key, []).append([at / 1e9, text_of(value)])
        at += step
    return [{"metric": json.loads(key), "values": values} for key, values in sorted(series.items())]


def series(store, asked):
    selectors = [parse(text) for text in asked.values.get("match[]", asked.values.get("match", []))]
    if not selectors:
        raise Refused(400, "0 matcher groups found, at least 1 required")
    found = {shown(labels): labels for one in selectors for labels, _ in store.select(one, asked.start, asked.end)}
    return {"status": "success", "data": [found[name] for name in sorted(found)]}


def labels(store, asked, name=None):
    """GET labels and label/<name>/values, of the streams with lines in the time that is asked for."""
    alive = [known for key, known in store.streams.items() if store.lines(key, asked.start, asked.end)]
    found = {value for known in alive for value in (known if name is None else [known[name]] if name in known else [])}
    return {"status": "success", "data": sorted(found)}


def metrics(store):
    lines = [
        "# TYPE loki_build_info gauge",
        'loki_build_info{version="stand-in"} 1',
        "# TYPE loki_distributor_lines_received_total counter",
        f'loki_distributor_lines_received_total{{tenant="fake"}} {COUNTS["lines"]}',
        "# TYPE loki_ingester_memory_streams gauge",
        f'loki_ingester_memory_streams{{tenant="fake"}} {len(store.streams)}',
        "# TYPE loki_ingester_wal_corruptions_total counter",
        "loki_ingester_wal_corruptions_total 0",
    ]
    return "\n".join([*lines, ""])


class Answers(BaseHTTPRequestHandler):
    """One request: JSON for questions, plain text for errors, as Loki does."""

    protocol_version = "HTTP/1.1"
    store = None

    def do_GET(self):
        url = urlsplit(self.path)
        self.answer(url.path, parse_qs(url.query))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        if url.path == "/loki/api/v1/push":
            self.guarded(lambda: (204, "", None) if pushed(self.store, body) is None else None)
        elif url.path.startswith("/loki/api/v1/delete"):
            self.send(404, "404 page not found\n")
        else:
            self.answer(url.path, {**parse_qs(url.query), **parse_qs(body.decode())})

    def answer(self, path, values):
        self.guarded(lambda: self.found(path, values))

    def found(self, path, values):
        store = self.store
        simple = {
            "/ready": lambda: "ready\n",
            "/metrics": lambda: metrics(store),
            "/services": lambda: "ingester => Running\n",
        }
        if path in simple:
            return 200, simple[path](), "text/plain; charset=utf-8"
        match = re.fullmatch(r"/loki/api/v1/label/([^/]+)/values", path)
        known = {"query_range": query_range, "query": instant, "series": series, "labels": labels, "label": labels}
        name = path.removeprefix("/loki/api/v1/")
        if path == "/loki/api/v1/status/buildinfo":
            content = {"version": "stand-in", "revision": "", "branch": "", "goVersion": ""}
        elif match:
            content = labels(store, Question(values), unquote(match[1]))
        elif path.startswith("/loki/api/v1/") and name in known:
            content = known[name](store, Question(values))
        else:
            raise Refused(404, "404 page not found\n")
        return 200, json.dumps(content), "application/json; charset=UTF-8"

    def guarded(self, question):
        try:
            self.send(*question())
        except Refused as error:
            self.send(error.status, str(error))
        except ParseError as error:
            self.send(400, str(error))
        except (OSError, ValueError) as error:
            print(f'level=error msg="failed to answer" path={self.path[:80]} err="{error}"', flush=True)
            self.send(500, f"{error}\n")

    def send(self, status, text, kind="text/plain; charset=utf-8"):
        data = text.encode()
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing of requests."""


def setting(text, name, default):
    match = re.search(rf"^\s*{name}:\s*(\S+)", text, re.M)
    return match[1].strip("\"'") if match else default


def main(argv):
    path = next(
        (word.split("=", 1)[1] for word in argv if word.startswith("-config.file=")), "/etc/loki/local-config.yaml"
    )
    try:
        with open(path) as file:
            text = file.read()
        age = (
            0
            if setting(text, "reject_old_samples", "true") == "false"
            else duration_ns(setting(text, "reject_old_samples_max_age", "1w"))
        )
        Answers.store = Store(setting(text, "path_prefix", "/loki"), age)
    except OSError as error:
        print(f'level=error msg="error running loki" err="{error}"', flush=True)
        return 1
    server = ThreadingHTTPServer(("", int(setting(text, "http_listen_port", "3100"))), Answers)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f'level=info msg="Loki stand-in started" streams={len(Answers.store.streams)}', flush=True)
    server.serve_forever(poll_interval=0.1)
    print('level=info msg="Loki stand-in stopped"', flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
