"""Grafana: ready with its database, gets answers from every data source, and holds the same dashboards, sources and
alert rules.

Options: `admin_user` (default admin). Secrets: `admin_password`, `secret_key`.
Known: 12.x; from 13 on its API has a successor below /apis and this one still answers. Alert rules are judged, and
people paged, as soon as it starts: its start is the commit, and a copy for rehearsal or drill needs a network without
egress.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any, Final

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart
from engine.contracts.product import ApiRequest, LogPattern, RestoreCommand, ServiceInstance
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from hosts.local.http import basic
from services.clients.http import LONG_DEADLINE_S, ServiceHttp, ask_once, shortened
from services.fingerprints.revisions import Thing, part_of, plain_part

PAGE: Final = 1000
"""The search's own default; without asking for the next page, the 1001st dashboard would never be seen."""
PASSING: Final = (
    "id",
    "version",
    "iteration",
    "updated",
    "typeLogoUrl",
    "provenance",
    "meta",
    "tokens",
    "avatarUrl",
    "accessControl",
)
NOT_SENT: Final = ("id", "orgId", "typeName", "typeLogoUrl", "secureJsonFields", "readOnly", "accessControl")
"""What a data source returns about itself and does not take."""
MAIN: Final = 1
"""The organisation that every installation has (docs: "Organization management")."""
LISTS: Final = {
    "data sources": "/api/datasources",
    "alert rules": "/api/v1/provisioning/alert-rules",
    "contact points": "/api/v1/provisioning/contact-points",
    "mute timings": "/api/v1/provisioning/mute-timings",
}
OPTIONAL: Final = {
    "message templates": "/api/v1/provisioning/templates",
    "library panels": "/api/library-elements?perPage=1000",
    "service accounts": "/api/serviceaccounts/search?perpage=1000",
}
"""What older versions do not have; `updatedAt` and tokens' last use pass."""
DEFAULT_QUERIES: Final = {"prometheus": "up", "loki": '{job=~".+"}'}
"""What is asked of a data source that no panel uses."""
SINCE: Final = "now-6h"
OWN: Final = re.compile(r"--|grafana$|\$")
"""Grafana's own sources (`-- Mixed --`, `-- Dashboard --`, `grafana`), and a dashboard's variable."""

EXPORT: Final = r"""
set -eu
ask() {
    printf 'user = "%s:%s"\n' "${GF_SECURITY_ADMIN_USER:-admin}" "$GF_SECURITY_ADMIN_PASSWORD" |
        curl -sSf -K - "http://127.0.0.1:3000/api/$1"
    echo
}
for uid in $(ask 'search?type=dash-db&limit=5000' | grep -o '"uid": *"[^"]*"' | cut -d'"' -f4);
  do ask "dashboards/uid/$uid"; done
for kind in datasources folders v1/provisioning/alert-rules v1/provisioning/contact-points v1/provisioning/policies;
  do ask "$kind"; done
"""
"""The official image has curl and bash; the password goes through a pipe, never into argv. One JSON document a line."""


