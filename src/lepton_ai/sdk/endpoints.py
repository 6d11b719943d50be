"""The endpoints of a project: create, look up, list, scale, update, delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from pydantic import JsonValue

from lepton_ai.errors import InvalidInput
from lepton_ai.sdk.collection import PAGE, Change, Collection
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.endpoint_handle import ENDPOINT_COLUMNS, EndpointHandle
from lepton_ai.sdk.listing import Listing
from lepton_ai.sdk.logs import LogStream
from lepton_ai.sdk.task_request import Amount, Command, build, words_of
from lepton_ai.sdk.uploads import Uploads
from lepton_ai.types.endpoint import Endpoint, EndpointSpec
from lepton_ai.types.resources import Resources


class EndpointOptions(TypedDict, total=False):
    """What `endpoints.create` takes besides the program. The fields of EndpointSpec have the same meanings."""

    workdir: str | Path | None
    port: int
    health_path: str
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    bundle: str
    requirements: Sequence[str]
    resources: Resources | Mapping[str, object]
    replicas: int
    priority: int
    idle_timeout: Amount | None
    start_timeout: Amount
    grace: Amount
    max_concurrency: int
    labels: Mapping[str, str]


class Endpoints:
    """`lepton.endpoints`."""

    def __init__(self, connection: Connection, project: str) -> None:
        self.collection = Collection(connection, Endpoint, project)
        self._uploads = Uploads(connection, project)

    def create(
        self, name: str, *, command: Command = (), app: str = "", model: str = "", **options: Unpack[EndpointOptions]
    ) -> EndpointHandle:
        """Serve something: a `command` that listens on $PORT, an `app` ("module:Class" in `workdir`), or a `model`.

        `model` is the path of an ONNX file inside `workdir`; without a workdir it is any file here, which is uploaded
        alone. `idle_timeout` lets the endpoint sleep after so long without a request.
        """
        _refuse_unknown(options)
        workdir, labels = options.pop("workdir", None), options.pop("labels", {})
        alone = Path(model).expanduser() if model and workdir is None and not options.get("bundle") else None
        program = {"command": words_of(command) if command else (), "app": app, "model": alone.name if alone else model}
        said = {key: value for key, value in options.items() if value is not None}
        spec = build(EndpointSpec, program | said)
        if alone is not None:
            spec = spec.replace(bundle=self._uploads.send_file(alone))
        elif workdir is not None:
            spec = spec.replace(bundle=self._uploads.send_folder(Path(workdir).expanduser()))
        metadata: dict[str, JsonValue] = {"name": name, "labels": dict(labels)}
        draft: JsonValue = {"metadata": metadata, "spec": spec.model_dump(mode="json", exclude_defaults=True)}
        return self._handle(self.collection.create(draft))

    def get(self, name: str) -> EndpointHandle:
        """Return one endpoint by name or id; raises NotFound."""
        return self._handle(self.collection.get(name))

    def list(self, *, limit: int = PAGE, before: str = "") -> Listing[EndpointHandle]:
        """Return a page of endpoints, newest first; `before` is the `next` of the page before."""
        items, following = self.collection.page(limit=limit, before=before)
        return Listing(tuple(map(self._handle, items)), ENDPOINT_COLUMNS, following)

    def each(self) -> Iterator[EndpointHandle]:
        """Yield every endpoint, newest first."""
        return map(self._handle, self.collection.each())

    def scale(self, name: str, replicas: int) -> EndpointHandle:
        """Ask for so many replicas; 0 refuses requests until it is scaled again."""
        return self.get(name).scale(replicas)

    def update(self, name: str, **spec: object) -> EndpointHandle:
        """Change fields of the spec."""
        return self.get(name).update(**spec)

    def delete(self, name: str) -> Endpoint:
        """Let requests in flight end, stop the replicas, and remove the endpoint."""
        return self.collection.delete(name)

    def logs(self, name: str, *, follow: bool = False, rank: int = -1) -> LogStream:
        """Return the log of all replicas as an iterator of lines."""
        return self.get(name).logs(follow=follow, rank=rank)

    def watch(self, since: str = "") -> Iterator[Change[Endpoint]]:
        """Yield changes of the project's endpoints, for ever; without `since`, first those that are live now."""
        return self.collection.watch(since)

    def put(self, name: str, draft: JsonValue) -> EndpointHandle:
        """Create the endpoint, or bring the one of that name to `draft`: what `lepton.apply` does."""
        return self._handle(self.collection.put(name, draft))

    def _handle(self, endpoint: Endpoint) -> EndpointHandle:
        return EndpointHandle(self.collection, endpoint)


def _refuse_unknown(options: EndpointOptions) -> None:
    known = EndpointOptions.__annotations__.keys()
    unknown = sorted(options.keys() - known)
    if unknown:
        raise InvalidInput(f"An endpoint has no option {unknown[0]!r}.", hint=f"Known: {', '.join(sorted(known))}.")
