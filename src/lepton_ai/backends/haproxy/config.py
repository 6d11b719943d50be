"""Renders a DataPlane as HAProxy's configuration and maps: a pure function, whose text is the whole truth on disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lepton_ai.backends.haproxy import problems, template
from lepton_ai.backends.haproxy.desired import DataPlane, Peer
from lepton_ai.types.data_plane import ACTIVATOR, EndpointRoute, HealthCheck, Server

TOKENS = "tokens.map"  # `SHA256`, `SHA256:PROJECT` and `SHA256:*` to the epoch at which that ends
ROUTES = "routes.map"  # `PROJECT/NAME` to its backend
HEALTH = "health.map"  # a server's id to the path of its health check

# 2,000 connections need 4,050 descriptors, which fits the usual hard limit of 4,096; memory is taken as they come.
CONNECTIONS_MAX = 2000
THREADS = 2
# A reload leaves the old worker to end its requests; each holds about 10 MB, so not for ever.
OLD_WORKER_TIMEOUT = "30m"
_SPECIAL = re.compile(r"""[\\ #"']""")
# How long a request for a sleeping endpoint may wait: a large model needs minutes to load.
WAKE_TIMEOUT = "30m"


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where HAProxy listens for us, and the secret by which the core knows its requests."""

    stats: Path
    activator: Path
    secret: str


@dataclass(frozen=True, slots=True)
class Rendering:
    """`structure` names all of `config` that only a reload can change: everything but servers and map entries."""

    config: str
    structure: str
    maps: Mapping[str, Mapping[str, str]]


def render(desired: DataPlane, sockets: Sockets, certificate: str) -> Rendering:
    """Return the files for `desired`; `certificate` is the text of its PEM file, so that a new one means a reload."""
    routes = sorted(desired.endpoints, key=lambda route: route.backend)
    fixed = [template.FRONTEND.format(**_words(desired)), _activator(desired, sockets), template.ENDPOINT_DEFAULTS]
    if desired.peer is not None:
        fixed.append(template.PEER.format(tls=_tls_words(desired.peer)))
    bodies = [_backend(route, sockets) for route in routes]
    skeleton = "\n".join([_head(sockets, "structure"), *fixed, *bodies, certificate])
    structure = hashlib.sha256(skeleton.encode()).hexdigest()[:32]
    full = (body + _server_lines(route, desired.peer) for body, route in zip(bodies, routes, strict=True))
    return Rendering("\n".join([_head(sockets, structure), *fixed, *full]), structure, _maps(desired))


def server_words(route: EndpointRoute, server: Server, peer: Peer | None = None) -> str:
    """Return what follows a server's name, in the file as in the `add server` command, which takes no defaults."""
    address = f"[{server.address}]" if ":" in server.address else server.address
    door = server.door
    port = server.port if door is None else door.port
    words = f"{address}:{port} weight {server.effective_weight} pool-purge-delay 2s"
    if door is not None and peer is not None:
        name = door.name_of(server.port)
        words += f" {_tls_words(peer)} sni str({name}) check-ssl check-sni {name}"
    if route.max_concurrency:
        words += f" maxconn {route.max_concurrency}"
    if is_checked(route, server):
        # A refused connection takes a replica out at once; a slow answer only after three checks, since a model that
        # computes holds its process for seconds.
        words += " check inter 1s fastinter 200ms downinter 200ms fall 3 rise 1"
        words += " observe layer4 error-limit 1 on-error mark-down"
    return words


def is_checked(route: EndpointRoute, server: Server) -> bool:
    """Tell whether HAProxy probes the server."""
    return route.health is HealthCheck.TCP or bool(server.health_path)


def _head(sockets: Sockets, description: str) -> str:
    text = template.GLOBAL.format(
        description=description,
        threads=THREADS,
        connections=CONNECTIONS_MAX,
        old_worker_timeout=OLD_WORKER_TIMEOUT,
        stats_socket=sockets.stats,
    )
    errors = "\n".join(f"    http-error {problem.reply()}" for problem in problems.GENERAL)
    return text + "\n" + template.DEFAULTS.format(errors=errors)


def _words(desired: DataPlane) -> dict[str, str]:
    address = f"[{desired.address}]" if ":" in desired.address else desired.address
    return {
        "bind": f"{address}:{desired.port}",
        "server_pem": str(desired.server_pem),
        "core_socket": str(desired.core_socket),
        "tokens": TOKENS,
        "routes": ROUTES,
        "stands_by": f"http-request return {problems.STANDS_BY.reply()} hdr Retry-After 1 if to_endpoint"
        if desired.stands_by
        else "",
        "unauthenticated": f"{problems.UNAUTHENTICATED.reply()} hdr WWW-Authenticate 'Bearer realm=\"lepton\"'",
        "forbidden": problems.FORBIDDEN.reply(),
        "not_found": problems.NOT_FOUND.reply(),
        "core_down": problems.CORE_DOWN.reply(),
    }


def _activator(desired: DataPlane, sockets: Sockets) -> str:
    return template.ACTIVATOR.format(
        activator_socket=sockets.activator,
        wake_timeout=WAKE_TIMEOUT,
        secret=sockets.secret,
        asleep=problems.ASLEEP.reply(),
        core_socket=desired.core_socket,
    )


def _backend(route: EndpointRoute, sockets: Sockets) -> str:
    lines = [
        f"backend {route.backend} from endpoint",
        f"    timeout server {_milliseconds(route.request_timeout)}",
        f"    timeout queue {_milliseconds(route.queue_timeout)}",
    ]
    if route.health is HealthCheck.HTTP:
        lines += ["    option httpchk", f"    http-check send meth GET uri-lf %[srv_name,map_str({HEALTH},/)]"]
    lines.append(f"    http-request set-timeout server {WAKE_TIMEOUT} if {{ nbsrv lt 1 }}")
    if route.max_concurrency:
        refuse = f"    http-request return {problems.QUEUE_FULL.reply()} hdr Retry-After 1"
        lines.append(f"{refuse} if {{ queue ge {max(route.queue_max, 1)} }}")
    lines.append(f"    server {ACTIVATOR} unix@{sockets.activator} backup")
    return "\n".join(lines) + "\n"


def _server_lines(route: EndpointRoute, peer: Peer | None) -> str:
    servers = sorted(route.servers, key=lambda server: server.id)
    return "".join(f"    server {server.id} {server_words(route, server, peer)}\n" for server in servers)


def _tls_words(peer: Peer) -> str:
    # Not between quotes, which the command to add a server does not know.
    authority, certificate = (_SPECIAL.sub(r"\\\g<0>", str(path)) for path in (peer.authority, peer.certificate))
    return f"ssl verify required ca-file {authority} crt {certificate} alpn http/1.1"


def _maps(desired: DataPlane) -> dict[str, Mapping[str, str]]:
    maps: dict[str, Mapping[str, str]] = {
        TOKENS: dict(sorted(_token_entries(desired))),
        ROUTES: {f"{route.project}/{route.name}": route.backend for route in desired.endpoints},
    }
    probed = [route for route in desired.endpoints if route.health is HealthCheck.HTTP]
    if probed:  # HAProxy knows only the maps that its configuration uses
        servers = [server for route in probed for server in route.servers if server.health_path]
        maps[HEALTH] = {server.id: server.health_path for server in servers}
    return maps


def _token_entries(desired: DataPlane) -> Iterator[tuple[str, str]]:
    latest: dict[str, int] = {}
    for grant in desired.tokens:
        for key in (grant.sha256, f"{grant.sha256}:{grant.project}"):
            latest[key] = max(latest.get(key, 0), grant.expires_epoch)
    return ((key, str(expiry)) for key, expiry in latest.items())


def _milliseconds(duration: timedelta) -> str:
    return f"{max(1, int(duration.total_seconds() * 1000))}ms"