class Product(contract.Product):
    """The dashboards."""

    name = "grafana"
    image_names: tuple[str, ...] = ("grafana",)
    settings_role = "Grafana data source"
    acts_on_start = True
    stop_grace_s = 30
    clean_exit_codes: frozenset[int] = frozenset({0, 143})
    ready_deadline_s = 90.0
    state_paths: tuple[str, ...] = ("/var/lib/grafana",)
    writable_noise: tuple[str, ...] = ("/tmp/*", "/var/log/grafana/*")  # noqa: S108
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r"(?i)failed to decrypt|failed to lookup data key|data key not found|decrypting value failed",
            say("its secret key is not the one that its secrets were written with"),
        ),
        LogPattern(
            r"attempt to write a readonly database|is not writable",
            say("the owner of its files is wrong: it is 472:0, not 472:472"),
        ),
        LogPattern(r"level=error.*database is locked", say("two programs use its database file")),
        LogPattern(r"Could not find plugin definition for data source", say("a plugin did not travel")),
        LogPattern(r"migration failed", say("it gave up")),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(r"Database locked, sleeping then retrying", say("a few times at a busy start")),
        LogPattern(r"update\.checker|grafana\.com/api", say("it looks for updates, and there is no way out")),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask /api/health for a database that is ok."""
        answer = ask_once(at, "/api/health")
        said = say(
            "{where}: GET /api/health: {status_code} {answer}",
            where=at.where,
            status_code=answer.status_code,
            answer=shortened(answer),
        )
        good = answer.ok and '"ok"' in "".join(answer.text.split())
        return (
            passed(say("{where}: its database is ok", where=at.where))
            if good
            else failed(say("{said}. Expected: 200, database ok", said=said))
        )

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Save, read and delete a dashboard of our own; each data source is healthy and answers a panel's own query."""
        api = _api(at)
        if wrong := _saved(api, nonce):
            return failed(
                say("{where}: {wrong}. Expected: a dashboard saved, read back and deleted", where=at.where, wrong=wrong)
            )
        sources = api.get("/api/datasources")
        queries = _panel_queries(api)
        known = {str(source["uid"]) for source in sources}
        problems: list[str] = [
            say("{where} asks data source {uid}, which is not there", where=where, uid=uid)
            for uid, (where, _) in queries.items()
            if uid not in known
        ]
        problems += [
            text for source in sources if (text := _source_problem(api, source, queries.get(str(source["uid"]))))
        ]
        if problems:
            return failed(
                say(
                    "{where}: {problem}. Expected: each of {count} data sources answers",
                    where=at.where,
                    problem=problems[0],
                    count=len(sources),
                ),
                tuple(problems),
            )
        asked = sum(str(source["uid"]) in queries for source in sources)
        return passed(
            say(
                "{where}: a dashboard was saved, read and deleted; {count} of {count} data sources healthy and "
                "answering, {asked} of them a panel's own query",
                where=at.where,
                count=len(sources),
                asked=asked,
            ),
            sources=len(sources),
        )

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read of every organisation what people made, each by its uid, and whether the key of its secrets is the same.

        Secrets themselves can't be read. Names are in the content only: contact points and rules of one name are
        several things (grafana, `pkg/services/ngalert/provisioning/contactpoints.go`; rules are unique per folder
        only).
        """
        api = _api(at)
        organisations = _organisations(api)
        parts = (
            {}
            if organisations is None
            else _named("organisations", {str(one["id"]): Thing(one["name"]) for one in organisations}, since)
        )
        parts |= _secret_key(at)
        for number in [None] if organisations is None else [int(one["id"]) for one in organisations]:
            inside = api if number is None else replace(api, headers={**api.headers, "X-Grafana-Org-Id": str(number)})
            before = "" if number in {None, MAIN} else f"organisation {number}: "
            if before and not _is_in(inside, number):
                parts |= plain_part(f"{before}not read: the administrator is no member", "", 0)
                continue
            parts |= _organisation_parts(inside, at, before, since)
        return Fingerprint(at.service, parts)

    def read_address(self, at: ServiceInstance, name: str) -> str:
        """Return the URL of a data source, by its uid or name."""
        return str(_data_source(_api(at), name)["url"])

    def address_request(self, at: ServiceInstance, name: str, value: str) -> ApiRequest:
        """Return the request that gives a data source another URL.

        What it keeps secret is not returned and stays (fillWithSecureJSONData in its source); `version` makes it refuse
        when somebody edits it meanwhile.
        """
        api = _api(at)
        source = _data_source(api, name)
        body = {key: item for key, item in source.items() if key not in NOT_SENT} | {"url": value}
        return ApiRequest("PUT", f"/api/datasources/uid/{source['uid']}", body, api.headers)

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return its data folder (docs: "Configure Grafana", paths: data)."""
        return (container.env.get("GF_PATHS_DATA") or self.state_paths[0],)

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return dashboards, data sources, folders and alerting as JSON lines: a second format in addition to the
        volume's archive.
        """
        return (ContainerCommand(("bash", "-c", EXPORT), timeout_s=600, saves_as="dashboards.jsonl"),)

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:  # noqa: ARG002
        """Return nothing to do: its database file is archived while it runs; a drill shows whether it can be opened."""
        return ()


def _api(at: ServiceInstance) -> ServiceHttp:
    login = basic(str(at.options.get("admin_user", "admin")), at.secrets["admin_password"].reveal())
    return ServiceHttp(at, headers={"Authorization": login})


def _data_source(api: ServiceHttp, name: str) -> dict[str, Any]:
    sources: list[dict[str, Any]] = api.get("/api/datasources")
    found = [source for source in sources if name in {source["uid"], source["name"]}]
    if len(found) != 1:
        known = ", ".join(f"{source['uid']} ({source['name']})" for source in sources)
        raise AssertionError(
            f"{api.at.where}: {len(found)} data sources are called {name}. Expected: one, by uid or name; "
            f"known: {known or 'none'}"
        )
    source: dict[str, Any] = api.get(f"/api/datasources/uid/{found[0]['uid']}")
    if source.get("readOnly"):
        raise AssertionError(
            f"{api.at.where}: data source {name} is provisioned from a file, which wins at each start. Expected: one "
            "that can be edited. "
            "Rewrite that file instead: kind: file"
        )
    return source


def _organisations(api: ServiceHttp) -> list[dict[str, Any]] | None:
    """Return all organisations; None where the user may see its own only (docs: "Organization API", for server
    administrators).
    """
    answer = api.send("GET", "/api/orgs")
    return list(answer.json()) if answer.ok else None


def _is_in(api: ServiceHttp, organisation: int | None) -> bool:
    answer = api.send("GET", "/api/org")
    return answer.ok and answer.json().get("id") == organisation


def _secret_key(at: ServiceInstance) -> dict[str, FingerprintPart]:
    """Return which key its secrets are written with, without revealing it; with another one data sources and alerts
    lose their passwords.
    """
    key = (
        at.secrets["secret_key"].reveal()
        if "secret_key" in at.secrets
        else at.container.env.get("GF_SECURITY_SECRET_KEY", "")
    )
    return plain_part("secret key", hmac.new(key.encode(), b"longshore", hashlib.sha256).hexdigest() if key else "none")


def _organisation_parts(
    api: ServiceHttp, at: ServiceInstance, before: str, since: Fingerprint | None
) -> dict[str, FingerprintPart]:
    """Return the parts of the organisation that the API asks; `before` begins their names."""
    parts = _named(f"{before}dashboards", dict(_dashboards(api)), since)
    parts |= _named(f"{before}folders", {str(one["uid"]): Thing(_steady(one)) for one in _folders(api)}, since)
    for name, path in LISTS.items():
        things = {_key_of(item): Thing(_steady(item), str(item.get("updated") or "")) for item in api.get(path)}
        parts |= _named(f"{before}{name}", things, since)
    parts |= {f"{before}notification policies": plain_part("", api.get("/api/v1/provisioning/policies"))[""]}
    for name, path in OPTIONAL.items():
        if (found := _listed(api, path)) is not None:
            parts |= _named(f"{before}{name}", {_key_of(item): Thing(_steady(item)) for item in found}, since)
    users = api.get("/api/org/users")
    at.names({at.sealed(str(user["login"])): str(user["login"]) for user in users})
    people = {
        at.sealed(str(user["login"])): Thing({key: user.get(key) for key in ("userId", "role")}) for user in users
    }
    return parts | _named(f"{before}users", people, since)


def _key_of(item: Mapping[str, Any]) -> str:
    """Return what names a thing for good: its uid, where it has one."""
    return str(item.get("uid") or item.get("name") or item.get("id"))


def _listed(api: ServiceHttp, path: str) -> list[dict[str, Any]] | None:
    """Return a list that not every version or licence has; None where there is none."""
    answer = api.send("GET", path)
    if not answer.ok:
        return None
    body = answer.json()
    while isinstance(body, Mapping):  # {"result": {"elements": [...]}}, {"serviceAccounts": [...]}
        body = next((value for key, value in body.items() if key in {"result", "elements", "serviceAccounts"}), [])
    return [item for item in body or () if isinstance(item, dict)]


def _folders(api: ServiceHttp) -> Iterator[dict[str, Any]]:
    """Yield every folder: the list has one level only, the children of each are asked for (grafana,
    `pkg/api/folder.go`: parentUid).
    """
    above: list[str] = [""]
    seen: set[str] = set()
    while above:
        parent = above.pop()
        for page in count(1):
            found = [
                one
                for one in api.get("/api/folders", limit=PAGE, page=page, **({"parentUid": parent} if parent else {}))
                if one["uid"] not in seen
            ]
            seen |= {str(one["uid"]) for one in found}
            above += [str(one["uid"]) for one in found]
            yield from ({**one, "in": parent} for one in found)
            if len(found) < PAGE:
                break


def _named(name: str, things: Mapping[str, Thing], since: Fingerprint | None) -> dict[str, FingerprintPart]:
    return part_of(name, things, since) if things else {}


def _steady(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in PASSING}


def _found(api: ServiceHttp) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        found = api.get("/api/search", type="dash-db", limit=PAGE, page=page)
        yield from found
        if len(found) < PAGE:
            return
        page += 1


def _dashboards(api: ServiceHttp) -> Iterator[tuple[str, Thing]]:
    """Yield each dashboard by title and uid; its version counts its edits."""
    for item in _found(api):
        answer = api.get(f"/api/dashboards/uid/{item['uid']}")
        dashboard, folder = answer["dashboard"], str((answer.get("meta") or {}).get("folderUid") or "")
        yield (
            f"{item['title']} ({item['uid']})",
            Thing({**_steady(dashboard), "in folder": folder}, str(dashboard.get("version") or "")),
        )


def _saved(api: ServiceHttp, nonce: str) -> str:
    """Save, read and delete a dashboard; return what is wrong."""
    body = {"dashboard": {"uid": nonce, "title": nonce, "panels": [], "tags": ["longshore"]}, "overwrite": True}
    made = api.send("POST", "/api/dashboards/db", json=body)
    if not made.ok:
        return say("POST /api/dashboards/db: {status_code} {made}", status_code=made.status_code, made=shortened(made))
    try:
        seen = api.get(f"/api/dashboards/uid/{nonce}")["dashboard"]["title"]
    finally:
        api.send("DELETE", f"/api/dashboards/uid/{nonce}")
    return "" if seen == nonce else say("dashboard {nonce}: read back {seen}", nonce=nonce, seen=repr(seen))


def _panel_queries(api: ServiceHttp) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return, per data source, the first panel with a query of its own: where it is, and the query."""
    queries: dict[str, tuple[str, dict[str, Any]]] = {}
    for item in _found(api):
        dashboard = api.get(f"/api/dashboards/uid/{item['uid']}")["dashboard"]
        for panel in _panels(dashboard):
            for target in panel.get("targets") or ():
                uid = str((target.get("datasource") or panel.get("datasource") or {}).get("uid") or "")
                if uid and not OWN.match(uid) and target.get("expr") and "$" not in str(target["expr"]):
                    queries.setdefault(uid, (f"panel {panel.get('title')} of {item['title']}", target))
    return queries


