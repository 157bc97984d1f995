"""Grafana's data sources, dashboards and alert rules in the lab: made by formula through its HTTP API."""

from __future__ import annotations

from typing import Any, Final

import requests

from lab.settings import LabError

DASHBOARDS: Final = 8
DEADLINE_S: Final = 30
FOLDER: Final = "shop-folder"
SOURCES: Final = {"prometheus": ("Prometheus", "http://prometheus:9090"), "loki": ("Loki", "http://loki:3100")}


def provisioning(kinds: tuple[str, ...]) -> str:
    """Return the file that provisions the data sources of these kinds; the token is one that they ignore."""
    lines = ["apiVersion: 1", "datasources:"]
    for kind in kinds:
        name, url = SOURCES[kind]
        lines += [
            f"  - name: {name}",
            f"    uid: {kind}",
            f"    type: {kind}",
            "    access: proxy",
            f"    url: {url}",
            f"    isDefault: {str(kind == 'prometheus').lower()}",
            "    secureJsonData:",
            f"      httpHeaderValue1: token of {kind}",
        ]
    return "\n".join([*lines, ""])


def make_dashboards(base_url: str, admin_password: str, kinds: tuple[str, ...]) -> None:
    """Fill a new Grafana whose data sources were provisioned; raises requests.HTTPError, and LabError when one of them
    is not there.
    """
    session = requests.Session()
    session.auth = ("admin", admin_password)
    there = session.get(f"{base_url}/api/datasources", timeout=DEADLINE_S).json()
    if missing := set(kinds) - {source["uid"] for source in there}:
        raise LabError(f"grafana: data sources {', '.join(sorted(missing))} are not there. Expected: as provisioned")
    _post(session, f"{base_url}/api/folders", {"uid": FOLDER, "title": "Shop"})
    for i in range(1, DASHBOARDS + 1):
        _post(
            session,
            f"{base_url}/api/dashboards/db",
            {"dashboard": _dashboard(i, kinds), "folderUid": FOLDER, "overwrite": False},
        )
    for i in range(1, 4):
        _post(session, f"{base_url}/api/v1/provisioning/alert-rules", _rule(i))
    contact = {
        "uid": "on-call",
        "name": "On call",
        "type": "webhook",
        "settings": {"url": "https://pager.example.org/hook", "httpMethod": "POST"},
    }
    _post(session, f"{base_url}/api/v1/provisioning/contact-points", contact)


def _post(session: requests.Session, url: str, body: dict[str, Any]) -> None:
    session.post(url, json=body, timeout=DEADLINE_S).raise_for_status()


def _dashboard(i: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    panels = [_panel(n, i, kinds) for n in range(1, 5)]
    return {
        "uid": f"shop-{i}",
        "title": f"Shop {i}",
        "tags": ["shop"],
        "timezone": "browser",
        "schemaVersion": 39,
        "panels": panels,
    }


def _panel(n: int, i: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    kind = "loki" if n == 4 and "loki" in kinds else "prometheus"  # noqa: PLR2004 the last panel shows lines
    expr = '{job=~".+"}' if kind == "loki" else ("up", f"sum(up) + {i}", "prometheus_build_info", "up")[n - 1]
    source = {"type": kind, "uid": kind}
    shape = "logs" if kind == "loki" else "timeseries"
    return {"id": n, "title": f"Panel {n}", "type": shape, "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (n % 2), "y": 8 * (n // 2)},
            "targets": [{"refId": "A", "datasource": source, "expr": expr}]}  # fmt: skip


def _rule(i: int) -> dict[str, Any]:
    ask = {
        "refId": "A",
        "datasourceUid": "prometheus",
        "relativeTimeRange": {"from": 600, "to": 0},
        "model": {"expr": f"up < {i}", "refId": "A"},
    }
    return {
        "uid": f"rule-{i}",
        "title": f"Target down {i}",
        "ruleGroup": "shop",
        "folderUID": FOLDER,
        "orgID": 1,
        "condition": "A",
        "noDataState": "OK",
        "execErrState": "Error",
        "for": f"{i}m",
        "data": [ask],
        "labels": {"team": "shop"},
    }
