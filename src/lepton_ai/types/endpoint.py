"""An endpoint: a served app or model, its replicas behind one address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from lepton_ai.types.base import Model, Name, Object, ObjectStatus, form
from lepton_ai.types.job import Digest, EnvName, Word
from lepton_ai.types.quantity import Duration
from lepton_ai.types.resources import Resources
from lepton_ai.types.task import Replica

REPLICAS_MAX = 1000
PORT_MAX = 65535


class EndpointState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    ASLEEP = "asleep"
    FAILED = "failed"
    STOPPING = "stopping"


MOVES: Mapping[EndpointState, frozenset[EndpointState]] = {
    EndpointState.STARTING: frozenset(EndpointState) - {EndpointState.STARTING},
    EndpointState.READY: frozenset(EndpointState) - {EndpointState.READY},
    EndpointState.ASLEEP: frozenset(EndpointState) - {EndpointState.ASLEEP},
    EndpointState.FAILED: frozenset(EndpointState) - {EndpointState.FAILED},
    EndpointState.STOPPING: frozenset(),
}


APP_FORM = form(r"([\w.]+:\w+)?", "of the form module:Class, as in hello:Hello for class Hello of hello.py")
PATH_FORM = form(r"(/[\w./~-]*)?", "a path, as in /health")


class EndpointSpec(Model):
    """What serves, how many of it, and when it may sleep. Exactly one of `command`, `app` and `model` is set.

    `command` is any HTTP server that listens on `$PORT` (or on `port`); `app` is `module:Class`, a Python class with
    handlers; `model` is a path of an ONNX file in the bundle.
    """

    command: Annotated[tuple[Word, ...], Field(max_length=4096)] = ()
    app: Annotated[str, StringConstraints(max_length=256), APP_FORM] = ""
    model: Annotated[str, StringConstraints(max_length=1024)] = ""
    port: Annotated[int, Field(ge=0, le=PORT_MAX)] = 0  # 0: a free one, told in $PORT
    health_path: Annotated[str, StringConstraints(max_length=256), PATH_FORM] = ""
    env: Mapping[EnvName, Word] = {}
    secrets: Mapping[EnvName, Name] = {}
    bundle: Digest = ""
    requirements: Annotated[tuple[Word, ...], Field(max_length=1000)] = ()
    resources: Resources = Resources()
    replicas: Annotated[int, Field(ge=0, le=REPLICAS_MAX)] = 1
    priority: Annotated[int, Field(ge=0, le=100)] = 70
    idle_timeout: Duration | None = None  # sleep after so long without a request; None never sleeps
    start_timeout: Duration = timedelta(minutes=5)
    grace: Duration = timedelta(seconds=30)  # how long requests in flight may take when a replica leaves
    max_concurrency: Annotated[int, Field(ge=0, le=100_000)] = 0  # requests at once per replica; 0 sets no limit

    @model_validator(mode="after")
    def _one_program(self) -> EndpointSpec:
        if sum(map(bool, (self.command, self.app, self.model))) != 1:
            raise ValueError("give exactly one of command, app and model")
        if self.port and not self.command:
            raise ValueError("a port is only for a command; apps and models take a free one")
        if self.port and self.replicas > 1:
            raise ValueError(f"{self.replicas} replicas cannot share port {self.port}: leave it out and use $PORT")
        if self.model and (self.model.startswith("/") or ".." in self.model.split("/")):
            raise ValueError("the model is a path inside the uploaded folder")
        return self


class EndpointStatus(ObjectStatus):
    state: EndpointState = EndpointState.STARTING
    url: str = ""
    submitted_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None  # first ready
    finished_at: AwareDatetime | None = None
    ready_replicas: int = 0
    wanted_replicas: int = 0
    updated_replicas: int = 0  # of the newest spec
    failures: int = 0  # replicas of the newest spec that ended by themselves, in a row
    replicas: tuple[Replica, ...] = ()
    last_request_at: AwareDatetime | None = None


class Endpoint(Object[EndpointSpec, EndpointStatus]):
    KIND: ClassVar[str] = "endpoint"
    PLURAL: ClassVar[str] = "endpoints"

    kind: Literal["endpoint"] = "endpoint"
    status: EndpointStatus = EndpointStatus()
