"""Where Ray's head keeps what it knows of the cluster: in memory alone, in a Redis of our own, or in somebody's."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.redis import Redis
from lepton_ai.backends.ray_cluster.start_hook import PASSWORD, USER
from lepton_ai.errors import InvalidInput

MEMORY, REDIS = "memory", "redis"
NAMESPACE = "lepton"
REDIS_PORT = 6379


class HeadStore(Protocol):
    """What the head's state outlives it in."""

    def ensure(self) -> None:
        """See to it that it is there, if that is ours to do; raises Unavailable, StorageFailed."""

    def environment(self) -> Mapping[str, str]:
        """Return what Ray's head has in its environment to use it; secrets included, so it is for that one alone."""

    def end(self) -> None:
        """Forget the cluster: it has been ended on purpose."""


class MemoryStore:
    """None: a head that comes back is another cluster."""

    def ensure(self) -> None: ...

    def environment(self) -> Mapping[str, str]:
        return {}

    def end(self) -> None: ...


class OwnRedis:
    """A Redis that the platform starts and keeps, on this machine's loopback."""

    def __init__(self, place: ClusterPlace) -> None:
        self._place = place
        self._redis = Redis(place)

    def ensure(self) -> None:
        self._redis.ensure()

    def environment(self) -> Mapping[str, str]:
        certificate = str(self._place.certificate)
        return {
            "RAY_REDIS_ADDRESS": f"rediss://127.0.0.1:{self._redis.port}",
            "RAY_external_storage_namespace": NAMESPACE,
            "RAY_REDIS_CA_CERT": str(self._place.authority),
            "RAY_REDIS_CLIENT_CERT": certificate,
            "RAY_REDIS_CLIENT_KEY": certificate,
            PASSWORD: self._redis.password,
        }

    def end(self) -> None:
        self._redis.end()


class ForeignRedis:
    """A Redis that somebody else keeps, at a URL; `authority` is a file with whom it is known by, for TLS."""

    def __init__(self, url: str, authority: str, namespace: str) -> None:
        self._parts = read_url(url)
        self._authority = authority or ssl.get_default_verify_paths().cafile or ""
        self._namespace = namespace

    def ensure(self) -> None: ...

    def environment(self) -> Mapping[str, str]:
        one = self._parts
        given = {
            "RAY_REDIS_ADDRESS": f"{one.scheme}://{one.hostname}:{one.port or REDIS_PORT}",
            "RAY_external_storage_namespace": self._namespace,
        }
        if one.scheme == "rediss":
            given |= {"RAY_REDIS_CA_CERT": self._authority, "RAY_REDIS_SERVER_NAME": one.hostname or ""}
        secrets = {USER: one.username, PASSWORD: one.password}
        return given | {name: value for name, value in secrets.items() if value}

    def end(self) -> None: ...


def open_store(setting: str, authority: str, place: ClusterPlace, namespace: str) -> HeadStore:
    """Return the store that a setting names; raises InvalidInput for one that is none."""
    if setting in {"", MEMORY}:
        return MemoryStore()
    if setting == REDIS:
        return OwnRedis(place)
    return ForeignRedis(setting, authority, namespace)


def read_url(url: str) -> SplitResult:
    """Return the parts of a URL of Redis; raises InvalidInput, which does not repeat a password."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and (parts.port or REDIS_PORT) > 0
    except ValueError:
        parts, is_whole = urlsplit(""), False
    if parts.scheme not in {"redis", "rediss"} or not is_whole:
        raise InvalidInput(
            "cluster_store must be memory, redis, or the URL of a Redis.",
            hint="Write rediss://USER:PASSWORD@HOST:PORT; redis://HOST:PORT is without TLS.",
        )
    return parts
