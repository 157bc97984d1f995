"""The two containers of a relay: their names, labels and commands, and the keys that each pair gets for itself."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from actions.common.labels import label_flags, labels
from actions.common.route import helper_name, run_checked
from actions.relays.planning import PUBLISHED_ONLY, ROLE, Relay, bracketed
from engine.constants import LABEL_MOVE, LABEL_ROLE, NAME, TOOLBOX_IMAGE
from engine.errors import ActionError
from engine.finding import say
from hosts.fleet import Fleet

End = Literal["near", "far"]
NEAR: Final[End] = "near"
FAR: Final[End] = "far"
KEYS_ROLE: Final = f"{ROLE}-keys"
"""The role of the volumes that hold the private keys."""
LABEL_RELAY: Final = f"{NAME}.relay"
"""What a relay was made for, as text: another text means that it must be made again."""
LABEL_END: Final = f"{NAME}.relay.end"
LABEL_KEYS: Final = f"{NAME}.relay.keys"
"""Whose certificate an end shows and whose it demands, as `<own>:<peer>`: the two ends of a relay must say it
crosswise.
"""
FINGERPRINT: Final = 32
"""Hexadecimal digits of a certificate's SHA-256 that are kept in the label."""

MOST_CONNECTIONS: Final = 1000
"""Of one relay at once; each is a process of some 0.9 MB with TLS. The next one waits until another ends."""
MEMORY: Final = "1g"
AFTER_EOF_S: Final = 300
"""So long an answer may come after its client has sent all and closed its direction; socat's own 0.5 s cuts slow
answers.
"""
KEEPALIVE: Final = "keepalive,keepidle=60,keepintvl=15,keepcnt=4"
KEYS_S: Final = 60.0

MAKE_KEYS: Final = """\
umask 077
for name in "$@"; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "/keys/$name/key.pem" -out "/keys/$name/cert.pem" -subj "/CN=$name" \
    -not_before 20000101000000Z -days 36500 2>/dev/null || exit 1
  sync "/keys/$name/key.pem" || exit 1
  printf '%s\\n' "$name" && cat "/keys/$name/cert.pem" && rm "/keys/$name/cert.pem" || exit 1
done
"""
"""Valid from 2000 on: the clocks of two hosts may differ. A key is on the disk before anybody relies on it; it never
leaves its host.
"""

RUN: Final = """\
umask 077
if [ -n "$OWN_CERTIFICATE" ]; then
  printf '%s\\n' "$OWN_CERTIFICATE" > /certificates/own.pem &&
    printf '%s\\n' "$PEER_CERTIFICATE" > /certificates/peer.pem || exit 1
fi
exec socat "$@"
"""
"""Certificates are public and are in the container's environment; socat ends when the key in the volume is not that
of its certificate.
"""


@dataclass(frozen=True)
class Certificate:
    """What one end shows to the other; its private key lies in a volume of the end's own host."""

    pem: str
    volume: str

    @property
    def fingerprint(self) -> str:
        """Return the beginning of the SHA-256 of the certificate itself."""
        body = "".join(line for line in self.pem.splitlines() if not line.startswith("-----"))
        return hashlib.sha256(base64.b64decode(body)).hexdigest()[:FINGERPRINT]


@dataclass(frozen=True)
class Pair:
    """The certificates of a relay's two ends."""

    near: Certificate
    far: Certificate

    def of(self, end: End) -> tuple[Certificate, Certificate]:
        """Return an end's own certificate and the one that it demands of the other."""
        return (self.near, self.far) if end == NEAR else (self.far, self.near)

    def label(self, end: End) -> str:
        """Return what LABEL_KEYS says at an end."""
        own, peer = self.of(end)
        return f"{own.fingerprint}:{peer.fingerprint}"


def host_of(forwarder: Relay, end: End) -> str:
    """Return the host of an end."""
    return forwarder.host if end == NEAR else forwarder.far.host


def network_of(forwarder: Relay, end: End) -> str:
    """Return the network of an end."""
    return forwarder.network if end == NEAR else forwarder.far.network


def common_name(forwarder: Relay, end: End) -> str:
    """Return the name in an end's certificate; the other end takes no other."""
    return f"{end}-{hashlib.sha256(forwarder.text().encode()).hexdigest()[:16]}"


def relay_name(forwarder: Relay, end: End = NEAR) -> str:
    """Return the name of an end's container: one relay per network, alias and port, or per published port."""
    if end == FAR:
        return helper_name("forward", "from", forwarder.host, forwarder.alias, str(forwarder.to_port))
    if forwarder.network == PUBLISHED_ONLY:
        other = (
            () if forwarder.publish == f"0.0.0.0:{forwarder.port}" else (forwarder.publish,)
        )  # one port may be published twice
        return helper_name("forward", "published", forwarder.alias, str(forwarder.port), *other)
    return helper_name("forward", forwarder.network, forwarder.alias, str(forwarder.port))


def relay_label(environment: str) -> str:
    """Return the move label of relays: they belong to no single move."""
    return f"{environment}/{ROLE}/1"


