"""`environments/<name>.yaml`: which machines the names mean, where backups go, and what only this environment has."""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from ruamel.yaml import YAML

from engine.command_line import typed_command
from engine.config.inventory import KEYS, Address, KeyName, Link, Name, SecretReference, ServiceEntry
from engine.config.partial_model import PartialModel, read_draft
from engine.config.plan import Role, Window
from engine.config.public_keys import key_material
from engine.config.validation import Strict, unknown_name
from engine.project import OWN_CHECKS

Person = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9.-]+$")]
SSH_KEY = r"^(ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa|sk-[\w@.-]+) \S+$"


class Identity(Strict):
    """What identifies exactly this host; recorded by `nox -s pin`."""

    address: Address = Field(description="as the other hosts reach it", examples=["192.0.2.11"])
    public_addresses: tuple[Address, ...] = Field(
        (),
        description="as clients outside reach it, where that is another than `address`: public names must lead there",
        examples=[["203.0.113.11"]],
    )
    ssh_host_key: str = Field(pattern=SSH_KEY, description="kind and key, as known_hosts has them")
    machine_id: str = Field(pattern="^[0-9a-f]{32}$", description="content of /etc/machine-id")
    engine_id: str = Field(description="ID of docker info")
    lab: bool = Field(False, description="whether it is a lab host")


class BackupPlace(Strict):
    """Where backups go."""

    host: Name = Field(description="a host with an identity here, never the source")
    path: str = Field(pattern="^/.+", description="directory there", examples=["/var/backups/longshore"])
    password: SecretReference = Field(
        description="of the encrypted repository, by reference", examples=["env:LONGSHORE_BACKUP_PASSWORD"]
    )
    reason: str = Field("", description="why a target may hold the backup, when it does")


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", value):
        raise ValueError("expected http(s)://HOST:PORT and perhaps a path; user and password by reference, next to it")
    return value


Instance = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/\[\]-]+$")]


class PrometheusPlace(Strict):
    """A Prometheus that has scraped node_exporter and cAdvisor of the hosts for days: capacity is judged by what it
    recorded.
    """

    url: Annotated[str, AfterValidator(_url)] = Field(
        description="as the operator's machine reaches it", examples=["https://prometheus.example.org:9090"]
    )
    instances: dict[KeyName, Annotated[tuple[Instance, ...], Field(min_length=1)]] = Field(
        description="by host: the values of the label `instance` under which its exporters are scraped",
        examples=[{"wf005": ["wf005:9100", "wf005:8080"]}],
        json_schema_extra=KEYS,
    )
    user: str = Field("", description="for basic authentication, with `password`")
    password: SecretReference | None = Field(
        None, description="of the user, by reference", examples=["env:LONGSHORE_PROMETHEUS_PASSWORD"]
    )
    token: SecretReference | None = Field(
        None, description="a bearer token, by reference, instead of user and password"
    )


class Additions(Strict):
    """Services and links that only this environment has."""

    services: dict[KeyName, ServiceEntry] = Field(
        default_factory=dict, description="as in the inventory", json_schema_extra=KEYS
    )
    links: tuple[Link, ...] = Field((), description="as in the inventory")


class Approver(Strict):
    """A person who may sign, by e-mail address."""

    roles: tuple[Role, ...] = Field(min_length=1, description="in which roles; one approval fills one of them")
    key: str = Field(pattern=SSH_KEY, description="public half of the person's ssh key, without comment")


class Environment(Strict):
    """One environment: a set of real machines behind the inventory's names."""

    environment: str = Field(pattern="^[a-z][a-z0-9-]*$", description="its name", examples=["production"])
    ssh_config: str | None = Field(None, description="an ssh_config file instead of the operator's own")
    hosts: dict[KeyName, Identity] = Field(description="identities by name", json_schema_extra=KEYS)
    services: tuple[Name, ...] | None = Field(None, description="the services that exist here; all without it")
    extra: Additions = Field(default_factory=Additions, description="what only this environment has")
    overrides: dict[KeyName, dict[str, Any]] = Field(
        default_factory=dict,
        description="lab hosts only: keys of a service's entry that are others here than in the inventory",
        json_schema_extra=KEYS,
    )
    backup: BackupPlace | None = Field(None, description="where backups go")
    prometheus: PrometheusPlace | None = Field(
        None, description="where the targets' capacity is drawn from, instead of our own samples"
    )
    window: Window | None = Field(None, description="when hosts may be changed here, instead of the plan's window")
    approvers: dict[Person, Approver] = Field(
        default_factory=dict, description="who may sign approvals and waivers, by e-mail address"
    )
    require_clean_checkout: bool = Field(True, description="whether only committed runbooks may change hosts")
    own_checks: str = Field(
        OWN_CHECKS,
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="folder of your own checks in the project: PHASE/test_*.py in it are pytest-testinfra tests",
    )
    simulated: tuple[Name, ...] = Field((), description="services that are not the real product here")
    images: Literal["official", "built from packages", "mixed"] | None = Field(
        None, description="where the lab's images came from"
    )