def _panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard.get("panels") or ():
        yield panel
        yield from _panels(panel)  # rows hold panels


def _source_problem(api: ServiceHttp, source: Mapping[str, Any], query: tuple[str, dict[str, Any]] | None) -> str:
    """Return what is wrong with a data source: its health, then one query answered with values."""
    uid, name = str(source["uid"]), say("data source {name} ({url})", name=source["name"], url=source.get("url"))
    health = api.send("GET", f"/api/datasources/uid/{uid}/health", deadline_s=LONG_DEADLINE_S)
    if not health.ok:
        return say(
            "{name}: health {status_code} {health}", name=name, status_code=health.status_code, health=shortened(health)
        )
    default = DEFAULT_QUERIES.get(str(source["type"]))
    if query is None and default is None:
        return ""
    where, target = query or (say("its default query"), {"expr": default})
    asked = {**target, "refId": "A", "datasource": {"uid": uid, "type": source["type"]}, "maxDataPoints": 200}
    answer = api.send(
        "POST", "/api/ds/query", json={"from": SINCE, "to": "now", "queries": [asked]}, deadline_s=LONG_DEADLINE_S
    )
    if not answer.ok:
        return say(
            "{name}: {where}: {status_code} {answer}",
            name=name,
            where=where,
            status_code=answer.status_code,
            answer=shortened(answer),
        )
    values = _values(answer.json())
    return (
        ""
        if values
        else say(
            "{name}: {where}: no value since {since}: {dumps}",
            name=name,
            where=where,
            since=SINCE,
            dumps=json.dumps(target.get("expr")),
        )
    )


def _values(answer: Mapping[str, Any]) -> int:
    """Return how many values the frames of an answer hold."""
    frames = [frame for result in answer["results"].values() for frame in result.get("frames") or ()]
    return sum(len(column) for frame in frames for column in (frame.get("data") or {}).get("values") or ())
