"""The endpoints service at work: what it sees of traffic, and the routes that it keeps in the data plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.registry import AsgiApp, Door, View
from lepton_ai.services.endpoints.activator import Activator, Sleeper
from lepton_ai.services.endpoints.carrier import Carrier
from lepton_ai.services.endpoints.decide import decide
from lepton_ai.services.endpoints.fleet import Traffic
from lepton_ai.services.endpoints.grants import grants
from lepton_ai.services.endpoints.prober import Prober, Probing, Target
from lepton_ai.services.endpoints.task import health_path
from lepton_ai.types.base import AnyObject
from lepton_ai.types.data_plane import EndpointFigures, EndpointRoute, HealthCheck, NodeDoor, Server, ServerState
from lepton_ai.types.endpoint import Endpoint
from lepton_ai.types.identity import Token, User
from lepton_ai.types.node import Node, NodeStatus
from lepton_ai.types.task import Task, TaskState

FIGURES_AGE = timedelta(milliseconds=50)  # within one pass the data plane is asked once
WANTED_FOR = timedelta(seconds=2)  # a request that waits repeats its wish; one that left must not keep things awake


class Endpoints:
    """Runs in the loop's thread, but for `look` and `want`, which the activator calls from the API's."""

    def __init__(self, door: Door, prober: Probing) -> None:
        self._door = door
        self._prober = prober
        self._sleepers: Mapping[tuple[str, str], Sleeper] = {}
        self._wanted_until: dict[str, datetime] = {}
        self._awake_since: dict[str, datetime] = {}
        self._figures: tuple[datetime, Mapping[tuple[str, str], EndpointFigures]] | None = None
        self._activator = Activator(look=self.look, wake=self.want, carrier=Carrier(door.data_plane.tls))
        self._has_trusted = False
        self._asked_since: dict[str, datetime] = {}

    @property
    def gateway(self) -> AsgiApp | None:
        """Return the activator."""
        return self._activator

    def decide(self, thing: AnyObject, view: View, now: datetime) -> Decision:
        """Return the next steps for one endpoint."""
        assert isinstance(thing, Endpoint)
        tasks = view.tasks_of(thing.id)
        decision = decide(thing, tasks, self._traffic(thing, tasks, now), now)
        if any(change.verb == "delete" and change.object.id == thing.id for change in decision.changes):
            self._awake_since.pop(thing.id, None)
        return decision

    def apply(self, view: View, now: datetime) -> None:
        """Route requests to every replica that is ready, and let the tokens in that may call."""
        endpoints = sorted(view.all(Endpoint), key=lambda endpoint: endpoint.id)
        nodes = {node.name: node.status for node in view.all(Node)}
        reachable = {endpoint.id: _servers(endpoint, view.tasks_of(endpoint.id), nodes) for endpoint in endpoints}
        self._prober.watch([target for targets in reachable.values() for target, _ in targets])
        ready = self._ready(now)
        self._asked_since = {
            target.id: self._asked_since.get(target.id, now)
            for targets in reachable.values()
            for target, _ in targets
            if target.id not in ready
        }
        routes = []
        for endpoint in endpoints:
            servers = tuple(server for _, server in reachable[endpoint.id] if server.id in ready)
            routes.append(_route(endpoint, servers))
        self._sleepers = {
            (endpoint.project, endpoint.name): Sleeper(endpoint, _usable(route.servers))
            for endpoint, route in zip(endpoints, routes, strict=True)
        }
        wanted = (
            routes,
            sorted(grants(view.all(Token), view.all(User)), key=lambda grant: (grant.sha256, grant.project)),
        )
        self._door.data_plane.route(*wanted)

    def close(self) -> None:
        """End the prober's thread; the data plane goes on with the routes that it has."""
        self._prober.close()

    def look(self, project: str, name: str) -> Sleeper | None:
        """Return what is known of an endpoint now."""
        return self._sleepers.get((project, name))

    def want(self, endpoint: Endpoint) -> None:
        """Take note that a request waits for this endpoint."""
        now = self._door.clock.now()
        fresh = self._wanted_until.get(endpoint.id, now) > now
        self._wanted_until[endpoint.id] = now + WANTED_FOR
        if not fresh:
            self._door.wake(endpoint.id)

    def _traffic(self, endpoint: Endpoint, tasks: Sequence[Task], now: datetime) -> Traffic:
        figures = self._ask(now).get((endpoint.project, endpoint.name), EndpointFigures())
        ids = {task.id for task in tasks if task.status.state is TaskState.RUNNING}
        ready = self._ready(now) & ids
        for task_id in ids - ready:
            self._asked_since.setdefault(task_id, now)
        is_wanted = self._wanted_until.get(endpoint.id, now) > now
        if is_wanted or not ready:
            self._awake_since[endpoint.id] = now
        awake = (now - self._awake_since.setdefault(endpoint.id, now)).total_seconds()
        is_busy = figures.in_flight or figures.queued or figures.waking
        last = figures.last_request_seconds_ago
        return Traffic(
            ready=ready,
            in_flight={name: server.in_flight for name, server in figures.servers.items() if name in ids},
            # An endpoint that just woke has not been idle for long, whenever its last request was.
            idle_seconds=0.0 if is_busy else min(awake if last is None else last, awake),
            last_request_seconds_ago=last,
            is_wanted=is_wanted,
            asked_since={task_id: self._asked_since[task_id] for task_id in ids - ready},
            url=self._door.data_plane.url(endpoint.project, endpoint.name),
        )

    def _ready(self, now: datetime) -> frozenset[str]:
        """Return the replicas that answer. Before the first look, those count that the data plane finds up: it has
        outlived the last core, and an endpoint that serves must not seem to have failed because a core has started."""
        if not self._has_trusted:
            self._has_trusted = True
            servers = [server for figures in self._ask(now).values() for server in figures.servers.items()]
            self._prober.trust([name for name, server in servers if server.is_up])
        return self._prober.ready()

    def _ask(self, now: datetime) -> Mapping[tuple[str, str], EndpointFigures]:
        if self._figures is None or now - self._figures[0] >= FIGURES_AGE:
            self._figures = now, self._door.data_plane.figures()
        return self._figures[1]