FIXED: Final = frozenset({"product", "host", "container"})
"""What a service is and where it runs: no environment changes that."""


def played(entry: ServiceEntry, given: dict[str, Any]) -> ServiceEntry:
    """Return a service's entry with the keys that are others here; raises ValidationError."""
    return ServiceEntry.model_validate({**entry.model_dump(mode="json", by_alias=True, exclude_defaults=True), **given})


def override_problems(environment: Environment, services: dict[str, ServiceEntry]) -> Iterator[str]:
    """Yield what is wrong with the entries that are others here: outside a lab there is none."""
    if environment.overrides and not all(identity.lab for identity in environment.hosts.values()):
        yield (
            "overrides: hosts that are no lab hosts; expected the services as the inventory has them. Correct the "
            "inventory"
        )
    for name, given in environment.overrides.items():
        for key in sorted(FIXED & set(given)):
            yield f"overrides/{name}/{key}: is what the service is; expected it to stay that of the inventory"
        if name not in services:
            yield unknown_name(f"overrides/{name}", "service", name, services)
            continue
        try:
            played(services[name], given)
        except ValidationError as error:
            yield from (
                f"overrides/{name}/{'/'.join(map(str, one['loc']))}: {one['msg']}"
                for one in error.errors(include_input=False)
            )


def read_environment(path: Path) -> PartialModel[Environment]:
    """Return the environment of a file as far as it can be judged; raises InputError when it can't be read."""
    return read_draft(Environment, path, {"environment": path.stem, "hosts": {}})


def load_environment(path: Path) -> Environment:
    """Return the environment of a file; raises InputError with all its problems."""
    draft = read_environment(path)
    return draft.judged(problems_of(draft))


def problems_of(draft: PartialModel[Environment]) -> Iterator[str]:
    """Yield what is wrong although the shape is right, as far as the file alone shows it."""
    environment, hosts = draft.rough, draft.names("hosts")
    if environment and environment.environment != draft.path.stem:
        yield f"environment: {environment.environment} in a file named {draft.path.stem}; expected the same"
    if environment and environment.backup and hosts is not None and environment.backup.host not in hosts:
        yield unknown_name("backup/host", "host", environment.backup.host, hosts)
    if environment:
        yield from _host_key_problems(environment)
        yield from _key_problems(environment.approvers)
    if environment and environment.prometheus:
        yield from _prometheus_problems(environment.prometheus, hosts)


def _host_key_problems(environment: Environment) -> Iterator[str]:
    """Yield the keys that no ssh could read: they are base64 (RFC 4253, section 6.6)."""
    for host, identity in environment.hosts.items():
        try:
            base64.b64decode(key_material(identity.ssh_host_key), validate=True)
        except binascii.Error as error:
            again = typed_command("pin", host, environment=environment.environment)
            yield (
                f"hosts/{host}/ssh_host_key: is no key ({error}); expected kind and key as known_hosts has them. "
                f"Try: {again}"
            )


def _key_problems(approvers: Mapping[str, Approver]) -> Iterator[str]:
    """Yield the people who have a key of somebody else: who holds it could sign for both."""
    owners: dict[str, str] = {}
    for person, approver in approvers.items():
        owner = owners.setdefault(key_material(approver.key), person)
        if owner != person:
            yield f"approvers/{person}/key: is {owner}'s too; expected a key of their own: one key is one person"


def _prometheus_problems(place: PrometheusPlace, hosts: Collection[str] | None) -> Iterator[str]:
    seen: dict[str, str] = {}
    for host, instances in place.instances.items():
        if hosts is not None and host not in hosts:
            yield unknown_name(f"prometheus/instances/{host}", "host", host, hosts)
        for instance in instances:
            if seen.setdefault(instance, host) != host:
                yield (
                    f"prometheus/instances/{host}: {instance} is {seen[instance]}'s too; expected each to be one host's"
                )
    if bool(place.user) != (place.password is not None):
        yield "prometheus: one of user and password; expected both, or none"
    if place.token is not None and place.password is not None:
        yield "prometheus: a token and a password; expected one of them"


def write_environment(path: Path, environment: Environment) -> None:
    """Write an environment, readable by its owner only, whole or not at all: a run never meets half a list
    of machines.
    """
    yaml = YAML()
    yaml.width = 4096
    content = environment.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yaml.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)  # there only when it did not become the file
