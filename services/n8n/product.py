"""n8n: ready when its database is connected and migrated, runs workflows for its webhooks, and holds the same workflows
and credentials.

Options: `probe_webhook` (path of a production webhook that echoes `nonce`; it should use what workflows depend on),
`test_credentials` (names of credentials that n8n's own test may be run with).
Secrets: `api_key` (of the owner or an administrator), `encryption_key`.
Known: 2.x on postgres. It registers webhooks and runs schedules as soon as it starts: its start is the commit, and a
copy for rehearsal or drill needs a network without egress.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import requests

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart
from engine.contracts.product import LogPattern, ServiceInstance
from engine.errors import NotObservedError
from engine.finding import joined, say
from engine.polling import Polling
from engine.verdict import Judgement, failed, passed
from services.clients.http import LONG_DEADLINE_S, ServiceHttp, judge_http, shortened
from services.fingerprints.revisions import Thing, canonical, part_of, plain_part

EXECUTION_DEADLINE_S: Final = 15.0
CLI_S: Final = 300.0
PAGE: Final = 250
"""The largest page of the public API; 100 without asking, which hides the rest (docs.n8n.io/api/pagination)."""
EXPORT: Final = (
    "set -eu; umask 077; file=$(mktemp -u -p /dev/shm); trap 'rm -f \"$file\"' EXIT; "
    'n8n export:{what} --all {flags} --output="$file" >&2; cat "$file"'
)
"""Through memory, never a disk: with --decrypted the file holds every secret."""
NO_CREDENTIALS: Final = "No credentials found"


class Product(contract.Product):
    """The workflow engine."""

    name = "n8n"
    image_names: tuple[str, ...] = ("n8n",)
    acts_on_start = True
    stop_grace_s = 45
    clean_exit_codes: frozenset[int] = frozenset({0, 143})
    ready_deadline_s = 180.0
    state_paths: tuple[str, ...] = ("/home/node/.n8n",)
    writable_noise: tuple[str, ...] = ("/tmp/*", "/home/node/.cache*", "/home/node/.npm*", "/root/.cache*")  # noqa: S108
    why_not_drilled = "workflows and credentials are in the database that it uses, whose own drill brings them back"
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r"Mismatching encryption keys",
            say("the key of its environment is not the one of its config file: one of them did not travel"),
        ),
        LogPattern(r"No encryption key found", say("it made a new key: no credential can be read any more")),
        LogPattern(r"could not be decrypted|bad decrypt", say("credentials were written with another key")),
        LogPattern(r"Database connection timed out", say("postgres does not answer")),
        LogPattern(r"ECONNREFUSED", say("something that it uses is not where it looks")),
        LogPattern(
            r"There was an error initializing DB|password authentication failed", say("postgres does not let it in")
        ),
        LogPattern(
            r"could not be activated|Activation of workflow .* did fail", say("a published workflow does not run")
        ),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(r"Permissions 0\d+ for n8n settings file .* are too wide", say("advice; the same on the old host")),
        LogPattern(r"Last session crashed", say("said once after a stop that took longer than its grace")),
        LogPattern(
            r"api\.n8n\.io|A system task run failed",
            say("its vendor's service can't be reached from here; workflows don't need it"),
        ),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask /healthz/readiness: 200 only when the database is connected and migrated; /healthz says
        nothing about it.
        """
        health = at.options.get("health") or {}
        return judge_http(at, str(health.get("path") or "/healthz/readiness"))

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Publish a workflow of our own, call its production webhook, see the execution, remove it; then the probe and
        the credentials.
        """
        api = _api(at)
        with _workflow(api, nonce) as workflow:
            wrong = _call(at, nonce, nonce) or _execution_problem(api, workflow)
        if wrong:
            return failed(
                say(
                    "{where}: workflow {nonce}: {wrong}. Expected: published, called and executed with success",
                    where=at.where,
                    nonce=nonce,
                    wrong=wrong,
                )
            )
        answered = [
            say(
                "a workflow was published, its production webhook answered, its execution succeeded, and it was removed"
            )
        ]
        if probe := at.options.get("probe_webhook"):
            if wrong := _call(at, str(probe), nonce):
                return failed(
                    say(
                        "{where}: {wrong}. Expected: the nonce echoed. Look: the workflow's last execution",
                        where=at.where,
                        wrong=wrong,
                    )
                )
            answered.append(say("webhook {probe} answered", probe=probe))
        wanted = [str(name) for name in at.options.get("test_credentials") or ()]
        if problems := _credential_problems(api, wanted):
            return failed(
                say(
                    "{where}: {problem}. Expected: each of {count} credentials works",
                    where=at.where,
                    problem=problems[0],
                    count=len(wanted),
                ),
                tuple(problems),
            )
        return passed(
            say(
                "{where}: {answered}; {count} credentials tested",
                where=at.where,
                answered=joined("; ", answered),
                count=len(wanted),
            )
        )

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read workflows as the API gives them, and credentials decrypted by the container itself: so the key is the
        right one.
        """
        workflows = {
            _title(item): Thing(_content(item), str(item["updatedAt"])) for item in _pages(_api(at), "workflows")
        }
        key = at.secrets["encryption_key"].reveal().encode()
        parts: dict[str, FingerprintPart] = part_of("workflows", workflows, since) if workflows else {}
        credentials = {_title(item): Thing(_sealed(item, key), str(item["updatedAt"])) for item in _decrypted(at)}
        parts |= part_of("credentials, decrypted", credentials, since) if credentials else {}
        parts |= plain_part("encryption key", hmac.new(key, b"longshore", hashlib.sha256).hexdigest())
        return Fingerprint(at.service, parts)

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return its folder (docs: "Deployment environment variables", N8N_USER_FOLDER)."""
        folder = container.env.get("N8N_USER_FOLDER")
        return (f"{folder.rstrip('/')}/.n8n",) if folder else self.state_paths

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return workflows and credentials (these stay encrypted). A second format only: importing it unpublishes every
        workflow.
        """
        commands = (("workflow", "workflows.json"), ("credentials", "credentials.json"))
        return tuple(ContainerCommand(_cli(what), timeout_s=CLI_S, saves_as=name) for what, name in commands)


