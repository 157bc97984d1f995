"""Caddy: every virtual host answers through TLS with what is behind it, and serves the certificates that it has.

Known: 2.6 (run in the lab); later 2.x by their documentation. Its start is the commit: a server that misses a
certificate orders one, and a certificate authority counts every failed try (docs: "Automatic HTTPS", Errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.product import LogPattern, RestoreCommand, ServiceInstance
from engine.errors import UnreachableError
from engine.finding import joined, say
from engine.polling import Polling
from engine.verdict import Judgement, failed, passed
from services.caddy import storage as files
from services.caddy.sites import REDIRECTS, Answer, ask_plain, ask_site, shake_hands
from services.clients.certificates import Certificate
from services.fingerprints.named_parts import named_part, short_digest

PLAIN_PORT: Final = 80
BROKEN_UPSTREAM: Final = frozenset({502, 503, 504})
SITES_DEADLINE_S: Final = 20.0
PRIVATE: Final = frozenset({"600", "400", "640", "440"})
"""Modes of a key that others than its owner and group can't read."""


class Product(contract.Product):
    """The web server in front of all."""

    name = "caddy"
    image_names: tuple[str, ...] = ("caddy",)
    settings_role = "Caddy upstream"
    acts_on_start = True
    stop_grace_s = 30
    clean_exit_codes: frozenset[int] = frozenset({0, 143})
    ready_deadline_s = 60.0
    state_paths: tuple[str, ...] = ("/data", "/config")
    writable_noise: tuple[str, ...] = ("/tmp/*", "/run/*", "/root/.step", "/root/.step/*")  # noqa: S108 paths in the container
    trouble: tuple[LogPattern, ...] = (
        LogPattern(
            r'"msg":"obtaining certificate"',
            say("a certificate was missing and is ordered anew: its storage did not travel"),
        ),
        LogPattern(
            r"could not get certificate|rateLimited|too many failed authorizations",
            say("the certificate authority refuses"),
        ),
        LogPattern(
            r"unrecognized directive|loading initial config|adapting config", say("its configuration is not understood")
        ),
        LogPattern(r"permission denied", say("the owner or mode of its files is wrong")),
        LogPattern(r"no such host|server misbehaving", say("an upstream's name is not known here")),
        LogPattern(r"no space left on device", say("the disk is full")),
    )
    noise: tuple[LogPattern, ...] = (
        LogPattern(
            r"failed to sufficiently increase (receive|send) buffer size",
            say("a kernel setting for HTTP/3; it works without"),
        ),
        LogPattern(r"no OCSP stapling for", say("the internal authority has no OCSP")),
    )

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask whether a configuration with sites runs, and whether the first of them takes a TLS handshake."""
        try:
            sites = files.list_sites(files.ask_admin(at, "/config/"))
            if not sites:
                return failed(
                    say(
                        "{where}: no virtual host in its running configuration. Expected: those of its Caddyfile",
                        where=at.where,
                    )
                )
            certificate = shake_hands(at, sites[0].host, _root(at))  # no request: what is behind it may come later
        except (UnreachableError, AssertionError) as error:
            return failed(str(error))
        return passed(
            say(
                "{where}: runs {count} sites; {host} serves a trusted certificate of {issuer}",
                where=at.where,
                count=len(sites),
                host=sites[0].host,
                issuer=certificate.issuer,
            )
        )

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:  # noqa: ARG002 it keeps nothing of ours
        """Ask every virtual host through TLS: trusted, with the certificate of its storage, answered by its
        upstream.
        """
        return Polling("every site answers", SITES_DEADLINE_S).judge(lambda: _judge_sites(at))

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read sites, modules, certificates, authorities and the modes of keys."""
        before = since.parts if since else {}
        configuration, modes, digests = (
            files.ask_admin(at, "/config/"),
            files.list_modes(at),
            files.list_key_digests(at),
        )
        modules = [line.strip() for line in files.inside(at, "caddy", "list-modules").splitlines() if "." in line]
        sites = {site.host: short_digest(site.routes) for site in files.list_sites(configuration)}
        keys = {
            path: "private" if mode in PRIVATE else f"mode {mode}"
            for path, mode in modes.items()
            if path.endswith(".key")
        }
        accounts = {
            path: digest[:16]
            for path, digest in digests.items()
            if not path.startswith("certificates/") and not path.endswith("intermediate.key")
        }
        certificates = files.read_certificates(
            at, [path for path in modes if path.endswith(".crt") and path.startswith("certificates/")]
        )
        roots = {
            path: c.sha256[:16]
            for path, c in files.read_certificates(at, [p for p in modes if p.endswith("root.crt")]).items()
        }
        named = {
            "configuration: virtual hosts": sites,
            "modules": dict.fromkeys(modules, "built in"),
            "keys: nobody else can read them": keys,
            "keys: of accounts and authorities": accounts,
            "authorities: roots": roots,
        }
        parts = {name: named_part(things, before.get(name)) for name, things in named.items()}
        for path, certificate in certificates.items():
            name = f"certificate {files.domain_of(path)} ({path.split('/')[1]})"
            parts[name] = certificate_part(certificate, before.get(name))
        return Fingerprint(at.service, parts)

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return where it keeps certificates and its last configuration (docs: "Conventions", File locations; the image
        sets both).
        """
        names = ("XDG_DATA_HOME", "XDG_CONFIG_HOME")
        return tuple(container.env.get(name) or usual for name, usual in zip(names, self.state_paths, strict=True))

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return the Caddyfile as it is; its storage is archived as files."""
        return (ContainerCommand(("cat", "/etc/caddy/Caddyfile"), timeout_s=60, saves_as="Caddyfile"),)

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:  # noqa: ARG002
        """Return nothing to do: it starts from its archived storage; without a way out it can order no certificate."""
        return ()


