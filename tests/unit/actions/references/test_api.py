"""A data source of Grafana is given another address through its API, and nothing else of it changes; then its old one
again.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from actions.common.route import Route
from actions.references.api import ApiReference
from engine.contracts.product import Repointable
from engine.errors import ActionError, InputError, ManualInterventionError
from phases.context.link_state import repointable
from services.grafana.product import Product
from tests.fakes.host import HostWithFiles
from tests.fakes.http_product import Answer, Answers, target
from tests.unit.phases.repoint.test_recipe import scope_of

KEPT = "/var/lib/longshore/references/lab-prometheus-grafana-prometheus-9090-0"
OLD, NEW = "http://prometheus:9090", "http://192.0.2.11:9090"


class Grafana:
    """Its data sources, as the API gives and takes them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Start with one."""
        self.source: dict[str, Any] = {
            "id": 1,
            "uid": "prom",
            "orgId": 1,
            "name": "Prometheus",
            "type": "prometheus",
            "url": OLD,
            "access": "proxy",
            "version": 3,
            "jsonData": {"httpMethod": "POST"},
            "secureJsonFields": {"basicAuthPassword": True},
            "readOnly": False,
        }
        self.answers = Answers(
            monkeypatch,
            {
                "GET /api/datasources": lambda _: (200, [self.source]),
                "GET /api/datasources/uid/prom": lambda _: (200, self.source),
                "PUT /api/datasources/uid/prom": self._put,
            },
        )
        self.sent: list[dict[str, Any]] = []

    def _put(self, request: dict[str, Any]) -> Answer:
        self.sent.append(request["json"])
        if request["json"]["version"] != self.source["version"]:
            return 409, {"message": "Datasource has already been updated by someone else. Please reload and try again"}
        self.source |= {**copy.deepcopy(request["json"]), "version": self.source["version"] + 1}
        return 200, {"message": "Datasource updated"}


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Grafana:
    """Return a Grafana with one data source."""
    return Grafana(monkeypatch)


def reference(host: HostWithFiles, thing: str = "prom") -> ApiReference:
    """Return its reference to prometheus."""
    fleet: Any = {"wf001": host}
    at = target("grafana", {}, {"admin_password": "admin-password"})
    return ApiReference(
        Route(fleet, "grafana", "grafana", "wf001", "wf001", "lab/prometheus/1"),
        Product(),
        thing,
        NEW,
        KEPT,
        lambda: at,
    )


@pytest.mark.parametrize("thing", ["prom", "Prometheus"])
def test_it_is_repointed_and_put_back(grafana: Grafana, thing: str) -> None:
    """By uid or name; only the address is another, and what is secret is not sent."""
    host = HostWithFiles()
    before = copy.deepcopy(grafana.source)
    one = reference(host, thing)

    assert one.write() == (f"address of {thing}", f"- {OLD}", f"+ {NEW}")

    assert one.is_done()
    assert json.loads(host.files[KEPT]) == {"address": OLD}
    assert {**grafana.source, "version": 3} == {**before, "url": NEW}
    assert "secureJsonFields" not in grafana.sent[0]
    one.put_back()
    assert {**grafana.source, "version": 3} == before
    assert one.is_undone()
    assert not host.files


def test_twice_is_as_once_also_after_a_cut(grafana: Grafana) -> None:
    """The old address is on the host before the request goes out."""
    host = HostWithFiles()
    host.files[KEPT] = json.dumps({"address": OLD}).encode()
    one = reference(host)

    one.write()
    one.write()
    one.put_back()
    one.put_back()

    assert [sent["url"] for sent in grafana.sent] == [NEW, OLD]


def test_somebodys_third_address_is_not_written_over(grafana: Grafana) -> None:
    """A person decides."""
    host = HostWithFiles()
    one = reference(host)
    one.write()
    grafana.source["url"] = "http://elsewhere:9090"

    with pytest.raises(ManualInterventionError, match=f"says http://elsewhere:9090. Expected: {NEW}"):
        one.put_back()
    with pytest.raises(ActionError, match="neither the old"):
        one.write()
    assert KEPT in host.files


def test_a_provisioned_one_is_refused_with_the_way_out(grafana: Grafana) -> None:
    """Its file wins at each start."""
    grafana.source["readOnly"] = True

    with pytest.raises(ActionError, match=r"provisioned from a file, which wins at each start.*kind: file"):
        reference(HostWithFiles()).foresee()


def test_an_unknown_one_is_refused_with_those_that_are_known(grafana: Grafana) -> None:
    """By uid and name."""
    assert grafana.source["uid"] == "prom"
    with pytest.raises(ActionError, match=r"0 data sources are called loki.*known: prom \(Prometheus\)"):
        reference(HostWithFiles(), "loki").foresee()


def test_an_edit_at_the_same_time_is_not_lost(grafana: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version that was read goes with the request."""
    made = Product.address_request

    def edited(self: Product, *words: Any) -> Any:
        request = made(self, *words)
        grafana.source["version"] += 1
        return request

    monkeypatch.setattr(Product, "address_request", edited)
    with pytest.raises(ActionError, match="409"):
        reference(HostWithFiles()).write()
    assert grafana.source["url"] == OLD


def test_a_product_that_does_not_say_how_is_refused() -> None:
    """Before any host is asked."""
    scope = scope_of(("links/0/rewrite", [{"kind": "api", "object": "x", "value": "{host}"}]))

    assert isinstance(Product(), Repointable)
    with pytest.raises(InputError, match=r"n8n to redis: rewrite: kind api: services/n8n/product.py does not tell how"):
        repointable(scope, scope.links[0])