def _api(at: ServiceInstance) -> ServiceHttp:
    return ServiceHttp(at, headers={"X-N8N-API-KEY": at.secrets["api_key"].reveal()})


def _pages(api: ServiceHttp, kind: str) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = api.get(f"/api/v1/{kind}", limit=PAGE, **cursor)
        yield from page["data"]
        if not page.get("nextCursor"):
            return
        cursor = {"cursor": page["nextCursor"]}


def _title(item: Mapping[str, Any]) -> str:
    """Return a name that is unique: two workflows may be called the same."""
    return f"{item['name']} ({item['id']})"


def _content(workflow: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: workflow.get(key) for key in ("id", "name", "active", "nodes", "connections", "settings", "isArchived")
    }


def _cli(what: str, flags: str = "") -> tuple[str, ...]:
    return "sh", "-c", EXPORT.format(what=what, flags=flags)


def _decrypted(at: ServiceInstance) -> list[dict[str, Any]]:
    """Return all credentials in plain text, for digests only; raises AssertionError when the key does not open them."""
    answer = at.inside(ContainerCommand(_cli("credentials", "--decrypted"), timeout_s=CLI_S))
    said = " ".join(answer.error_text.split())[-200:]
    if answer.exit_code == 0:
        return list(json.loads(answer.text))
    if NO_CREDENTIALS in answer.error_text:
        return []
    if "decrypt" in said or "encryption key" in said.lower():
        raise AssertionError(
            f"{at.where}: credentials can't be decrypted: {said}. Expected: N8N_ENCRYPTION_KEY and "
            ".n8n/config travelled"
        )
    raise NotObservedError(
        say(
            "{where}: n8n export:credentials: exit {exit_code}: {said}. Try it inside the container",
            where=at.where,
            exit_code=answer.exit_code,
            said=said,
        )
    )