def _servers(endpoint: Endpoint, tasks: Sequence[Task], nodes: Mapping[str, NodeStatus]) -> list[tuple[Target, Server]]:
    """Return, for each replica that runs, how to probe it and how to reach it."""
    found = []
    path = health_path(endpoint.spec)
    for task in tasks:
        if task.status.state is not TaskState.RUNNING or task.spec.stop_requested or not task.status.replicas:
            continue
        replica = task.status.replicas[0]
        node = nodes.get(replica.node, NodeStatus())
        address = node.serving_address or node.address
        port = replica.port or endpoint.spec.port
        if not port or not address or node.door == 0:
            continue  # Not known yet; the data plane would refuse the whole of what it is told.
        state = ServerState.READY if task.spec.drain_requested_at is None else ServerState.DRAIN
        door = NodeDoor(replica.node, node.door) if node.door else None
        server = Server(id=task.id, address=address, port=port, state=state, health_path=path or "/", door=door)
        found.append((Target(task.id, address, port, path, endpoint.id, door), server))
    return found


def _route(endpoint: Endpoint, servers: tuple[Server, ...]) -> EndpointRoute:
    return EndpointRoute(
        project=endpoint.project,
        name=endpoint.name,
        servers=servers,
        health=HealthCheck.HTTP if health_path(endpoint.spec) else HealthCheck.TCP,
        max_concurrency=endpoint.spec.max_concurrency,
    )


def _usable(servers: Sequence[Server]) -> tuple[Server, ...]:
    return tuple(server for server in servers if server.state is ServerState.READY)


def open_endpoints(door: Door) -> Endpoints:
    """Return the service at work."""
    return Endpoints(door, Prober(door.wake, door.data_plane.tls))
