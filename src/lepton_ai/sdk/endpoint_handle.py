"""One endpoint as its owner holds it: wait until it is ready, call it, scale it, read its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from lepton_ai.errors import InvalidInput, Unavailable
from lepton_ai.sdk.collection import Collection, segment
from lepton_ai.sdk.connection import Call
from lepton_ai.sdk.listing import Columns, Listing
from lepton_ai.sdk.logs import LogRequest, LogStream
from lepton_ai.sdk.notebook import card
from lepton_ai.sdk.server_events import OPENED, PING, EventParser
from lepton_ai.sdk.wait import Timeout, wait_for
from lepton_ai.types.endpoint import Endpoint, EndpointSpec, EndpointState, EndpointStatus
from lepton_ai.types.event import Event
from lepton_ai.types.explanation import Explanation

# The first call to a sleeping endpoint waits for a replica: 5 minutes to start by default, and the call's own time.
CALL_SECONDS_MAX = 600.0
_SETTLED = frozenset({EndpointState.READY, EndpointState.ASLEEP, EndpointState.FAILED})


class EndpointHandle:
    """An endpoint. It is as it was last seen: `refresh()` and `wait_ready()` look again."""

    def __init__(self, endpoints: Collection[Endpoint], endpoint: Endpoint) -> None:
        self._endpoints = endpoints
        self.object = endpoint

    @property
    def name(self) -> str:
        return self.object.name

    @property
    def id(self) -> str:
        return self.object.id

    @property
    def project(self) -> str:
        return self.object.project

    @property
    def spec(self) -> EndpointSpec:
        return self.object.spec

    @property
    def status(self) -> EndpointStatus:
        return self.object.status

    @property
    def state(self) -> EndpointState:
        return self.object.status.state

    @property
    def url(self) -> str:
        """The address, with a slash at its end. Every request needs `Authorization: Bearer TOKEN`."""
        return f"{self._endpoints.connection.url}{self._path('')}"

    def refresh(self) -> EndpointHandle:
        """Look at the endpoint again."""
        self.object = self._endpoints.get(self.id)
        return self

    def wait_ready(self, timeout: Timeout = None) -> EndpointHandle:
        """Return once a replica answers; an endpoint that sleeps counts as ready, since its first request wakes it.

        Raises Unavailable with the reason if it failed or is scaled to 0, and TimedOut.
        """
        self.object = wait_for(self._endpoints, self.object, lambda seen: seen.status.state in _SETTLED, timeout)
        if self.state is EndpointState.FAILED:
            raise Unavailable(
                f"The endpoint {self.name!r} failed: {self.status.reason}",
                hint=f"See: lepton endpoint logs {self.name}",
            )
        if self.spec.replicas == 0:
            raise Unavailable(
                f"The endpoint {self.name!r} is scaled to 0.", hint=f"Start it: lepton endpoint scale {self.name} 1"
            )
        return self

    def call(self, handler: str = "predict", /, **fields: object) -> JsonValue:
        """POST `fields` as JSON to one handler (any path below the endpoint's URL) and return the JSON of its answer.

        A call that broke off half-way is not sent again: only the caller knows whether it may be repeated.
        """
        return self._endpoints.connection.fetch(self._call(handler, fields))

    def stream(self, handler: str, /, **fields: object) -> Iterator[JsonValue]:
        """POST `fields` to a handler that streams, and yield each value as it comes.

        Reads JSON lines, and server-sent events whose data is JSON.
        """
        with self._endpoints.connection.stream(self._call(handler, fields)) as response:
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                parser = EventParser()
                for piece in response.iter_bytes():
                    for event in parser.feed(piece):
                        if event.event not in {OPENED, PING} and event.data != "[DONE]":
                            yield json.loads(event.data)
                return
            for line in response.iter_lines():
                if line:
                    yield json.loads(line)

    def scale(self, replicas: int) -> EndpointHandle:
        """Ask for so many replicas; 0 refuses requests until it is scaled again (`idle_timeout` sleeps and wakes)."""
        return self.update(replicas=replicas)

    def update(self, **spec: object) -> EndpointHandle:
        """Change fields of the spec; replicas are exchanged one after the other, without losing requests."""
        patch = {"spec": _as_json(spec)}
        self.object = self._endpoints.update(self.id, patch)
        return self

    def delete(self) -> EndpointHandle:
        """Let requests in flight end, stop the replicas, and remove the endpoint."""
        self.object = self._endpoints.delete(self.id)
        return self

    def logs(self, *, follow: bool = False, rank: int = -1, tail_bytes: int = 0) -> LogStream:
        """Return the log of all replicas as an iterator of lines; printing it shows the text."""
        request = LogRequest(follow=follow, rank=rank, tail_bytes=tail_bytes)
        return LogStream(self._endpoints.connection, self._endpoints.path_of(self.id, "logs"), request)

    def events(self) -> Listing[Event]:
        """Return what happened to the endpoint, oldest first."""
        return self._endpoints.events(self.id)

    def explain(self) -> Explanation:
        """Tell why its newest replica runs where it does, or why it waits."""
        return self._endpoints.explain(self.id)

    def __repr__(self) -> str:
        return f"<EndpointHandle {self.name}: {self.state}, {_replicas(self)} ready>"

    def _repr_html_(self) -> str:
        return card(
            f"Endpoint {self.name}",
            (
                ("state", self.state.value),
                ("reason", str(self.status.reason)),
                ("replicas", _replicas(self)),
                ("url", self.url),
                ("serves", self.spec.app or self.spec.model or " ".join(self.spec.command)),
            ),
        )

    def _path(self, path: str) -> str:
        project, name = segment(self.project, "project"), segment(self.name, "endpoint")
        return f"/endpoints/{project}/{name}/{path.lstrip('/')}"

    def _call(self, handler: str, fields: Mapping[str, object]) -> Call:
        return Call("POST", self._path(handler), body=_as_json(fields), answer_seconds_max=CALL_SECONDS_MAX)


def _as_json(fields: Mapping[str, object]) -> JsonValue:
    """Return fields as JSON: models and durations as their specs write them, arrays (numpy, torch) as lists."""
    value: JsonValue = to_jsonable_python(fields, timedelta_mode="float", fallback=_listed)
    return value


def _listed(value: object) -> object:
    to_list = getattr(value, "tolist", None)
    if to_list is None:
        raise InvalidInput(f"A value of type {type(value).__qualname__} cannot be sent as JSON.")
    return to_list()


def _replicas(handle: EndpointHandle) -> str:
    return f"{handle.status.ready_replicas}/{handle.status.wanted_replicas}"


ENDPOINT_COLUMNS: Columns[EndpointHandle] = Columns(
    ("endpoint", "state", "ready", "reason", "url"),
    lambda handle: (handle.name, handle.state.value, _replicas(handle), str(handle.status.reason), handle.url),
)
