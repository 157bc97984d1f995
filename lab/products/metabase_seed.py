"""Metabase's database, questions and dashboards in the lab: made by formula through its HTTP API."""

from __future__ import annotations

from typing import Any, Final

import requests

OWNER: Final = "analyst@example.org"
QUESTIONS: Final = {
    "Revenue by customer": "SELECT customer_id, total FROM revenue ORDER BY 1 LIMIT 50",
    "Orders by state": "SELECT state, count(*) FROM orders WHERE id <= 80000 GROUP BY 1 ORDER BY 1",
    "Dearest products": "SELECT sku, price FROM products ORDER BY price DESC, sku LIMIT 20",
    "Customers by decade": "SELECT extract(decade FROM born)::int, count(*) FROM customers GROUP BY 1 ORDER BY 1",
    "Lines of big orders": "SELECT order_id, quantity FROM order_lines WHERE quantity = 5 ORDER BY id LIMIT 30",
    "Documents": "SELECT count(*) FROM documents",
}
DEADLINE_S: Final = 30


def make_questions(base_url: str, passwords: dict[str, str]) -> str:
    """Set up a new Metabase and return the API key that was made; raises requests.HTTPError."""
    session = requests.Session()
    user = {"email": OWNER, "first_name": "Ana", "last_name": "Lyst", "password": passwords["metabase_owner"]}
    made = _post(session, f"{base_url}/api/setup", {"token": "stand-in", "user": user, "prefs": {"site_name": "Shop"}})
    session.headers["X-Metabase-Session"] = made["id"]
    details = {
        "host": "postgres",
        "port": 5432,
        "dbname": "shop",
        "user": "reporting",
        "password": passwords["reporting"],
    }
    database = _post(session, f"{base_url}/api/database", {"name": "Shop", "engine": "postgres", "details": details})[
        "id"
    ]
    cards = [_card(session, base_url, name, query, database) for name, query in QUESTIONS.items()]
    for i in range(1, 4):
        dashboard = _post(session, f"{base_url}/api/dashboard", {"name": f"Shop {i}"})["id"]
        placed = [
            {"id": -n, "card_id": card, "row": 4 * n, "col": 0, "size_x": 12, "size_y": 4}
            for n, card in enumerate(cards[i - 1 : i + 3], 1)
        ]
        session.put(
            f"{base_url}/api/dashboard/{dashboard}", json={"dashcards": placed}, timeout=DEADLINE_S
        ).raise_for_status()
    return str(_post(session, f"{base_url}/api/api-key", {"name": "longshore", "group_id": 2})["unmasked_key"])


def _card(session: requests.Session, base_url: str, name: str, query: str, database: int) -> int:
    asked = {"type": "native", "database": database, "native": {"query": query}}
    body = {"name": name, "display": "table", "dataset_query": asked, "visualization_settings": {}}
    return int(_post(session, f"{base_url}/api/card", body)["id"])


def _post(session: requests.Session, url: str, body: dict[str, Any]) -> Any:
    answer = session.post(url, json=body, timeout=DEADLINE_S)
    answer.raise_for_status()
    return answer.json()