def _sealed(credential: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    """Return what a credential is, with its plain text behind a keyed digest: a weak password can't be
    guessed from it.
    """
    digest = hmac.new(key, canonical(credential["data"]).encode(), hashlib.sha256).hexdigest()
    return {"id": credential["id"], "type": credential["type"], "data": digest}


@contextmanager
def _workflow(api: ServiceHttp, nonce: str) -> Iterator[str]:
    """Publish a workflow that echoes through a webhook of this name, yield its id, and remove it whatever happened."""
    hook = {
        "id": f"{nonce}-1",
        "name": "Webhook",
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2,
        "position": [0, 0],
        "webhookId": nonce,
        "parameters": {"httpMethod": "POST", "path": nonce, "responseMode": "lastNode"},
    }
    echo = {
        "assignments": {
            "assignments": [{"id": "1", "name": "nonce", "value": "={{ $json.body.nonce }}", "type": "string"}]
        },
        "options": {},
    }
    answer = {
        "id": f"{nonce}-2",
        "name": "Echo",
        "type": "n8n-nodes-base.set",
        "typeVersion": 3.4,
        "position": [200, 0],
        "parameters": echo,
    }
    links = {"Webhook": {"main": [[{"node": "Echo", "type": "main", "index": 0}]]}}
    body = {
        "name": nonce,
        "nodes": [hook, answer],
        "connections": links,
        "settings": {"executionOrder": "v1", "saveDataSuccessExecution": "all"},
    }
    identity = str(api.ask("POST", "/api/v1/workflows", json=body)["id"])
    try:
        api.ask("POST", f"/api/v1/workflows/{identity}/activate", json={}, deadline_s=LONG_DEADLINE_S)
        yield identity
    finally:
        _remove(api, identity)


def _remove(api: ServiceHttp, workflow: str) -> None:
    """Unpublish and delete a workflow; for a moment after the one n8n answers 409 to the other (seen with 2.40.7)."""
    api.send("POST", f"/api/v1/workflows/{workflow}/deactivate", json={}, deadline_s=LONG_DEADLINE_S)
    answer = (
        Polling("the unpublished workflow can be deleted", EXECUTION_DEADLINE_S, first_s=0.2, longest_s=2.0)
        .until(
            lambda: api.send("DELETE", f"/api/v1/workflows/{workflow}"),
            lambda seen: seen.status_code != requests.codes.conflict,
        )
        .answer
    )
    if not answer.ok:
        raise AssertionError(
            f"{api.at.where}: workflow {workflow} of this test stays: DELETE: {answer.status_code} "
            f"{shortened(answer)}. "
            "Delete it by hand in the editor"
        )


def _call(at: ServiceInstance, path: str, nonce: str) -> str:
    """Call a production webhook as its clients do; return what is wrong, empty when it echoes. Publishing may take a
    moment.
    """
    client = ServiceHttp(at)
    answer = (
        Polling("the published webhook is known", EXECUTION_DEADLINE_S, first_s=0.2, longest_s=2.0)
        .until(
            lambda: client.send("POST", f"/webhook/{path}", json={"nonce": nonce}, deadline_s=LONG_DEADLINE_S),
            lambda seen: seen.status_code != requests.codes.not_found,
        )
        .answer
    )
    if answer.ok and nonce in answer.text:
        return ""
    return say(
        "POST /webhook/{path}: {status_code} {answer}",
        path=path,
        status_code=answer.status_code,
        answer=shortened(answer),
    )


def _execution_problem(api: ServiceHttp, workflow: str) -> str:
    """Return what is wrong with the newest execution; it is written a moment after the answer."""

    def look() -> str:
        executions = api.get("/api/v1/executions", workflowId=workflow, limit=1)["data"]
        return str(executions[0].get("status")) if executions else "none"

    seen = Polling("the execution is written", EXECUTION_DEADLINE_S, first_s=0.05, longest_s=1.0).until(
        look, lambda status: status == "success"
    )
    return (
        ""
        if seen.good
        else say(
            "its newest execution: {answer} after {execution_deadline_s:.0f} s",
            answer=seen.answer,
            execution_deadline_s=EXECUTION_DEADLINE_S,
        )
    )


def _credential_problems(api: ServiceHttp, wanted: list[str]) -> list[str]:
    if not wanted:
        return []
    known = {str(item["name"]): str(item["id"]) for item in _pages(api, "credentials")}
    problems: list[str] = [say("credential {name}: not there", name=name) for name in wanted if name not in known]
    for name in (name for name in wanted if name in known):
        said = api.ask("POST", f"/api/v1/credentials/{known[name]}/test", deadline_s=LONG_DEADLINE_S)
        if said.get("status") != "OK":
            problems.append(
                say(
                    "credential {name}: {status} {message}",
                    name=name,
                    status=said.get("status"),
                    message=str(said.get("message"))[:160],
                )
            )
    return problems
