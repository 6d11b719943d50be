"""A clock that is turned by hand, a data plane that only remembers, and a prober that asks simulated replicas."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from lepton_ai.errors import Unavailable
from lepton_ai.services.endpoints.prober import Target
from lepton_ai.types.bucket import StoreKind, StoreTarget
from lepton_ai.types.data_plane import EndpointFigures, EndpointRoute, ServerFigures, TokenGrant

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Stands still until it is told to move."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Let `by` pass; time never goes back."""
        assert by >= timedelta(0), f"time does not go back: {by}"
        self._now += by


class FakeDataPlane:
    """Remembers the newest routes, and tells the figures that a test writes into it. It outlives the core."""

    def __init__(self) -> None:
        self.routes: Mapping[tuple[str, str], EndpointRoute] = {}
        self.tokens: Sequence[TokenGrant] = ()
        self.last_request_seconds_ago: dict[tuple[str, str], float] = {}
        self.in_flight: dict[str, int] = {}

    def route(self, endpoints: Sequence[EndpointRoute], tokens: Sequence[TokenGrant]) -> None:
        self.routes = {(route.project, route.name): route for route in endpoints}
        self.tokens = tuple(tokens)

    def figures(self) -> Mapping[tuple[str, str], EndpointFigures]:
        return {key: self._figures(key, route) for key, route in self.routes.items()}

    def _figures(self, key: tuple[str, str], route: EndpointRoute) -> EndpointFigures:
        servers = {
            server.id: ServerFigures(in_flight=self.in_flight.get(server.id, 0), is_up=True) for server in route.servers
        }
        return EndpointFigures(
            in_flight=sum(server.in_flight for server in servers.values()),
            last_request_seconds_ago=self.last_request_seconds_ago.get(key),
            servers=servers,
        )

    def tls(self) -> ssl.SSLContext:
        raise Unavailable("No door of a node can be reached from here.")

    def url(self, project: str, name: str) -> str:
        return f"https://127.0.0.1:8443/endpoints/{project}/{name}/"


class FakeObjectStores:
    """Holds nothing: the platform's side of storage, for a simulation whose tasks use none."""

    def target(self, project_id: str, bucket_id: str, *, may_write: bool) -> StoreTarget:
        return StoreTarget(kind=StoreKind.LOCAL, location="/nowhere", prefix=f"{project_id}/{bucket_id}")

    def empty(self, project_id: str, bucket_id: str) -> bool:
        return True

    def tend(self) -> None: ...

    def on_death(self, wake: Callable[[], None]) -> None: ...

    def stop(self) -> None: ...


class FakeProber:
    """Asks `answers` once a round instead of a socket; the rest is as the real prober has it."""

    def __init__(self, answers: Callable[[Target], bool], wake: Callable[[str], None]) -> None:
        self._answers = answers
        self._wake = wake
        self._targets: dict[str, Target] = {}
        self._ready: set[str] = set()

    def watch(self, targets: Collection[Target]) -> None:
        self._targets = {target.id: target for target in targets}
        self._ready &= self._targets.keys()

    def ready(self) -> frozenset[str]:
        return frozenset(self._ready)

    def trust(self, ids: Collection[str]) -> None:
        self._ready.update(ids)

    def close(self) -> None:
        """There is no thread to end."""

    def ask_all(self) -> bool:
        """Ask every target that is not ready; tell whether any has become so."""
        found = [t for t in self._targets.values() if t.id not in self._ready and self._answers(t)]
        for target in found:
            self._ready.add(target.id)
            self._wake(target.owner_id)
        return bool(found)