def certificate_part(certificate: Certificate, before: FingerprintPart | None) -> FingerprintPart:
    """Return a part that stays the same while the certificate is that one, or its renewal by the same issuer."""
    bound = {
        "sha256": certificate.sha256,
        "issuer": certificate.issuer,
        "not_before": certificate.not_before.isoformat(),
    }
    if before is None:
        return FingerprintPart(1, certificate.sha256, Validity.SINCE_CUTOVER, bound)
    renewed = certificate.renews(str(before.bound["issuer"]), str(before.bound["not_before"]))
    return FingerprintPart(1, before.digest if renewed else certificate.sha256, before.holds, before.bound)


def _root(at: ServiceInstance) -> str:
    """Return the root of Caddy's own authority, empty when it has none."""
    return at.inside(ContainerCommand(("cat", files.ROOT), timeout_s=files.INSIDE_S)).text


def _judge_sites(at: ServiceInstance) -> Judgement:
    try:
        sites = files.list_sites(files.ask_admin(at, "/config/"))
        kept = files.read_certificates(
            at, [path for path in files.list_modes(at) if path.startswith("certificates/") and path.endswith(".crt")]
        )
    except UnreachableError as error:
        return failed(str(error))
    leaves = {files.domain_of(path): certificate for path, certificate in kept.items()}
    declared: Mapping[str, Any] = at.options.get("sites") or {}
    missing = [
        say("{host} is declared, but no virtual host of its configuration", host=host)
        for host in declared
        if host not in {s.host for s in sites}
    ]
    root = _root(at)
    wrong = missing + [
        problem for site in sites for problem in _site_problems(at, site, leaves, declared.get(site.host) or {}, root)
    ]
    if wrong or not sites:
        return failed(
            say(
                "{where}: {wrong}. Expected: each of {count} trusted, with its stored certificate, answered",
                where=at.where,
                wrong=joined("; ", wrong[:5]) or say("no virtual host"),
                count=len(sites),
            ),
            tuple(wrong),
        )
    answered = joined(
        ", ",
        (
            say("{host} → {upstreams}", host=site.host, upstreams=" ".join(site.upstreams) or say("itself"))
            for site in sites
        ),
    )
    return passed(
        say(
            "{where}: all {count} sites answer through TLS with the certificates of its storage, and redirect to it: "
            "{answered}",
            where=at.where,
            count=len(sites),
            answered=answered,
        ),
        sites=len(sites),
    )


def _site_problems(
    at: ServiceInstance, site: files.Site, leaves: Mapping[str, Certificate], declared: Mapping[str, Any], root: str
) -> list[str]:
    try:
        answer = ask_site(at, site.host, str(declared.get("path", "/")), root)
        status, place = ask_plain(at, at.at_port(PLAIN_PORT), site.host)
    except (UnreachableError, AssertionError) as error:
        return [str(error)]
    wrong = _answer_problems(site, answer, declared)
    kept = leaves.get(site.host)
    if kept and kept.sha256 != answer.certificate.sha256:
        wrong.append(
            say(
                "{host}: serves certificate {sha256}, its storage has {sha256_2}",
                host=site.host,
                sha256=answer.certificate.sha256[:16],
                sha256_2=kept.sha256[:16],
            )
        )
    if status not in REDIRECTS or not place.startswith("https://"):
        wrong.append(
            say(
                "{host}: answers {status} {place} without TLS, no redirect to https",
                host=site.host,
                status=status,
                place=place,
            )
        )
    return wrong


def _answer_problems(site: files.Site, answer: Answer, declared: Mapping[str, Any]) -> list[str]:
    behind = " ".join(site.upstreams) or "itself"
    if "status" in declared and answer.status != int(declared["status"]):
        return [
            say(
                "{host}: {answer_status}, declared {status} (upstream {behind})",
                host=site.host,
                answer_status=answer.status,
                status=declared["status"],
                behind=behind,
            )
        ]
    if answer.status in BROKEN_UPSTREAM:
        return [
            say(
                "{host}: {status}: its upstream {behind} does not answer",
                host=site.host,
                status=answer.status,
                behind=behind,
            )
        ]
    wanted = str(declared.get("contains", ""))
    return (
        [
            say(
                "{host}: {status}, but without {wanted}: not the upstream that is declared ({behind})",
                host=site.host,
                status=answer.status,
                wanted=repr(wanted),
                behind=behind,
            )
        ]
        if wanted not in answer.body
        else []
    )