def end_argv(environment: str, forwarder: Relay, end: End, pair: Pair | None) -> list[str]:
    """Return `docker create` for one end; no private key is in it."""
    mine = {
        **labels(relay_label(environment), ROLE),
        LABEL_RELAY: forwarder.text(),
        LABEL_END: end,
        LABEL_KEYS: pair.label(end) if pair else "",
    }
    argv = [
        "docker",
        "create",
        "--name",
        relay_name(forwarder, end),
        "--restart",
        "unless-stopped",
        "--network",
        network_of(forwarder, end),
        "--memory",
        MEMORY,
        "--pids-limit",
        "2048",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_BIND_SERVICE",
        "--log-driver",
        "json-file",
        "--log-opt",
        "max-size=1m",
    ]
    if end == NEAR and forwarder.network != PUBLISHED_ONLY:
        argv += ["--network-alias", forwarder.alias]
    if end == NEAR and forwarder.publish:
        argv += ["--publish", f"{forwarder.publish}:{forwarder.port}"]
    if end == FAR:
        argv += ["--publish", f"{bracketed(forwarder.to_address)}:{forwarder.to_port}:{forwarder.to_port}"]
    if pair:
        own, peer = pair.of(end)
        argv += [
            "--mount",
            f"type=volume,source={own.volume},target=/keys,readonly",
            "--tmpfs",
            "/certificates:size=64k,mode=0700",
        ]
        argv += ["--env", f"OWN_CERTIFICATE={own.pem}", "--env", f"PEER_CERTIFICATE={peer.pem}"]
    return [*argv, *label_flags(mine), TOOLBOX_IMAGE, "sh", "-c", RUN, "relay", *socat_words(forwarder, end)]


def socat_words(forwarder: Relay, end: End) -> list[str]:
    """Return socat's arguments for one end (man page of socat 1.8, chapter ADDRESS OPTIONS)."""
    listens = f"fork,reuseaddr,nodelay,{KEEPALIVE},backlog=256,max-children={MOST_CONNECTIONS}"
    connects = f"nodelay,{KEEPALIVE},connect-timeout=5"
    there = f"{bracketed(forwarder.to_address)}:{forwarder.to_port}"
    if end == NEAR:
        way = (
            f"OPENSSL:{there},{_tls(forwarder, FAR)},nosni,{connects}"
            if forwarder.encrypted
            else f"TCP:{there},{connects}"
        )
        return ["-t", str(AFTER_EOF_S), f"TCP-LISTEN:{forwarder.port},{listens}", way]
    only = f"range={_only(forwarder.from_address)}"
    listen = (
        f"OPENSSL-LISTEN:{forwarder.to_port},{_tls(forwarder, NEAR)}"
        if forwarder.encrypted
        else f"TCP-LISTEN:{forwarder.to_port}"
    )
    return [
        "-t",
        str(AFTER_EOF_S),
        f"{listen},{only},{listens}",
        f"TCP:{bracketed(forwarder.far.name)}:{forwarder.far.port},{connects}",
    ]


def _tls(forwarder: Relay, peer: End) -> str:
    return (
        "cert=/certificates/own.pem,key=/keys/key.pem,cafile=/certificates/peer.pem,verify=1,"
        f"commonname={common_name(forwarder, peer)},openssl-min-proto-version=TLS1.3"
    )


def _only(address: str) -> str:
    return f"[{address}/128]" if ":" in address else f"{address}/32"


def make_keys(
    fleet: Fleet, environment: str, host: str, ends: Collection[tuple[Relay, End]]
) -> dict[tuple[Relay, End], Certificate]:
    """Make a new pair of keys for each end that is to run on a host, all in one container; return the
    certificates.
    """
    if not ends:
        return {}
    names = {common_name(*one): one for one in ends}
    volumes = {name: f"{NAME}-relay-{name}-{secrets.token_hex(4)}" for name in names}
    argv = [
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--log-driver",
        "none",
        *label_flags(labels(relay_label(environment), KEYS_ROLE)),
    ]
    for name, volume in volumes.items():
        marks = f"volume-label={LABEL_MOVE}={relay_label(environment)},volume-label={LABEL_ROLE}={KEYS_ROLE}"
        argv += ["--mount", f"type=volume,source={volume},target=/keys/{name},{marks}"]
    argv += [TOOLBOX_IMAGE, "sh", "-c", MAKE_KEYS, "keys", *names]
    said = run_checked(fleet, host, argv, doing=say("make the keys of relays"), timeout_s=KEYS_S).text
    found = dict(
        re.findall(
            r"^(\S+)\n(-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----)$", said, re.MULTILINE | re.DOTALL
        )
    )
    if set(found) != set(names):
        raise ActionError(
            say(
                "{host}: {found_count} of {names_count} certificates of relays were made. Expected: all. Look: ssh "
                "{host} docker run --rm {toolbox_image} openssl version",
                host=host,
                found_count=len(found),
                names_count=len(names),
                toolbox_image=TOOLBOX_IMAGE,
            )
        )
    return {names[name]: Certificate(pem, volumes[name]) for name, pem in found.items()}


def pairs_of(
    certificates: Mapping[tuple[Relay, End], Certificate], forwarders: Collection[Relay]
) -> dict[Relay, Pair | None]:
    """Return the certificates of each relay; None for one that is not encrypted."""
    return {one: Pair(certificates[one, NEAR], certificates[one, FAR]) if one.encrypted else None for one in forwarders}


def remove_unused_keys(fleet: Fleet, environment: str, host: str) -> None:
    """Remove the private keys on a host that no container has any more."""
    marks = [f"label={LABEL_MOVE}={relay_label(environment)}", f"label={LABEL_ROLE}={KEYS_ROLE}", "dangling=true"]
    argv = ["docker", "volume", "ls", "--quiet", *(word for mark in marks for word in ("--filter", mark))]
    volumes = run_checked(fleet, host, argv, doing=say("list keys of relays")).text.split()
    if volumes:
        run_checked(fleet, host, ["docker", "volume", "rm", *volumes], doing=say("remove keys of relays that are gone"))
